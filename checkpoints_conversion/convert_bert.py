r"""Converts a text-only BERT (Hugging Face layout) to a model directory.

Takes pytorch_model.bin or model.safetensors of bert-base-uncased. The directory is the
text-only baseline of the ablation, and what pretraining starts from. PyTorch is not
needed and nothing in the file is executed.

    python -m checkpoints_conversion.convert_bert --checkpoint=pytorch_model.bin \
        --vocab=vocab.txt --output=models/bert_base
"""

from checkpoints_conversion import command
from xabl.support import binary

if __name__ == "__main__":
    binary.run(command.run_conversion)
