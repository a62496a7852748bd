"""Region features as published in LMDB directories: one pickled record per image.

The package lmdb is needed for writing alone, and is imported there.
"""

import functools
import itertools
import pickle
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from xabl.data import safe_pickle
from xabl.data.lmdb_reader import LmdbFile
from xabl.data.regions.image_regions import ImageRegions
from xabl.data.regions.records import (
    in_base64,
    record_of_regions,
    regions_of_record,
)
from xabl.data.regions.source import RegionSource
from xabl.errors import UserError
from xabl.support.atomic import new_directory
from xabl.support.image_ids import by_canonical_id, canonical_id

_KEYS = b"keys"  # the entry that lists the others
_FIRST_MAP_SIZE = 2**24


class LmdbRegions(RegionSource):
    """An LMDB directory; nothing is written into it, not even a lock."""

    form = "LMDB directory of region features"

    def __init__(self, path: Path):
        super().__init__(path)
        self._entries = LmdbFile(path)

    @property
    def image_ids(self) -> tuple[str, ...]:
        return tuple(self._names)

    @functools.cached_property
    def _names(self) -> dict[str, str]:
        """The keys, by canonical image id."""
        value = self._entries.get(_KEYS)
        if value is None:
            keys = list(self._entries.keys())
        else:
            keys = self._unpickled(value, "keys")
        if not isinstance(keys, list) or not all(
            isinstance(key, (bytes, str)) for key in keys
        ):
            raise UserError(f"{self.path}: the entry `keys` is no list of image ids")
        return by_canonical_id(
            (
                key.decode(errors="replace") if type(key) is bytes else key
                for key in keys
            ),
            str(self.path),
        )

    @property
    def is_empty(self) -> bool:
        return all(key == _KEYS for key in itertools.islice(self._entries.keys(), 2))

    @property
    def problems(self) -> tuple[str, ...]:
        """The entry `keys` and the entries themselves may be of two downloads."""
        there = {key for key in self._entries.keys() if key != _KEYS}
        lost = [i for i, name in self._names.items() if name.encode() not in there]
        listed = f"the entry `keys` lists {len(self.image_ids)} images"
        if lost:
            return (
                f"{listed}, of which {len(lost)} are not there (the first: {lost[0]}): "
                "fetch the file again",
            )
        more = there - {name.encode() for name in self._names.values()}
        images = sorted(key.decode() for key in more if key.isdigit())
        if images:
            return (
                f"{listed}, and {len(images)} more are there (the first: {images[0]}): "
                "write the entry again with all of them, or take it out",
            )
        return ()

    def read(self, image_id: str) -> ImageRegions:
        value = self._entries.get(canonical_id(image_id).encode())
        if value is None or image_id != canonical_id(image_id):
            name = self._names.get(canonical_id(image_id))  # the only one, or an error
            if value is None and name is not None:
                value = self._entries.get(name.encode())
        if value is None:
            raise self.missing_image(image_id)
        record = self._unpickled(value, f"image {image_id}")
        if not isinstance(record, dict):
            raise UserError(
                f"{self.path}: image {image_id}: a {type(record).__name__}, not a "
                "dictionary of region features"
            )
        return regions_of_record(record, image_id, str(self.path))

    def close(self) -> None:
        self._entries.close()

    def _unpickled(self, value: bytes, entry: str) -> object:
        return safe_pickle.load(
            value, source=f"{self.path}: {entry}", names=safe_pickle.NUMPY_NAMES
        )


def write(
    path: Path,
    images: Iterable[ImageRegions],
    as_arrays: bool = False,
    overwrite: bool = False,
) -> None:
    """Writes images as an LMDB directory no larger than they need.

    Args:
        as_arrays: the newer form: numpy arrays under the names of the HDF5 files,
            which has no `cls_prob`; otherwise base64 text.

    Raises:
        UserError: the directory exists or cannot be written.
    """
    import lmdb

    with new_directory(Path(path), overwrite, holds="data.mdb") as temporary:
        try:
            _write(temporary, images, as_arrays)
        except lmdb.Error as error:  # the system's refusals, as of a full disk
            raise UserError(
                f"{path} cannot be written ({error}); choose another output or make "
                "room"
            ) from error


def _write(folder: Path, images: Iterable[ImageRegions], as_arrays: bool) -> None:
    import lmdb

    # Without a lock file: it would be written to through memory, and on a full disk
    # that ends the process.
    with lmdb.open(str(folder), map_size=_FIRST_MAP_SIZE, lock=False) as environment:
        keys = []
        for image in images:
            keys.append(canonical_id(image.image_id).encode())
            record = record_of_regions(image, short_names=as_arrays)
            if not as_arrays:
                record = OrderedDict(img_id=image.image_id, **in_base64(record))
            _put(environment, keys[-1], pickle.dumps(record))
        _put(environment, _KEYS, pickle.dumps(keys))


def _put(environment: Any, key: bytes, value: bytes) -> None:
    """Stores an entry, in a larger map if it does not fit."""
    import lmdb

    try:
        with environment.begin(write=True) as transaction:
            transaction.put(key, value)
    except lmdb.MapFullError:
        environment.set_mapsize(2 * environment.info()["map_size"] + len(value))
        _put(environment, key, value)
