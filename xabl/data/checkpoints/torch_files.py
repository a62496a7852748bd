"""Reads the weights in a PyTorch file without PyTorch and without running anything.

`torch.save` has written two layouts. Since 1.6 a zip archive: `data.pkl` describes the
tensors, `data/<key>` holds each storage. Before, five pickles in a row (magic number,
protocol, system, the object, the storages' keys) and then the storages one after the
other, each preceded by its number of elements. In both, the pickle refers to storages
by persistent ids and calls a few functions of PyTorch that make tensors over them;
`xabl.data.safe_pickle` puts descriptions in their place.
"""

import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from xabl.data import safe_pickle
from xabl.data.checkpoints.tensors import Tensor, TensorFile
from xabl.data.checkpoints.torch_pickle import Storage, View, load_description
from xabl.errors import UserError, naming

# Where programs put the weights that save other things beside them.
WRAPPERS = ("model_state_dict", "state_dict", "model")

_ZIP_START = b"PK\x03\x04"
_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
# What `zipfile` raises for bytes that are no archive, or not one it reads.
_DAMAGED = (
    OSError,
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    ValueError,
    EOFError,
    struct.error,
)
_FETCH_AGAIN = (
    "compare the file's size and hash with the publisher's and fetch it again"
)


def open_torch_file(path: Path) -> TensorFile:
    """Lists the tensors of a state dict, bare or under one of `WRAPPERS`.

    Each tensor is read from the file when it is asked for, so the file must stay.

    Raises:
        UserError: not a PyTorch file, cut or damaged; it asks for a function or class
            that weights do not need; it holds no weights.
    """
    try:
        with naming(path):
            with path.open("rb") as file:
                is_zip = file.read(len(_ZIP_START)) == _ZIP_START
            return _open_zip(path) if is_zip else _open_sequence(path)
    except _DAMAGED as error:
        raise UserError(f"{path}: cannot be read ({error}); {_FETCH_AGAIN}") from error


# ---- The two layouts: where the pickle and the storages are ----


def _open_zip(path: Path) -> TensorFile:
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: info for info in archive.infolist()}
        pickles = [name for name in members if name.split("/", 1)[1:] == ["data.pkl"]]
        if len(pickles) != 1:
            raise UserError(
                f"{path}: a zip archive, but not one written by torch.save (it has "
                f"{len(pickles)} members called data.pkl instead of one)"
            )
        root = pickles[0].removesuffix("data.pkl")
        if f"{root}constants.pkl" in members:
            raise UserError(
                f"{path}: a TorchScript program, not a state dict; save the weights "
                "alone with torch.save(model.state_dict(), FILE)"
            )
        _check_member(path, members[pickles[0]], safe_pickle.MAX_BYTES)
        order = members.get(f"{root}byteorder")
        if order is not None:
            _check_member(path, order, 16)
            if archive.read(order) != b"little":
                raise _big_endian(path)
        content = archive.read(pickles[0])
    value, storages, unknown = load_description(path, content, 0)[:3]
    for storage in storages.values():
        info = members.get(f"{root}data/{storage.key}")
        size = storage.numel * storage.dtype.itemsize
        if info is None or info.file_size != size:
            raise UserError(
                f"{path}: storage {storage.key!r} should have {size} bytes, the "
                f"archive has {info.file_size if info else 'none'}; {_FETCH_AGAIN}"
            )
        _check_member(path, info, size)

    def read(storage: Storage) -> bytes:
        try:  # zipfile compares the member's CRC
            with naming(path), zipfile.ZipFile(path) as archive:
                return archive.read(f"{root}data/{storage.key}")
        except _DAMAGED as error:
            raise UserError(f"{path}: {error}; {_FETCH_AGAIN}") from error

    return _weights(path, "zip", value, unknown, read)


def _check_member(path: Path, info: zipfile.ZipInfo, max_bytes: int) -> None:
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
        raise UserError(
            f"{path}: member {info.filename!r} is compressed or encrypted, which "
            f"torch.save does not do; {_FETCH_AGAIN}"
        )
    if info.file_size > max_bytes:
        raise UserError(
            f"{path}: member {info.filename!r} has {info.file_size} bytes, at most "
            f"{max_bytes} are expected; this is not a state dict"
        )


def _open_sequence(path: Path) -> TensorFile:
    file_bytes = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(safe_pickle.MAX_BYTES)
        at = _check_preamble(path, head)
        value, storages, unknown, at = load_description(path, head, at)
        keys, at = safe_pickle.load_next(head, source=str(path), names={}, offset=at)
        if not isinstance(keys, list) or set(map(str, keys)) != set(storages):
            raise UserError(
                f"{path}: the list of storages does not match the tensors; "
                + _FETCH_AGAIN
            )
        starts = {}
        for key in map(str, keys):
            storage = storages[key]
            file.seek(at)
            size = storage.numel * storage.dtype.itemsize
            if int.from_bytes(file.read(8), "little") != storage.numel or (
                at + 8 + size > file_bytes
            ):
                raise UserError(
                    f"{path}: storage {key!r} should have {storage.numel} elements; "
                    f"the file ({file_bytes} bytes) is cut or damaged: {_FETCH_AGAIN}"
                )
            starts[key] = at + 8
            at += 8 + size

    def read(storage: Storage) -> bytes:
        with naming(path), path.open("rb") as file:
            return _read_exactly(
                file, starts[storage.key], storage.numel * storage.dtype.itemsize
            )

    return _weights(path, "sequence of pickles", value, unknown, read)


