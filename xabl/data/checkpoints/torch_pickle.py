"""The pickle inside a PyTorch file: descriptions of tensors in place of tensors."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from xabl.data import safe_pickle
from xabl.errors import UserError

_DTYPES = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}


@dataclasses.dataclass(frozen=True)
class _StorageType:
    dtype: np.dtype


@dataclasses.dataclass(frozen=True, kw_only=True)
class Storage:
    """A run of numbers in the file, `key` says which."""

    key: str
    dtype: np.dtype
    numel: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class View:
    """A tensor: elements of a storage, at an offset and with strides."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def load_description(
    path: Path, content: bytes, offset: int
) -> tuple[Any, dict[str, Storage], list[str], int]:
    """(object, storages by key, unknown names met, offset after the pickle)."""
    storages: dict[str, Storage] = {}
    unknown: list[str] = []

    def persistent_load(reference: Any) -> Storage:
        storage = _storage(path, reference)
        if storages.setdefault(storage.key, storage) != storage:
            raise UserError(f"{path}: storage {storage.key!r} has two sizes or types")
        return storage

    def stand_in(name: str) -> type[safe_pickle.Opaque]:
        unknown.append(name)
        return safe_pickle.opaque(name)

    value, end = safe_pickle.load_next(
        content,
        source=str(path),
        names=_NAMES,
        persistent_load=persistent_load,
        unknown=stand_in,
        offset=offset,
    )
    return value, storages, unknown, end


def _storage(path: Path, reference: Any) -> Storage:
    """The storage a persistent id speaks of.

    The id is ("storage", type, key, device, elements), and in the old layout a sixth
    entry for storages that are part of another, which state dicts do not have.
    """
    match reference:
        case ("storage", _StorageType(dtype), str(key), _, int(numel), *rest):
            if rest in ([], [None]) and numel >= 0 and not isinstance(numel, bool):
                return Storage(key=key, dtype=dtype, numel=numel)
    raise UserError(
        f"{path}: a reference to a storage that is not understood; load it with "
        "PyTorch and save the state dict again"
    )


def _rebuild_tensor(
    storage: Any,
    offset: Any,
    shape: Any,
    strides: Any,
    requires_grad: Any = False,
    hooks: Any = (),
    metadata: Any = None,
) -> View:
    """In place of `torch._utils._rebuild_tensor` and `..._v2`."""
    shape, strides = tuple(shape), tuple(strides)
    numbers = (offset, *shape, *strides)
    if (
        not isinstance(storage, Storage)
        or len(shape) != len(strides)
        or not all(isinstance(n, int) and 0 <= n < 2**62 for n in numbers)
    ):
        raise ValueError("a tensor with an impossible shape")
    # Hooks are functions; metadata marks values that are conjugated or negated.
    if hooks or metadata:
        raise ValueError("a tensor with hooks or metadata")
    elements = math.prod(shape)
    last = offset + sum(
        (size - 1) * stride for size, stride in zip(shape, strides, strict=True)
    )
    if elements > storage.numel or (elements and last >= storage.numel):
        raise ValueError(
            f"a tensor of shape {shape[:8]} reaches outside its storage of "
            f"{storage.numel} elements"
        )
    return View(storage=storage, offset=offset, shape=shape, strides=strides)


def _rebuild_parameter(tensor: Any, requires_grad: Any, hooks: Any = ()) -> View:
    """In place of `torch._utils._rebuild_parameter`."""
    if not isinstance(tensor, View) or hooks:
        raise ValueError("a parameter with hooks, or made of something else")
    return tensor


_NAMES: Mapping[str, Any] = {
    **safe_pickle.NUMPY_NAMES,
    "torch._utils._rebuild_tensor": safe_pickle.StandIn(_rebuild_tensor),
    "torch._utils._rebuild_tensor_v2": safe_pickle.StandIn(_rebuild_tensor),
    "torch._utils._rebuild_parameter": safe_pickle.StandIn(_rebuild_parameter),
    **{f"torch.{name}": _StorageType(dtype) for name, dtype in _DTYPES.items()},
}
