"""Which image regions show what a phrase names. Boxes are as in `data.boxes`."""

import numpy as np
from jaxtyping import Bool, Float

from xabl.data.boxes import iot, iou

# Regions with a greater IoT show the phrase: they are masked in lang4vis.
TARGET_THRESHOLD = 0.5


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
