"""Names and shapes of a checkpoint's tensors, by which its model is recognised."""

from pathlib import Path

import numpy as np

from checkpoints_conversion.recognition import recognise
from tests.helpers import transformers_checkpoints
from xabl.data.checkpoints.tensors import Tensor, TensorFile


def read(folder: Path, content: bytes) -> None:
    """Lines of a name and the sizes of a shape, as they stand in a file's header."""
    tensors = {}
    for line in content.decode(errors="replace").split("\n"):
        name, *sizes = line.split(" ")
        shape = tuple(int(size) for size in sizes if size.isdecimal() and len(size) < 9)
        tensors[name] = Tensor(
            shape=shape, dtype=np.dtype("f4"), read=lambda: np.zeros(())
        )
    path = folder / "model.safetensors"
    file = TensorFile(path=path, layout="names", tensors=tensors, skipped={})
    recognise(file, {"num_attention_heads": 2})


def seeds() -> list[bytes]:
    """Those of transformers; the reference's models take seconds to be traced."""
    states = [
        transformers_checkpoints.lxmert_state(),
        transformers_checkpoints.visualbert_state(),
    ]
    return [
        "\n".join(
            " ".join([name, *map(str, value.shape)]) for name, value in state.items()
        ).encode()
        for state in states
    ]
