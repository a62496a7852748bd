"""Named tensors of a file, read one at a time."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tensor:
    """One tensor of a checkpoint, not yet in memory.

    Attributes:
        read: returns the values as an array of the tensor's own type.
        identity: equal for two tensors that are the same bytes of the file; None when
            the file does not say.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]
    identity: object = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class TensorFile:
    """The weights of a checkpoint.

    Attributes:
        layout: how the file is written, for the report.
        tensors: by their names in the file, in its order.
        skipped: what the file holds beside the weights, each with what became of it.
        parts: the files with the tensors, where `path` is only their index.
    """

    path: Path
    layout: str
    tensors: dict[str, Tensor]
    skipped: dict[str, str]
    parts: tuple[Path, ...] = ()
