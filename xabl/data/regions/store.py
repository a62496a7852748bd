"""Our own file of image regions: packed arrays, made once for a list of images."""

import functools
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import h5py
import numpy as np

from xabl.data.regions.hdf5_files import VisitedRegions, new_hdf5, reading
from xabl.data.regions.image_regions import (
    ImageRegions,
    combined_sha256,
)
from xabl.data.regions.records import ARRAYS
from xabl.data.regions.source import RegionSource
from xabl.errors import UserError
from xabl.support.atomic import check_room
from xabl.support.image_ids import canonical_id, rows_by_id

FORMAT = "xabl regions"
VERSION = 1
_NUMBERS = ("num_boxes", "img_w", "img_h")
_DIGESTS = "sha256"  # of each image, as `ImageRegions.sha256`; older stores lack them


class RegionStore(VisitedRegions):
    """An imported region store, opened for reading.

    manifest: where the regions came from and the digest of what they are
        (`content_sha256`, equal to `StackedRegions.sha256` of all images in order).
    """

    form = "region store"

    def __init__(self, path: Path):
        super().__init__(path)
        try:
            self._check_layout()
        except UserError:
            self.close()
            raise

    @functools.cached_property
    def image_ids(self) -> tuple[str, ...]:
        with reading(self.path):
            return tuple(self._file["image_ids"].asstr()[()])

    @functools.cached_property
    def manifest(self) -> dict[str, object]:
        with reading(self.path):
            manifest = json.loads(self._file.attrs["manifest"])
            return {**manifest, "source": {**manifest["source"]}}

    def read(self, image_id: str) -> ImageRegions:
        row = self._rows.get(canonical_id(image_id))
        if row is None:
            raise self.missing_image(image_id)
        self._visit(image_id)
        with reading(self.path, image_id):
            n, width, height = (int(self._file[name][row]) for name in _NUMBERS)
            arrays = {
                name: self._file[name][row, :n] if name in self._file else None
                for name in ARRAYS
            }
            image = ImageRegions(
                image_id=canonical_id(image_id), img_w=width, img_h=height, **arrays
            )
            digest = self._file[_DIGESTS][row] if _DIGESTS in self._file else None
            if digest is not None and bytes(digest).hex() != image.sha256():
                raise UserError(
                    f"{self.path}: image {image_id} is not what was imported: the "
                    "store is damaged; import it again"
                )
        return image.validated(str(self.path), n)

    @functools.cached_property
    def _rows(self) -> dict[str, int]:
        return rows_by_id(self.image_ids)

    def _check_layout(self) -> None:
        with reading(self.path):
            self._check_parts()

    def _check_parts(self) -> None:
        if self._file.attrs.get("version") != VERSION:
            raise UserError(
                f"{self.path}: a region store of version "
                f"{self._file.attrs.get('version')}, this program reads {VERSION}; "
                "import it again"
            )
        arrays = (name for name, (_, optional) in ARRAYS.items() if not optional)
        needed = {"image_ids", *_NUMBERS, *arrays}
        if not needed <= set(self._file) or "manifest" not in self._file.attrs:
            raise UserError(
                f"{self.path}: a region store that was not finished; import it again"
            )


def write(
    path: Path,
    images: Iterable[ImageRegions],
    image_ids: Sequence[str],
    source: dict[str, object],
    overwrite: bool = False,
) -> None:
    """Writes a region store, one image in memory at a time.

    Args:
        images: all of `image_ids`, in any order; all or none have a given field, and
            all have one feature size. Numbers of boxes may differ.
        image_ids: the order of the store.
        source: where the images come from, kept in the manifest.

    Raises:
        UserError: the file exists or cannot be written, an image is missing, or
            the images do not have the same fields.
    """
    rows = rows_by_id(image_ids)
    digests: dict[int, str] = {}
    with new_hdf5(Path(path), overwrite) as (file, check):
        for image in images:
            if not digests:
                check_room(path, _bytes_of(image) * len(image_ids))
                _create_arrays(file, len(image_ids), image)
            row = rows[canonical_id(image.image_id)]
            _write_row(file, row, image, source)
            digests[row] = image.sha256()
            check()
        missing = [i for i in image_ids if rows[canonical_id(i)] not in digests]
        if missing:
            raise UserError(f"no regions for image {missing[0]} and so no store")
        strings = h5py.string_dtype()
        file.create_dataset("image_ids", data=list(rows), dtype=strings)
        listed = [digests[row] for row in sorted(digests)]
        file[_DIGESTS] = np.array([list(bytes.fromhex(d)) for d in listed], np.uint8)
        manifest = {
            "source": source,
            "images": len(image_ids),
            "content_sha256": combined_sha256(listed),
        }
        file.attrs.update(
            format=FORMAT, version=VERSION, manifest=json.dumps(manifest, indent=1)
        )


def _bytes_of(image: ImageRegions) -> int:
    arrays = (getattr(image, name) for name in ARRAYS)
    return sum(array.nbytes for array in arrays if array is not None)


def _create_arrays(file: h5py.File, num_images: int, first: ImageRegions) -> None:
    """Empty arrays for all images; as wide as the first, to be widened if needed."""
    for name in _NUMBERS:
        file.create_dataset(name, (num_images,), np.int32)
    for name in ARRAYS:
        array = getattr(first, name)
        if array is not None:
            file.create_dataset(
                name,
                (num_images, *array.shape),
                array.dtype,
                maxshape=(num_images, None, *array.shape[1:]),
                chunks=(1, *array.shape),  # read image by image
            )


def _write_row(
    file: h5py.File, row: int, image: ImageRegions, source: dict[str, object]
) -> None:
    for name in _NUMBERS:
        file[name][row] = getattr(image, name)
    for name in ARRAYS:
        array = getattr(image, name)
        there = name in file
        if there != (array is not None) or (
            there and array.shape[1:] != file[name].shape[2:]
        ):
            found = "none" if array is None else f"shape {array.shape}"
            first = f"shape {file[name].shape[1:]}" if there else "none"
            raise UserError(
                f"{source.get('name')}: image {image.image_id}: {name}: {found}, but "
                f"the first image has {first}; import such images into separate stores"
            )
        if array is not None:
            if len(array) > file[name].shape[1]:
                file[name].resize(len(array), axis=1)
            file[name][row, : len(array)] = array


def import_regions(
    source: RegionSource,
    image_ids: Sequence[str],
    output: Path,
    overwrite: bool = False,
    on_image: Callable[[], None] | None = None,
) -> None:
    """Copies the regions of the images listed from any region file to a new store.

    Args:
        on_image: called after each image, to show progress.

    Raises:
        UserError: images without regions, or bad ones (all counted, the first ones
            named); the output exists or cannot be written.
    """
    output = Path(output)
    if output.exists() and output.samefile(source.path):
        raise UserError(f"{output} is the source itself; choose another output")
    problems: list[UserError] = []
    images = source.read_many(image_ids, lambda _, error: problems.append(error))

    def good_images() -> Iterable[ImageRegions]:
        for image in images:
            yield image
            if on_image is not None:
                on_image()
        if problems:
            shown = "".join(f"\n  {problem}" for problem in problems[:5])
            raise UserError(
                f"{len(problems)} of {len(image_ids)} images cannot be imported, no "
                f"store is written; the first of them:{shown}"
            )

    described = {
        "form": source.form,
        "name": source.path.name,
        "bytes": size_of(source.path),
    }
    write(output, good_images(), image_ids, described, overwrite)


def size_of(path: Path) -> int:
    """Bytes of a file, or of the files in a folder."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size
