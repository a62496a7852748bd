r"""Converts a checkpoint of the controlled setup (VOLTA) to a model directory.

Takes pytorch_model_<epoch>.bin or pytorch_ckpt_latest.tar as published; PyTorch is not
needed and nothing in the file is executed.

    python -m checkpoints_conversion.convert_volta --checkpoint=pytorch_model_9.bin \
        --config=ctrl_uniter_base --vocab=vocab.txt --output=models/ctrl_uniter_base
"""

from checkpoints_conversion import command
from xabl.support import binary

if __name__ == "__main__":
    binary.run(command.run_conversion)
