r"""Converts the original LXMERT (Epoch20_LXRT.pth) to a model directory.

The question answering head is left out; the report says which scores are faithful.
PyTorch is not needed and nothing in the file is executed.

    python -m checkpoints_conversion.convert_lxmert --checkpoint=Epoch20_LXRT.pth \
        --vocab=vocab.txt --output=models/lxmert
"""

from checkpoints_conversion import command
from xabl.support import binary

if __name__ == "__main__":
    binary.run(command.run_conversion)
