"""Boxes: how much they overlap, and where they are in their image.

Boxes are (x1, y1, x2, y2) in pixels. For overlaps both corners are inside, so that a
box of one pixel has area 1: every side is counted +1, as the published code does. For
locations they are not. Results have the precision of the boxes that are given.
"""

import numpy as np
from jaxtyping import Float, Shaped

# Location of the [IMG] row: the whole image, which is all of its area.
WHOLE_IMAGE = (0.0, 0.0, 1.0, 1.0, 1.0)


def areas(boxes: Float[np.ndarray, "*batch 4"]) -> Float[np.ndarray, "*batch"]:
    """Areas in pixels."""
    return (boxes[..., 2] - boxes[..., 0] + 1) * (boxes[..., 3] - boxes[..., 1] + 1)


def intersections(
    regions: Float[np.ndarray, "*batch regions 4"],
    boxes: Float[np.ndarray, "*batch boxes 4"],
) -> Float[np.ndarray, "*batch regions boxes"]:
    """Pixels that a region and a box share."""
    regions, boxes = regions[..., :, None, :], boxes[..., None, :, :]
    low = np.maximum(regions[..., :2], boxes[..., :2])
    high = np.minimum(regions[..., 2:], boxes[..., 2:])
    sides = np.maximum(high - low + 1, 0)
    return sides[..., 0] * sides[..., 1]


def iot(
    regions: Float[np.ndarray, "*batch regions 4"],
    boxes: Float[np.ndarray, "*batch boxes 4"],
) -> Float[np.ndarray, "*batch regions boxes"]:
    """Intersection over target: the share of a box that a region covers."""
    return intersections(regions, boxes) / areas(boxes)[..., None, :]


def iou(
    regions: Float[np.ndarray, "*batch regions 4"],
    boxes: Float[np.ndarray, "*batch boxes 4"],
) -> Float[np.ndarray, "*batch regions boxes"]:
    """Intersection over union of a region and a box."""
    shared = intersections(regions, boxes)
    return shared / (areas(regions)[..., None] + areas(boxes)[..., None, :] - shared)


def relative_locations(
    boxes: Float[np.ndarray, "*batch boxes 4"],
    widths: Shaped[np.ndarray, "*batch"],
    heights: Shaped[np.ndarray, "*batch"],
    num_locs: int,
) -> Float[np.ndarray, "*batch boxes locations"]:
    """x1/W, y1/H, x2/W, y2/H and, for `num_locs` 5, the share of the image's area."""
    width = np.asarray(widths, np.float32)[..., None]
    height = np.asarray(heights, np.float32)[..., None]
    x1, y1, x2, y2 = np.moveaxis(boxes, -1, 0)
    columns = [x1 / width, y1 / height, x2 / width, y2 / height]
    if num_locs == 5:
        columns.append((x2 - x1) * (y2 - y1) / (width * height))
    return np.stack(columns, axis=-1)
