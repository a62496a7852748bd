"""Where objects are, and where a detector finds regions.

Sizes are chosen so that in the default world a phrase has about as many regions above
each overlap threshold as in the published data.
"""

import numpy as np
from jaxtyping import Float, Float64

from xabl.data.boxes import iot, iou

IMAGE_SIZES = ((500, 375), (500, 333), (375, 500), (500, 400))  # width, height

_CANDIDATES = 128  # drawn at once, mostly enough
_OBJECT_SIDES = (0.25, 0.66)  # shares of the image's sides
# Objects are apart, so that masking one does not mask another.
_GREATEST_OBJECT_IOT = 0.25
_VIEW_JITTER = 0.12  # of the box's sides
_LEAST_VIEW_IOU = 0.6
_PART_SIDES = (0.35, 0.6)  # of the box's sides, so a part's IoT is below 0.36
# Other objects' boxes: far enough below the masking threshold of 0.5.
_GREATEST_FOREIGN_IOT = 0.4
# Background: sides from this share of the image's on, by a beta distribution.
_LEAST_BACKGROUND_SIDE = 0.08
_BACKGROUND_SIDES = (0.85, 1.6)
_GREATEST_BACKGROUND_IOU = 0.45
# Detected regions seldom cut through an object.
_CUT = (0.08, 0.55)  # share of an object in such a region
_CUT_RATE = 0.4  # share of such regions that are kept


def draw_object_boxes(
    rng: np.random.Generator, count: int, size: tuple[int, int]
) -> Float64[np.ndarray, "objects 4"]:
    """Boxes with whole-pixel corners that hardly overlap."""
    scale = 1.0
    while True:
        chosen = np.empty((0, 4))
        for _ in range(count):
            sides = scale * rng.uniform(*_OBJECT_SIDES, (_CANDIDATES, 2))
            corners = rng.uniform(0, 1, (_CANDIDATES, 2)) * (1 - sides)
            boxes = _in_pixels(np.hstack([corners, corners + sides]), size).round()
            overlap = np.maximum(iot(boxes, chosen), iot(chosen, boxes).T)
            fits = boxes[(overlap < _GREATEST_OBJECT_IOT).all(axis=1)]
            if not len(fits):
                break
            chosen = np.vstack([chosen, fits[:1]])
        else:
            return chosen
        scale *= 0.95  # no room: all objects a little smaller


def draw_views(
    rng: np.random.Generator,
    count: int,
    box: Float[np.ndarray, "4"],
    others: Float[np.ndarray, "objects 4"],
    size: tuple[int, int],
) -> Float64[np.ndarray, "regions 4"]:
    """Regions that show the object in a box nearly whole, and no other object."""
    sides = np.tile(box[2:] - box[:2], 2)

    def candidates() -> np.ndarray:
        moved = rng.uniform(-_VIEW_JITTER, _VIEW_JITTER, (_CANDIDATES, 4)) * sides
        boxes = _clipped(box + moved, size)
        near = iou(boxes, box[None])[:, 0] > _LEAST_VIEW_IOU
        return boxes[near & _spares(boxes, others)]

    return _first(count, candidates)


def draw_parts(
    rng: np.random.Generator,
    count: int,
    box: Float[np.ndarray, "4"],
    others: Float[np.ndarray, "objects 4"],
    size: tuple[int, int],
) -> Float64[np.ndarray, "regions 4"]:
    """Regions that show a part of the object in a box, well below half of it."""
    sides = box[2:] - box[:2]

    def candidates() -> np.ndarray:
        part_sides = rng.uniform(*_PART_SIDES, (_CANDIDATES, 2)) * sides
        corners = box[:2] + rng.uniform(0, 1, (_CANDIDATES, 2)) * (sides - part_sides)
        boxes = _clipped(np.hstack([corners, corners + part_sides]), size)
        return boxes[_spares(boxes, others)]

    return _first(count, candidates)


def draw_background(
    rng: np.random.Generator,
    count: int,
    objects: Float[np.ndarray, "objects 4"],
    size: tuple[int, int],
) -> Float64[np.ndarray, "regions 4"]:
    """Regions of any size and place, none of which fits an object's box."""

    def candidates() -> np.ndarray:
        sides = _LEAST_BACKGROUND_SIDE + (1 - _LEAST_BACKGROUND_SIDE) * rng.beta(
            *_BACKGROUND_SIDES, (_CANDIDATES, 2)
        )
        corners = rng.uniform(0, 1, (_CANDIDATES, 2)) * (1 - sides)
        boxes = _in_pixels(np.hstack([corners, corners + sides]), size)
        covered = iot(boxes, objects)
        cuts = ((covered > _CUT[0]) & (covered < _CUT[1])).any(axis=1)
        spared = ~cuts | (rng.uniform(0, 1, _CANDIDATES) < _CUT_RATE)
        unlike = (iou(boxes, objects) < _GREATEST_BACKGROUND_IOU).all(axis=1)
        return boxes[spared & unlike]

    return _first(count, candidates)


def _spares(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which boxes hardly overlap other objects' boxes."""
    return (iot(boxes, others) < _GREATEST_FOREIGN_IOT).all(axis=1)


def _first(count: int, candidates) -> np.ndarray:
    """The first `count` boxes of repeated draws."""
    found = np.empty((0, 4))
    while len(found) < count:
        found = np.vstack([found, candidates()])
    return found[:count]


def _in_pixels(shares: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return shares * (np.tile(size, 2) - 1)


def _clipped(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.clip(boxes, 0, np.tile(size, 2) - 1.0)
