"""How much image regions overlap the boxes of a phrase.

Boxes are (x1, y1, x2, y2) in pixels, both corners inside, so that a box of one pixel
has area 1: every side is counted +1, as the published evaluation does.
"""

import numpy as np
from jaxtyping import Bool, Float

# Regions with a greater IoT show the phrase: they are masked in lang4vis.
TARGET_THRESHOLD = 0.5


def areas(boxes: Float[np.ndarray, "boxes 4"]) -> Float[np.ndarray, " boxes"]:
    """Areas in pixels."""
    return (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)


def intersections(
    regions: Float[np.ndarray, "regions 4"], boxes: Float[np.ndarray, "boxes 4"]
) -> Float[np.ndarray, "regions boxes"]:
    """Pixels that a region and a box share."""
    low = np.maximum(regions[:, None, :2], boxes[None, :, :2])
    high = np.minimum(regions[:, None, 2:], boxes[None, :, 2:])
    sides = np.maximum(high - low + 1, 0)
    return sides[..., 0] * sides[..., 1]


def iot(
    regions: Float[np.ndarray, "regions 4"], boxes: Float[np.ndarray, "boxes 4"]
) -> Float[np.ndarray, "regions boxes"]:
    """Intersection over target: the share of the phrase's box a region covers."""
    return intersections(regions, boxes) / areas(boxes)[None]


def iou(
    regions: Float[np.ndarray, "regions 4"], boxes: Float[np.ndarray, "boxes 4"]
) -> Float[np.ndarray, "regions boxes"]:
    """Intersection over union of a region and a box."""
    shared = intersections(regions, boxes)
    return shared / (areas(regions)[:, None] + areas(boxes)[None] - shared)


def coverage(
    regions: Float[np.ndarray, "regions 4"], boxes: Float[np.ndarray, "boxes 4"]
) -> Float[np.ndarray, " regions"]:
    """Each region's greatest IoT with any box of the phrase.

    vis4lang ablates the regions whose coverage exceeds the condition's threshold.
    """
    return iot(regions, boxes).max(axis=1)


def target_region(
    regions: Float[np.ndarray, "regions 4"], boxes: Float[np.ndarray, "boxes 4"]
) -> tuple[Bool[np.ndarray, " regions"], int | None]:
    """lang4vis: the regions to mask, and the one whose class is to be predicted.

    Masked are the regions with coverage above `TARGET_THRESHOLD`; the target is the
    masked one with the highest IoU with any box (the first of equals), None when no
    region is masked.
    """
    masked = coverage(regions, boxes) > TARGET_THRESHOLD
    if not masked.any():
        return masked, None
    best = np.where(masked, iou(regions, boxes).max(axis=1), -1.0)
    return masked, int(best.argmax())
