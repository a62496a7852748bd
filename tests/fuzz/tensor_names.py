"""Names of a checkpoint's tensors, by which its model is recognised."""

import functools
import re
from pathlib import Path

import numpy as np

from checkpoints_conversion.recognition import recognise
from tests.helpers import transformers_checkpoints
from xabl.data.checkpoints.tensors import Tensor, TensorFile


def read(folder: Path, content: bytes) -> None:
    """A name a line.

    Shapes are those of the seeds: every other size would be a model to be traced.
    """
    tensors = {
        name: Tensor(
            shape=_shapes().get(_kind(name), (8,)),
            dtype=np.dtype("f4"),
            read=lambda: np.zeros(()),
        )
        for name in content.decode(errors="replace").split("\n")
    }
    path = folder / "model.safetensors"
    file = TensorFile(path=path, layout="names", tensors=tensors, skipped={})
    recognise(file, {"num_attention_heads": 2})


def seeds() -> list[bytes]:
    """Those of transformers; the reference's models take seconds to be traced."""
    return ["\n".join(state).encode() for state in _states()]


@functools.cache
def _states() -> tuple[dict[str, np.ndarray], ...]:
    return (
        transformers_checkpoints.lxmert_state(),
        transformers_checkpoints.visualbert_state(),
    )


@functools.cache
def _shapes() -> dict[str, tuple[int, ...]]:
    return {_kind(name): v.shape for state in _states() for name, v in state.items()}


def _kind(name: str) -> str:
    return re.sub(r"\d+", "", name)
