"""Region features as published in HDF5 (the IGLUE release): one group per image."""

import contextlib
import functools
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from xabl.data.regions import scout
from xabl.data.regions.image_regions import ImageRegions
from xabl.data.regions.records import (
    FIELD_NAMES,
    record_of_regions,
    regions_of_record,
)
from xabl.data.regions.source import OnError, RegionSource
from xabl.errors import UserError, naming
from xabl.support.atomic import new_file
from xabl.support.image_ids import by_canonical_id, canonical_id

_SIGNATURE = b"\x89HDF\r\n\x1a\n"  # begins a file
_LARGEST_FIELD = 64 * 2**20  # bytes; features of an image have 0.3 MB


class VisitedRegions(RegionSource):
    """Regions in HDF5, which another process reads first: see `scout`."""

    def __init__(self, path: Path):
        super().__init__(path)
        self._visited: set[str] = set()
        self._file = open_hdf5(path)

    def close(self) -> None:
        self._file.close()

    def _each(
        self, image_ids: Sequence[str], on_error: OnError
    ) -> Iterator[ImageRegions]:
        for first in range(0, len(image_ids), scout.AHEAD):
            batch = image_ids[first : first + scout.AHEAD]
            with contextlib.suppress(UserError):  # found again at its image
                scout.visit(self.path, batch)
                self._visited.update(batch)
            yield from super()._each(batch, on_error)

    def _visit(self, image_id: str) -> None:
        """Has an image read elsewhere, unless that has just been done."""
        if image_id in self._visited:
            self._visited.remove(image_id)
        else:
            scout.visit(self.path, [image_id])


class Hdf5Regions(VisitedRegions):
    """An HDF5 file with one group per image."""

    form = "HDF5 file of region features"

    @functools.cached_property
    def image_ids(self) -> tuple[str, ...]:
        return tuple(self._groups)

    def read(self, image_id: str) -> ImageRegions:
        if canonical_id(image_id) not in self._groups:
            raise self.missing_image(image_id)
        self._visit(image_id)
        name = self._groups[canonical_id(image_id)]
        with reading(self.path, image_id):
            group = self._file[name]
            if not isinstance(group, h5py.Group):
                raise UserError(
                    f"{self.path}: entry {image_id} is not a group; expected a group "
                    "with the regions of each image"
                )
            record = self._record(group, image_id)
        return regions_of_record(record, image_id, str(self.path))

    @functools.cached_property
    def _groups(self) -> dict[str, str]:
        """Names of the groups by canonical image id."""
        with reading(self.path):
            names = list(self._file)
            for name in names:
                if not isinstance(name, str):  # the library gives bytes
                    raise UserError(
                        f"{self.path}: entry {name!r} has a name that is not UTF-8: "
                        "the file is damaged; make or fetch it again"
                    )
            kinds = (self._file.get(name, getclass=True) for name in names)
            if names and all(kind is h5py.Dataset for kind in kinds):
                raise UserError(
                    f"{self.path}: arrays ({', '.join(names[:5])}), where a group with "
                    "the regions of each image is expected: write one for each, or "
                    "give the published file"
                )
            return by_canonical_id(names, str(self.path))

    def _record(self, group: h5py.Group, image_id: str) -> dict[str, object]:
        record: dict[str, object] = dict(group.attrs)
        # The library's `get` and `in` take what cannot be read for absent.
        there = set(group)
        for name in there.intersection(FIELD_NAMES):
            dataset = group[name]
            if not isinstance(dataset, h5py.Dataset) or dataset.nbytes > _LARGEST_FIELD:
                raise UserError(
                    f"{self.path}: image {image_id}: {name} is no array of the size "
                    "that an image's regions have"
                )
            if dataset.is_virtual:
                self._check_parts(dataset, f"image {image_id}: {name}")
            value = np.asarray(dataset[()])
            if name in record and not np.array_equal(record[name], value):
                raise UserError(
                    f"{self.path}: image {image_id}: {name} is given twice, as an "
                    "array and as an attribute, with different values; write the file "
                    "again with one of them"
                )
            record[name] = value
        return record

    def _check_parts(self, dataset: h5py.Dataset, place: str) -> None:
        """Refuses an array from other files that are gone: zeros would be read."""
        for part in dataset.virtual_sources():
            if (
                part.file_name != "."
                and not (self.path.parent / part.file_name).is_file()
            ):
                raise UserError(
                    f"{self.path}: {place} lies in {part.file_name}, which is missing; "
                    "fetch it, too"
                )


