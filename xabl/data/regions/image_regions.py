"""What an object detector found in an image, and many images of it stacked."""

import dataclasses
import functools
import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int32, Int64

from xabl.data.box_forms import (
    BORDER_PIXELS,
    BadBoxes,
    are_fractions,
    are_possible,
    other_form,
)
from xabl.data.class_names import DETECTOR_ATTRIBUTES, DETECTOR_CLASSES
from xabl.errors import UserError
from xabl.support.image_ids import canonical_id, rows_by_id

LARGEST_FEATURE = 1e5  # rectified and averaged; published ones stay below 100
HALF_PRECISION = 2e-3  # relative; probabilities may have been rounded to it


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ImageRegions:
    """The regions of one image.

    boxes: x1, y1, x2, y2 in pixels of the image, counted from 0.
    objects_id: 0 ... 1599, one less than the column of `cls_prob`, whose column 0 is
        background; objects_conf is the probability of that object.
    attrs_id, attrs_conf: the same for attributes.
    None: the file the regions come from does not have it.
    """

    image_id: str
    img_w: int
    img_h: int
    features: Float32[np.ndarray, "boxes features"]
    boxes: Float32[np.ndarray, "boxes 4"]
    objects_id: Int64[np.ndarray, " boxes"]
    objects_conf: Float32[np.ndarray, " boxes"]
    cls_prob: Float32[np.ndarray, "boxes classes"] | None = None
    attrs_id: Int64[np.ndarray, " boxes"] | None = None
    attrs_conf: Float32[np.ndarray, " boxes"] | None = None
    attrs: Float32[np.ndarray, "boxes attributes"] | None = None

    @property
    def num_boxes(self) -> int:
        return len(self.boxes)

    def validated(self, source: str, num_boxes: int | None = None) -> "ImageRegions":
        """Returns itself when its values can be regions of an image.

        Args:
            source: the file the regions come from, for the message.
            num_boxes: how many regions the image has to have (36 in the published
                files); None accepts any number.

        Raises:
            UserError: names the source, the image and what is wrong: a number that
                is not finite, a box outside the image or inverted (`BadBoxes`), a class
                that does not exist, probabilities that do not add up, arrays of other
                lengths.
        """
        problem = self._problem(num_boxes)
        if problem is None:
            return self
        message = f"{source}: image {self.image_id}: {problem}; "
        cure = "extract the regions of this image again, or leave the image out"
        size = self.img_w, self.img_h
        if self.boxes.shape[1:] != (4,) or are_possible(self.boxes, size):
            raise UserError(message + cure)
        form = other_form(self.boxes, size)
        if form is not None:
            cure = (
                f"all boxes of the image are possible as {form}: if that is what they "
                "are, write those of the whole file as x1, y1, x2, y2"
            )
        raise BadBoxes(message + cure, self.boxes, size)

    def sha256(self) -> str:
        """Digest of all that the evaluation reads of this image.

        Equal for the same regions from any of the published file formats, as long as
        both hold `cls_prob` or neither does. Attributes are not part of it.
        """
        digest = hashlib.sha256(f"{self.image_id} {self.img_w} {self.img_h}".encode())
        for name in ("boxes", "features", "objects_id", "objects_conf", "cls_prob"):
            array = getattr(self, name)
            if array is not None:
                digest.update(f" {name} {array.shape} ".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def _problem(self, num_boxes: int | None) -> str | None:
        if self.img_w < 1 or self.img_h < 1:
            return f"an image of {self.img_w} x {self.img_h} pixels"
        if num_boxes is not None and self.num_boxes != num_boxes:
            return f"{self.num_boxes} regions where {num_boxes} are expected"
        return (
            self._shape_problem()
            or self._finite_problem()
            or self._feature_problem()
            or self._box_problem()
            or self._class_problem()
            or self._redundancy_problem()
        )

    def _shape_problem(self) -> str | None:
        if self.num_boxes < 1:
            return "no regions"
        columns = {
            "features": self.features.shape[-1],
            "boxes": 4,
            "cls_prob": DETECTOR_CLASSES,
            "attrs": DETECTOR_ATTRIBUTES,
        }
        for name, array in self._arrays().items():
            expected = (self.num_boxes,)
            if name in columns:
                expected += (columns[name],)
            if array.shape != expected:
                return f"{name} has shape {array.shape}, not {expected}"
        return None

    def _finite_problem(self) -> str | None:
        for name, array in self._arrays().items():
            bad = np.argwhere(~np.isfinite(array))
            if len(bad):
                return f"{name} of region {bad[0][0]} is not finite (NaN or infinite)"
        return None

    def _feature_problem(self) -> str | None:
        """Numbers of another type, read as float32, give values no feature has."""
        features = self.features
        smallest = np.finfo(np.float32).tiny
        wrong = (features < 0) | (features > LARGEST_FEATURE)
        wrong |= (features > 0) & (features < smallest)
        if wrong.any():
            region, column = np.argwhere(wrong)[0]
            return (
                f"features of region {region} hold {features[region, column]:.4g}; "
                f"features are 0 ... {LARGEST_FEATURE:.0e}, so these were written as "
                "another type of number than float32, or are damaged"
            )
        if not features.any():
            return "all its features are 0"
        return None

    def _box_problem(self) -> str | None:
        x1, y1, x2, y2 = self.boxes.T
        if are_fractions(self.boxes, (self.img_w, self.img_h)):
            return (
                "all its boxes lie within a pixel: they are fractions of the image, or "
                "another type of number; boxes are given in pixels"
            )
        inverted = np.flatnonzero((x2 < x1) | (y2 < y1))
        if len(inverted):
            box = self.boxes[inverted[0]].tolist()
            return (
                f"box {box} of region {inverted[0]} is inverted; boxes are x1, y1, x2, "
                "y2"
            )
        outside = np.flatnonzero(
            (x1 < -BORDER_PIXELS)
            | (y1 < -BORDER_PIXELS)
            | (x2 > self.img_w + BORDER_PIXELS)
            | (y2 > self.img_h + BORDER_PIXELS)
        )
        if len(outside):
            box = self.boxes[outside[0]].tolist()
            return (
                f"box {box} of region {outside[0]} lies outside the image of "
                f"{self.img_w} x {self.img_h} pixels"
            )
        return None

    def _class_problem(self) -> str | None:
        for name, classes in (
            ("objects_id", DETECTOR_CLASSES - 1),
            ("attrs_id", DETECTOR_ATTRIBUTES - 1),
        ):
            ids = getattr(self, name)
            if ids is None:
                continue
            wrong = np.flatnonzero((ids < 0) | (ids >= classes))
            if len(wrong):
                return (
                    f"{name} {ids[wrong[0]]} of region {wrong[0]} is not one of "
                    f"0 ... {classes - 1}"
                )
        for name in ("objects_conf", "attrs_conf"):
            values = getattr(self, name)
            if values is None:
                continue
            wrong = np.flatnonzero((values < 0) | (values > 1 + HALF_PRECISION))
            if len(wrong):
                return (
                    f"{name} of region {wrong[0]} is {values[wrong[0]]:.4g}, no "
                    "probability (0 ... 1)"
                )
        if self.cls_prob is not None:
            total = self.cls_prob.sum(axis=1)
            # A softmax in float32 adds up to 1 within 1e-5; logits never come close.
            wrong = np.flatnonzero((abs(total - 1) > 0.01) | (self.cls_prob < 0).any(1))
            if len(wrong):
                return (
                    f"cls_prob of region {wrong[0]} is no distribution (it adds up to "
                    f"{total[wrong[0]]:.4g})"
                )
        return None

    def _redundancy_problem(self) -> str | None:
        """Fields that say one thing twice have to say the same."""
        for kind, table in (("objects", self.cls_prob), ("attrs", self.attrs)):
            ids = getattr(self, f"{kind}_id")
            confidences = getattr(self, f"{kind}_conf")
            if table is None:
                continue
            name = "cls_prob" if kind == "objects" else "attrs"
            rows, best = np.arange(self.num_boxes), table[:, 1:].max(axis=1)
            if ids is not None and _mostly(
                table[rows, ids + 1] < best * (1 - HALF_PRECISION)
            ):
                shifted = _mostly(table[rows, ids] >= best * (1 - HALF_PRECISION))
                return (
                    f"{kind}_id does not name the most probable column of {name}: "
                    + (
                        "it counts from the background, and has to count from the "
                        "first class after it"
                        if shifted
                        else "the two are of different images or detectors"
                    )
                )
            if confidences is not None and _mostly(abs(confidences - best) > 0.01):
                return (
                    f"{kind}_conf is not the largest probability in {name}: the two "
                    "are of different images or detectors"
                )
        return None

    def _arrays(self) -> dict[str, np.ndarray]:
        """The arrays that are there, by field name."""
        fields = (field.name for field in dataclasses.fields(self))
        values = {name: getattr(self, name) for name in fields}
        return {k: v for k, v in values.items() if isinstance(v, np.ndarray)}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class StackedRegions:
    """The regions of many images, one row per image, in the order of `image_ids`.

    Images with fewer boxes than the widest one are padded with zeros; `num_boxes`
    counts the real ones. cls_prob is None when the source has none.
    """

    image_ids: tuple[str, ...]
    num_boxes: Int32[np.ndarray, " images"]
    img_w: Int32[np.ndarray, " images"]
    img_h: Int32[np.ndarray, " images"]
    features: Float32[np.ndarray, "images boxes features"]
    boxes: Float32[np.ndarray, "images boxes 4"]
    objects_id: Int64[np.ndarray, "images boxes"]
    objects_conf: Float32[np.ndarray, "images boxes"]
    cls_prob: Float32[np.ndarray, "images boxes classes"] | None

    def __len__(self) -> int:
        return len(self.image_ids)

    @functools.cached_property
    def rows(self) -> dict[str, int]:
        """The row of each image, by `canonical_id`."""
        return rows_by_id(self.image_ids)

    def image(self, row: int) -> ImageRegions:
        """The regions of one image, padding taken off; arrays are views."""
        n = int(self.num_boxes[row])
        return ImageRegions(
            image_id=canonical_id(self.image_ids[row]),
            img_w=int(self.img_w[row]),
            img_h=int(self.img_h[row]),
            features=self.features[row, :n],
            boxes=self.boxes[row, :n],
            objects_id=self.objects_id[row, :n],
            objects_conf=self.objects_conf[row, :n],
            cls_prob=None if self.cls_prob is None else self.cls_prob[row, :n],
        )

    def sha256(self) -> str:
        """Digest of all images in their order; see `ImageRegions.sha256`."""
        return combined_sha256([self.image(row).sha256() for row in range(len(self))])


def _mostly(wrong: np.ndarray) -> bool:
    return bool(2 * wrong.sum() > len(wrong))


def combined_sha256(digests: Sequence[str]) -> str:
    """One digest for the images whose digests are given, in this order."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()
