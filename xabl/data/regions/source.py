"""What every file of image regions can be asked, whatever its format."""

import abc
import dataclasses
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from xabl.data.box_forms import BoxForms, OnError, Size
from xabl.data.regions.frame import Reach, in_frame
from xabl.data.regions.image_regions import (
    ImageRegions,
    StackedRegions,
)
from xabl.errors import DiskFails, UserError
from xabl.support.image_ids import by_loose_id, canonical_id, other_form, rows_by_id

_STACKED = tuple(
    field.name
    for field in dataclasses.fields(StackedRegions)
    if field.name != "image_ids"
)


class RegionSource(abc.ABC):
    """Image regions in a file, read image by image; a context manager.

    Everything read is validated. Image ids are compared by `canonical_id`.
    """

    form: str  # the file format in words, for messages

    def __init__(self, path: Path):
        self.path = path
        self._rescaled: list[tuple[Size, Size]] = []  # from, to

    @property
    @abc.abstractmethod
    def image_ids(self) -> tuple[str, ...]:
        """Ids of all images, in the order of the file."""

    @abc.abstractmethod
    def read(self, image_id: str) -> ImageRegions:
        """The regions of one image.

        Raises:
            UserError: the image is not there, cannot be read, or is not `validated`.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Gives the file back; reading after it is an error."""

    @property
    def has_cls_prob(self) -> bool:
        """Whether the detector's class distributions are there (MRC-KL needs them)."""
        return self._first_image().cls_prob is not None

    @property
    def feature_size(self) -> int:
        """Length of a region's feature vector."""
        return self._first_image().features.shape[1]

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the file as a whole, for inspection."""
        return ()

    @property
    def is_empty(self) -> bool:
        """Whether it holds no image."""
        return not self.image_ids

    def read_many(
        self,
        image_ids: Sequence[str],
        on_error: OnError | None = None,
        sizes: Mapping[str, Size] | None = None,
    ) -> Iterator[ImageRegions]:
        """Reads images, each once, in the order that costs least.

        Args:
            image_ids: no id twice.
            on_error: called for an image that is missing or bad, which is then left
                out; without it the first such image raises.
            sizes: width and height that the annotations of each image have, if boxes
                will be compared with them: boxes of a resized image are brought to its
                frame (`notice` then says so), others are bad.

        Raises:
            UserError: as `read`; or, at the end, what only all images together show:
                boxes in another form, or another frame than that of the images.
        """
        reach, forms = Reach(), BoxForms()
        wanted = {canonical_id(name): size for name, size in (sizes or {}).items()}
        on_error = forms.watching(on_error)
        for image in self._each(image_ids, on_error):
            reach.add(image)
            forms.add(image.boxes, (image.img_w, image.img_h))
            size = wanted.get(canonical_id(image.image_id), (image.img_w, image.img_h))
            try:
                framed = in_frame(image, size, str(self.path))
            except UserError as error:
                on_error(image.image_id, error)
                continue
            if framed is not image:
                self._rescaled.append(((image.img_w, image.img_h), size))
            yield framed
        problem = forms.problem or reach.problem
        if problem:
            raise UserError(f"{self.path}: {problem}")

    @property
    def notice(self) -> str | None:
        """What the user should know of the images read: a line, if anything."""
        if not self._rescaled:
            return None
        (found_w, found_h), (width, height) = self._rescaled[0]
        return (
            f"{self.path}: the boxes of {len(self._rescaled)} images are in the frame "
            f"of a resized image ({found_w} x {found_h} pixels where the annotations "
            f"have {width} x {height}); they are brought to the annotations' frame"
        )

    def _each(
        self, image_ids: Sequence[str], on_error: OnError
    ) -> Iterator[ImageRegions]:
        """As `read_many`, image by image and as the file has them."""
        for image_id in image_ids:
            try:
                image = self.read(image_id)
            except UserError as error:
                if isinstance(error, DiskFails):
                    raise
                on_error(image_id, error)
                continue
            yield image

    def read_all(
        self,
        image_ids: Sequence[str],
        on_error: OnError | None = None,
        sizes: Mapping[str, Size] | None = None,
    ) -> StackedRegions:
        """Reads images into one array per field, in the order of `image_ids`.

        Images given to `on_error` are missing in the result; otherwise as `read_many`.

        Raises:
            UserError: as `read`; no image could be read; the images differ in feature
                size or only some have `cls_prob`.
        """
        rows = rows_by_id(image_ids)
        if len(rows) != len(image_ids):
            raise ValueError("an image id is asked for twice")
        arrays: dict[str, np.ndarray] = {}
        filled = np.zeros(len(image_ids), bool)
        errors: list[UserError] = []

        def left_out(image_id: str, error: UserError) -> None:
            errors.append(error)
            on_error(image_id, error)

        for image in self.read_many(image_ids, on_error and left_out, sizes):
            arrays = arrays or _empty_arrays(len(image_ids), image)
            row = rows[canonical_id(image.image_id)]
            self._fill_row(arrays, row, image)
            filled[row] = True
        if not arrays:
            raise UserError(
                f"{self.path}: none of the images asked for could be read"
                + (f"; the first: {errors[0]}" if errors else "")
            )
        if not filled.all():
            arrays = {name: array[filled] for name, array in arrays.items()}
        return StackedRegions(
            image_ids=tuple(itertools.compress(image_ids, filled)),
            **{name: arrays.get(name) for name in _STACKED},
        )

    def missing_image(
        self, image_id: str, known: Mapping[str, str] | None = None
    ) -> UserError:
        """Says so, and which id of the file may be meant.

        Args:
            known: ids of the file, as `by_loose_id` has them; None: all.
        """
        if known is None:
            known = self._by_loose_id
        cure = other_form(image_id, known) or (
            "take the file with the regions of this split, or leave the image out"
        )
        return UserError(f"{self.path} has no regions for image {image_id}; {cure}")

    @functools.cached_property
    def _by_loose_id(self) -> dict[str, str]:
        try:
            return by_loose_id(self.image_ids)
        except UserError:  # said by whoever needs the list
            return {}

    def _first_image(self) -> ImageRegions:
        return self.read(self.image_ids[0])

    def _fill_row(
        self, arrays: dict[str, np.ndarray], row: int, image: ImageRegions
    ) -> None:
        """Puts an image into its row, in wider arrays if it has more boxes."""
        for name in _STACKED:
            value = getattr(image, name)
            array = arrays.get(name)
            if (value is None) != (array is None) or (
                np.ndim(value) == 2 and value.shape[1] != array.shape[2]
            ):
                raise UserError(
                    f"{self.path}: image {image.image_id} has {name} of another size "
                    "than the images before it, or has it where they do not; such "
                    "images cannot be evaluated together"
                )
            if np.ndim(value) == 0:
                if value is not None:
                    array[row] = value
                continue
            if len(value) > array.shape[1]:
                wider = [(0, 0)] * array.ndim
                wider[1] = (0, len(value) - array.shape[1])
                arrays[name] = array = np.pad(array, wider)
            array[row, : len(value)] = value

    def __enter__(self):
        return self

    def __exit__(self, *exception) -> None:
        self.close()


def _empty_arrays(num_images: int, first: ImageRegions) -> dict[str, np.ndarray]:
    """Arrays of zeros for all images, as wide as the first one."""
    arrays = {}
    for name in _STACKED:
        value = getattr(first, name)
        if isinstance(value, np.ndarray):
            arrays[name] = np.zeros((num_images, *value.shape), value.dtype)
        elif value is not None:
            arrays[name] = np.zeros(num_images, np.int32)
    return arrays
