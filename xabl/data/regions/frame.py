"""Brings boxes into the pixels of the annotated image.

Detectors see a resized image. A file with boxes, width and height of that image is
valid, but its boxes overlap the wrong phrases.
"""

import dataclasses

import numpy as np

from xabl.data.box_forms import Size
from xabl.data.regions.image_regions import ImageRegions
from xabl.errors import UserError

_ROUNDING = 1.0  # pixels by which a resized side may differ from the exact one
_SHAPES_DIFFER = 0.02  # share by which the ratios of sides differ in other shapes
# Among 36 regions some show the background up to the border. Some images may have
# none, but not all of them.
_LEAST_REACH = 0.75
_LEAST_IMAGES = 8


def in_frame(image: ImageRegions, size: Size, source: str) -> ImageRegions:
    """The regions with boxes in the pixels of the annotated image.

    Args:
        size: width and height that the annotations have.
        source: file, for the message.

    Returns:
        The image itself if it has that size; with its boxes scaled if its size is that
        of the same image resized.

    Raises:
        UserError: it is of another shape: another image, or a turned or cropped one.
    """
    width, height = size
    if (image.img_w, image.img_h) == size:
        return image
    if not _is_resized(image, width, height):
        raise UserError(
            f"{source}: image {image.image_id}: the regions are those of an image of "
            f"{image.img_w} x {image.img_h} pixels, the annotations those of one of "
            f"{width} x {height}; extract the regions from the annotated image"
        )
    # Detectors scale both sides alike and then round them: the longer one tells best.
    scale = max(width, height) / max(image.img_w, image.img_h)
    boxes = (image.boxes * scale).astype(np.float32)
    return dataclasses.replace(image, boxes=boxes, img_w=width, img_h=height)


def _is_resized(image: ImageRegions, width: int, height: int) -> bool:
    scale = max(image.img_w / width, image.img_h / height)
    off = max(abs(image.img_w - scale * width), abs(image.img_h - scale * height))
    ratio = image.img_w * height / (image.img_h * width)
    return off <= _ROUNDING * max(1, scale) and abs(ratio - 1) <= _SHAPES_DIFFER


class Reach:
    """How far the boxes of a file's images reach, compared with the images' sizes.

    Boxes in the frame of a smaller image than `img_w` and `img_h` say are possible in
    every single image, and not in all of them.
    """

    def __init__(self):
        self._reach: list[tuple[float, float]] = []

    def add(self, image: ImageRegions) -> None:
        """Counts an image."""
        right, bottom = image.boxes[:, 2:].max(axis=0)
        self._reach.append((right / image.img_w, bottom / image.img_h))

    @property
    def problem(self) -> str | None:
        """What all of them together show to be wrong, if anything."""
        if len(self._reach) < _LEAST_IMAGES:
            return None
        right, bottom = np.max(self._reach, axis=0)
        if min(right, bottom) >= _LEAST_REACH:
            return None
        return (
            f"in none of {len(self._reach)} images does a box reach beyond "
            f"{100 * right:.0f}% of the width or {100 * bottom:.0f}% of the height: "
            "the boxes are in another frame than img_w and img_h; extract them again, "
            "in pixels of the images"
        )