def open_hdf5(path: Path) -> h5py.File:
    """Opens an HDF5 file for reading, also on a read-only or network disk.

    Raises:
        UserError: the file is cut, damaged or no HDF5 file.
    """
    with reading(path):
        _check_driver(path)
    scout.visit(path)
    with reading(path):
        return h5py.File(path, "r", locking=False)


def _check_driver(path: Path) -> None:
    """Refuses a file with a block for the driver that wrote it.

    Whatever size such a block claims to have the library takes in memory, up to 4 GB.
    """
    at, start = 0, b""
    with path.open("rb") as file:
        while not start.startswith(_SIGNATURE):  # which a user's own block may precede
            file.seek(at)
            start = file.read(256)
            if not start:
                return
            at = 2 * at or 512
    version, size = start[8], start[13]  # of the superblock; of an address in the file
    if version > 1:
        return
    address = start[24 + 4 * version + 3 * size :][:size]
    if address.strip(b"\xff"):
        raise UserError(
            f"{path}: one of several files that make up an HDF5 file, or damaged; "
            "expected one whole file: join them with h5repart, or fetch it again"
        )


@contextlib.contextmanager
def reading(path: Path, image_id: str | None = None) -> Iterator[None]:
    """Turns whatever the library raises for a file into a UserError.

    Raises:
        UserError: names the file, and the image if there is one.
    """
    try:
        with naming(path):
            yield
    except UserError:
        raise
    except Exception as error:  # a damaged file may show in any way
        place = "" if image_id is None else f"image {image_id} "
        raise UserError(
            f"{path}: {place}cannot be read as HDF5 ({str(error)[:200]}); the file is "
            "cut or damaged: make or fetch it again"
        ) from error


@contextlib.contextmanager
def new_hdf5(
    path: Path, overwrite: bool = False
) -> Iterator[tuple[h5py.File, Callable[[], None]]]:
    """An HDF5 file to be written, and a check to call after each part of it.

    It is moved to `path` when the block ends well. If a write fails (a full disk), the
    library crashes when it closes the file. So errors are kept from it, and the check
    raises them.

    Raises:
        UserError: the file exists or cannot be written.
    """
    with new_file(path, overwrite, begins=_SIGNATURE) as temporary:
        with _QuietFile(temporary, "w+b") as bytes_:
            with h5py.File(bytes_, "w") as file:
                yield file, bytes_.check
        bytes_.check()


class _QuietFile(io.FileIO):
    """Keeps the first failed write for `check`, and the bytes that were not written.

    The library may read them again before it closes the file.
    """

    error: OSError | None = None

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        self._unwritten: list[tuple[int, bytes]] = []

    def check(self) -> None:
        """Raises the error that was kept."""
        if self.error is not None:
            raise self.error

    def write(self, content: Any) -> int:
        at, left = self.tell(), memoryview(content).cast("B")
        try:
            while left and self.error is None:
                left = left[super().write(left) :]
        except OSError as error:
            self.error = error
        if left:
            self._unwritten.append((at, bytes(content)))
        return len(content)

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0

    def readinto(self, buffer: Any) -> int:
        at = self.tell()
        count = super().readinto(buffer)
        buffer = memoryview(buffer).cast("B")
        for start, content in self._unwritten:
            first, last = max(at, start), min(at + len(buffer), start + len(content))
            if first < last:
                buffer[first - at : last - at] = content[first - start : last - start]
                count = max(count, last - at)
        return count


def write(path: Path, images: Iterable[ImageRegions], overwrite: bool = False) -> None:
    """Writes images as a published HDF5 file, which has no `cls_prob`.

    Raises:
        UserError: the file exists or cannot be written.
    """
    with new_hdf5(Path(path), overwrite) as (file, check):
        for image in images:
            group = file.create_group(image.image_id)
            for name, value in record_of_regions(image, short_names=True).items():
                group.create_dataset(name, data=value)
            check()
