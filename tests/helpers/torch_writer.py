"""Writes what `torch.save` would, in both layouts, without PyTorch."""

import collections
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

LAYOUTS = ("zip", "sequence")

_STORAGE_TYPES = {
    np.dtype("f8"): "DoubleStorage",
    np.dtype("f4"): "FloatStorage",
    np.dtype("f2"): "HalfStorage",
    np.dtype(ml_dtypes.bfloat16): "BFloat16Storage",
    np.dtype("i8"): "LongStorage",
}


def write_torch_file(path: Path, value: Any, layout: str) -> Path:
    """Saves any object; arrays in it become tensors, one storage for each array.

    An array met twice is written once, as tied parameters are.
    """
    description = io.BytesIO()
    pickler = _Pickler(description)
    pickler.dump(value)
    arrays = pickler.arrays.values()
    if layout == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", description.getvalue())
            archive.writestr("archive/byteorder", "little")
            for key, array in arrays:
                with archive.open(f"archive/data/{key}", "w") as member:
                    member.write(np.ascontiguousarray(array).tobytes())
            archive.writestr("archive/version", "3\n")
        return path
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    with path.open("wb") as file:
        for preamble in (0x1950A86A20F9469CFC6C, 1001, system):
            pickle.dump(preamble, file, protocol=2)
        file.write(description.getvalue())
        pickle.dump([key for key, _ in arrays], file, protocol=2)
        for _, array in arrays:
            file.write(array.size.to_bytes(8, "little"))
            file.write(np.ascontiguousarray(array).tobytes())
    return path


class Global:
    """Pickled as the bare name of a function or class that need not exist."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    def __call__(self, *args: Any) -> Any:
        raise AssertionError("only its name is for writing")


class Call:
    """Pickled as a call of `function` with `args`."""

    def __init__(self, function: Global, *args: Any) -> None:
        self.function, self.args = function, args


class StorageReference:
    """Pickled as a persistent id."""

    def __init__(self, reference: tuple) -> None:
        self.reference = reference


class _Pickler(pickle._Pickler):  # the one in Python, whose `save` can be extended
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=2)
        self.arrays: dict[int, tuple[str, np.ndarray]] = {}

    def persistent_id(self, obj: Any) -> Any:
        return obj.reference if isinstance(obj, StorageReference) else None

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if isinstance(obj, Global):
            self.write(f"c{obj.module}\n{obj.name}\n".encode())
        elif isinstance(obj, Call):
            self.save_reduce(obj.function, obj.args)
        elif isinstance(obj, np.ndarray):
            self.save_reduce(
                Global("torch._utils", "_rebuild_tensor_v2"), self._v2(obj)
            )
        else:
            super().save(obj, save_persistent_id)

    def _v2(self, array: np.ndarray) -> tuple:
        key, _ = self.arrays.setdefault(id(array), (str(len(self.arrays)), array))
        kind = Global("torch", _STORAGE_TYPES[array.dtype])
        storage = StorageReference(("storage", kind, key, "cpu", array.size))
        strides, step = [], 1
        for size in reversed(array.shape):
            strides.insert(0, step)
            step *= size
        hooks = collections.OrderedDict()
        return storage, 0, array.shape, tuple(strides), False, hooks
