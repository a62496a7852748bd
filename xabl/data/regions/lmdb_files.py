"""Region features as published in LMDB directories: one pickled record an image.

The records are pickles of strangers; `xabl.safe_pickle` reads them. The package lmdb is
imported where such a directory is opened: nothing else needs it.
"""

import functools
import pickle
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from xabl import safe_pickle
from xabl.atomic import new_directory
from xabl.data.regions.image_regions import ImageRegions, canonical_id
from xabl.data.regions.records import (
    in_base64,
    record_of_regions,
    regions_of_record,
)
from xabl.data.regions.source import RegionSource
from xabl.errors import UserError

_KEYS = b"keys"  # the entry that lists the others
_FIRST_MAP_SIZE = 2**24


class LmdbRegions(RegionSource):
    """An LMDB directory, opened without writing anything into it, not even a lock."""

    form = "LMDB directory of region features"

    def __init__(self, path: Path):
        import lmdb

        super().__init__(path)
        try:
            self._environment = lmdb.open(
                str(path), readonly=True, lock=False, readahead=False, create=False
            )
        except lmdb.Error as error:
            raise UserError(
                f"{path}: cannot be opened as an LMDB directory ({error}); if its "
                "data.mdb is damaged or of another kind, fetch it again"
            ) from error
        try:
            self._check_length()
        except UserError:
            self.close()
            raise

    @functools.cached_property
    def image_ids(self) -> tuple[str, ...]:
        with self._environment.begin() as transaction:
            value = transaction.get(_KEYS)
            if value is None:
                keys = [key for key in transaction.cursor().iternext(values=False)]
            else:
                keys = self._unpickled(value, "keys")
        if not isinstance(keys, list) or not all(
            isinstance(key, (bytes, str)) for key in keys
        ):
            raise UserError(f"{self.path}: the entry `keys` is no list of image ids")
        return tuple(
            canonical_id(key.decode(errors="replace") if type(key) is bytes else key)
            for key in keys
        )

    def read(self, image_id: str) -> ImageRegions:
        with self._environment.begin() as transaction:
            value = transaction.get(canonical_id(image_id).encode())
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
        self._environment.close()

    def _unpickled(self, value: bytes, entry: str) -> object:
        return safe_pickle.load(
            value, source=f"{self.path}: {entry}", names=safe_pickle.NUMPY_NAMES
        )

    def _check_length(self) -> None:
        """Reading beyond the end of a cut file would kill the process (SIGBUS)."""
        page_size = self._environment.stat()["psize"]
        expected = (self._environment.info()["last_pgno"] + 1) * page_size
        length = (self.path / "data.mdb").stat().st_size
        if length < expected:
            raise UserError(
                f"{self.path}: data.mdb is cut: {length} of {expected} bytes; fetch it "
                "again"
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

    with new_directory(Path(path), overwrite) as temporary:
        with lmdb.open(str(temporary), map_size=_FIRST_MAP_SIZE) as environment:
            keys = []
            for image in images:
                keys.append(canonical_id(image.image_id).encode())
                record = record_of_regions(image, short_names=as_arrays)
                if not as_arrays:
                    record = OrderedDict(img_id=image.image_id, **in_base64(record))
                _put(environment, keys[-1], pickle.dumps(record))
            _put(environment, _KEYS, pickle.dumps(keys))
        (temporary / "lock.mdb").unlink()


def _put(environment: Any, key: bytes, value: bytes) -> None:
    """Stores an entry, in a larger map if it does not fit."""
    import lmdb

    try:
        with environment.begin(write=True) as transaction:
            transaction.put(key, value)
    except lmdb.MapFullError:
        environment.set_mapsize(2 * environment.info()["map_size"] + len(value))
        _put(environment, key, value)