def _read_exactly(file: BinaryIO, start: int, size: int) -> bytes:
    file.seek(start)
    content = file.read(size)
    if len(content) != size:
        raise UserError(f"{file.name}: changed while it was read; convert it again")
    return content


def _check_preamble(path: Path, head: bytes) -> int:
    """Offset of the object's pickle, after magic number, protocol and system."""
    at, preamble = 0, []
    try:
        for _ in range(3):
            value, at = safe_pickle.load_next(
                head, source=str(path), names={}, offset=at, max_bytes=4096
            )
            preamble.append(value)
            if preamble[0] != _MAGIC:
                break
    except UserError as error:
        if not preamble:
            raise _not_torch(path) from error
        raise
    if preamble[0] != _MAGIC:
        raise _not_torch(path)
    if preamble[1] != _PROTOCOL or not isinstance(preamble[2], dict):
        raise UserError(
            f"{path}: a PyTorch file of an unknown version ({preamble[1]!r:.50}); "
            "load it with PyTorch and save the state dict again"
        )
    if not preamble[2].get("little_endian", True):
        raise _big_endian(path)
    return at


def _not_torch(path: Path) -> UserError:
    return UserError(
        f"{path}: not a PyTorch file (neither the zip layout nor the one before "
        "PyTorch 1.6); give the .bin, .pth or .tar file that was published, or "
        + _FETCH_AGAIN
    )


def _big_endian(path: Path) -> UserError:
    return UserError(
        f"{path}: written on a big-endian machine; load it with PyTorch there and save "
        "it as .safetensors"
    )


# ---- The weights among what the pickle holds ----


def _weights(
    path: Path,
    layout: str,
    value: Any,
    unknown: list[str],
    read: Callable[[Storage], bytes],
) -> TensorFile:
    skipped: dict[str, str] = {}
    weights = value
    while isinstance(weights, dict):
        found = [key for key in WRAPPERS if isinstance(weights.get(key), dict)]
        if not found:
            break
        skipped |= {
            str(key)[:200]: "training state beside the weights, not read"
            for key in weights
            if key != found[0]
        }
        weights = weights[found[0]]
        layout = f"{layout}, weights under {found[0]}"
    if weights is not value:
        for name in sorted(set(unknown)):
            skipped[f"pickled {name}"[:200]] = "not a weight; nothing of it was run"
    elif unknown:
        raise UserError(
            f"{path}: refused: it asks for {_listed(unknown)}; nothing of the file was "
            "executed. Weights need no such name, so either the file is not a state "
            "dict or it should not be trusted"
        )
    if not isinstance(weights, dict):
        raise UserError(
            f"{path}: holds {type(value).__name__}, not a state dict; save the weights "
            "with torch.save(model.state_dict(), FILE)"
        )
    wrong = [
        f"{str(name)!r:.100} is {_described(entry)}"
        for name, entry in weights.items()
        if not (isinstance(name, str) and isinstance(entry, View))
    ]
    if wrong or not weights:
        raise UserError(
            f"{path}: not a state dict, whose entries are all tensors:\n  "
            + "\n  ".join(wrong or ["it is empty"])
        )
    reader = _Reader(read)
    tensors = {
        name: Tensor(
            shape=view.shape,
            dtype=view.storage.dtype,
            read=lambda view=view: reader.read(view),
            identity=view,
        )
        for name, view in weights.items()
    }
    return TensorFile(path=path, layout=layout, tensors=tensors, skipped=skipped)


def _listed(names: list[str]) -> str:
    return ", ".join(repr(name[:200]) for name in sorted(set(names)))


def _described(entry: Any) -> str:
    if isinstance(entry, safe_pickle.Opaque):
        return f"refused: an object made by {entry.pickled_name[:200]!r}, not executed"
    return f"a {type(entry).__name__}"


class _Reader:
    """Reads tensors, keeping the last storage: often all tensors share one."""

    def __init__(self, read: Callable[[Storage], bytes]) -> None:
        self._read = read
        self._last: tuple[Storage, bytes] | None = None

    def read(self, view: View) -> np.ndarray:
        if self._last is None or self._last[0] != view.storage:
            self._last = None  # let the old one go before the new one comes
            self._last = (view.storage, self._read(view.storage))
        elements = np.frombuffer(self._last[1], view.storage.dtype)[view.offset :]
        item = view.storage.dtype.itemsize
        strides = tuple(stride * item for stride in view.strides)
        return np.lib.stride_tricks.as_strided(
            elements, view.shape, strides, writeable=False
        )
