"""Region features as published in HDF5 (the IGLUE release): one group an image."""

import functools
from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np

from xabl.data.regions.image_regions import ImageRegions, canonical_id
from xabl.data.regions.records import (
    FIELD_NAMES,
    record_of_regions,
    regions_of_record,
)
from xabl.data.regions.source import RegionSource
from xabl.errors import UserError
from xabl.support.atomic import new_file

_LARGEST_FIELD = 64 * 2**20  # bytes; features of an image have 0.3 MB


class Hdf5Regions(RegionSource):
    """An HDF5 file with one group an image."""

    form = "HDF5 file of region features"

    def __init__(self, path: Path):
        super().__init__(path)
        self._file = open_hdf5(path)

    @functools.cached_property
    def image_ids(self) -> tuple[str, ...]:
        return tuple(self._groups)

    def read(self, image_id: str) -> ImageRegions:
        if canonical_id(image_id) not in self._groups:
            raise self.missing_image(image_id)
        name = self._groups[canonical_id(image_id)]
        try:
            group = self._file[name]
            if not isinstance(group, h5py.Group):
                raise UserError(f"{self.path}: entry {image_id} is not a group")
            record = self._record(group, image_id)
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            raise UserError(
                f"{self.path}: image {image_id} cannot be read ({error}); the file is "
                "damaged: fetch it again"
            ) from error
        return regions_of_record(record, image_id, str(self.path))

    def close(self) -> None:
        self._file.close()

    @functools.cached_property
    def _groups(self) -> dict[str, str]:
        """Names of the groups by canonical image id."""
        return {canonical_id(name): name for name in self._file}

    def _record(self, group: h5py.Group, image_id: str) -> dict[str, object]:
        record: dict[str, object] = dict(group.attrs)
        for name in FIELD_NAMES:
            dataset = group.get(name)
            if dataset is None:
                continue
            if not isinstance(dataset, h5py.Dataset) or dataset.nbytes > _LARGEST_FIELD:
                raise UserError(
                    f"{self.path}: image {image_id}: {name} is no array of the size "
                    "that an image's regions have"
                )
            record[name] = np.asarray(dataset[()])
        return record


def open_hdf5(path: Path) -> h5py.File:
    """Opens an HDF5 file for reading, also on a read-only or network disk.

    Raises:
        UserError: the file is cut, damaged or no HDF5 file.
    """
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read as HDF5 ({error}); the file is cut or damaged: "
            "make or fetch it again"
        ) from error


def write(path: Path, images: Iterable[ImageRegions], overwrite: bool = False) -> None:
    """Writes images as a published HDF5 file, which has no `cls_prob`.

    Raises:
        UserError: the file exists or cannot be written.
    """
    with (
        new_file(Path(path), overwrite) as temporary,
        h5py.File(temporary, "w") as file,
    ):
        for image in images:
            group = file.create_group(image.image_id)
            for name, value in record_of_regions(image, short_names=True).items():
                group.create_dataset(name, data=value)
