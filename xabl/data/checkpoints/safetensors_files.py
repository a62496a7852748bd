"""Reads .safetensors files, which hold numbers and nothing else."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open

from xabl.data.checkpoints.tensors import Tensor, TensorFile
from xabl.errors import UserError, naming

_DTYPES = {
    "F64": np.dtype("f8"),
    "F32": np.dtype("f4"),
    "F16": np.dtype("f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I64": np.dtype("i8"),
    "I32": np.dtype("i4"),
}


def open_safetensors(path: Path) -> TensorFile:
    """Lists the tensors; each is read from the file when it is asked for.

    Raises:
        UserError: not such a file, or cut.
    """
    with _opened(path) as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        tensors = {
            name: Tensor(
                shape=tuple(part.get_shape()),
                dtype=_dtype(path, name, part.get_dtype()),
                read=lambda name=name: _read(path, name),
            )
            for name, part in slices.items()
        }
    return TensorFile(path=path, layout="safetensors", tensors=tensors, skipped={})


def _dtype(path: Path, name: str, code: str) -> np.dtype:
    if code not in _DTYPES:
        raise UserError(
            f"{path}: tensor {name} has type {code}; one of {', '.join(_DTYPES)} is "
            "expected"
        )
    return _DTYPES[code]


def _read(path: Path, name: str) -> np.ndarray:
    with _opened(path) as file:
        return file.get_tensor(name)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The library's file, read by calls: one in memory ends the process by a signal
    where its disk fails, or where it becomes shorter.
    """
    try:
        with naming(path), safe_open(path, framework="numpy", backend="pread") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path}: not a readable .safetensors file ({error}); compare its size and "
            "hash with the publisher's and fetch it again"
        ) from error
