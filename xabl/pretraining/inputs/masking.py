"""Which words and regions are targets, and what the model sees of them.

Functions of arrays and random numbers, for a batch at a time (Bugliarello et al., TACL
2021; the overlap rule follows its code).
"""

import math

import numpy as np
from jaxtyping import Bool, Float32, Int32

from xabl.data.boxes import iot, iou
from xabl.pretraining.inputs.config import InputConfig
from xabl.pretraining.inputs.random_numbers import RandomNumbers

WORD_BECOMES_MASK, WORD_BECOMES_OTHER = 0.8, 0.1  # the rest stays as it is
REGION_BECOMES_ZERO = 0.9
# More targets than slots in an example: less often than once in this many examples.
_SLOTS_SUFFICE = 1e9


def mask_words(
    token_ids: Int32[np.ndarray, "batch words"],
    is_piece: Bool[np.ndarray, "batch words"],
    random: RandomNumbers,
    rate: float,
    *,
    mask_id: int,
    vocabulary: int,
) -> tuple[Int32[np.ndarray, "batch words"], Int32[np.ndarray, "batch words"]]:
    """Chooses target pieces and hides them.

    Args:
        is_piece: positions that can be targets: not [CLS], [SEP], padding.
        rate: probability of a piece to be a target.
        vocabulary: word pieces that a target can be replaced by.

    Returns:
        What the model sees, and the targets (-1 elsewhere).
    """
    chosen = is_piece & (random.word_is_target < rate)
    kind = random.word_kind
    to_mask = chosen & (kind < WORD_BECOMES_MASK)
    to_other = chosen & ~to_mask & (kind < WORD_BECOMES_MASK + WORD_BECOMES_OTHER)
    others = (random.other_word * vocabulary).astype(np.int32)
    seen = np.where(to_mask, np.int32(mask_id), np.where(to_other, others, token_ids))
    return seen, np.where(chosen, token_ids, np.int32(-1))


def choose_regions(
    is_real: Bool[np.ndarray, "batch boxes"], random: RandomNumbers, rate: float
) -> tuple[Bool[np.ndarray, "batch boxes"], Bool[np.ndarray, "batch boxes"]]:
    """The target regions, and those of them whose features become zero."""
    chosen = is_real & (random.region_is_target < rate)
    return chosen, chosen & (random.region_kind < REGION_BECOMES_ZERO)


def target_slots(num_boxes: int, rate: float) -> int:
    """Slots for the targets of one image: enough for all but one in 1e9 examples.

    In that one, the remaining targets are hidden but not predicted.
    """
    fewer = 0.0
    for targets in range(num_boxes):
        fewer += (
            math.comb(num_boxes, targets)
            * rate**targets
            * (1 - rate) ** (num_boxes - targets)
        )
        if 1 - fewer < 1 / _SLOTS_SUFFICE:
            return max(targets, 1)
    return num_boxes


def fill_slots(
    chosen: Bool[np.ndarray, "batch boxes"], slots: int
) -> Int32[np.ndarray, "batch targets"]:
    """The boxes chosen in each example, in order, then -1."""
    example, box = np.nonzero(chosen)
    first = np.searchsorted(example, np.arange(len(chosen)))
    slot = np.arange(len(example)) - first[example]
    fits = slot < slots
    filled = np.full((len(chosen), slots), -1, np.int32)
    filled[example[fits], slot[fits]] = box[fits]
    return filled


def overlapped(
    boxes: Float32[np.ndarray, "batch boxes 4"],
    chosen: Bool[np.ndarray, "batch boxes"],
    threshold: float,
    measure: str,
) -> tuple[Bool[np.ndarray, "batch boxes"], Bool[np.ndarray, "batch boxes"]]:
    """Regions that a target overlaps by more than the threshold.

    Args:
        boxes: as in `data.boxes`.
        measure: of target i and region j: "iou", or "iot": intersection / area(j).

    Returns:
        With and without a target's overlap with itself, which is 1.
    """
    example, target = np.nonzero(chosen)
    with_others = np.zeros(chosen.shape, bool)
    if len(example):
        others = boxes[example]  # one row per target: all boxes of its image
        own = boxes[example, target][:, None]
        if measure == "iou":
            overlap = iou(others, own)[..., 0]
        else:
            overlap = iot(own, others)[..., 0, :]
        exceeds = overlap > threshold
        exceeds[np.arange(len(target)), target] = False
        starts = np.flatnonzero(np.diff(example, prepend=-1))
        with_others[example[starts]] = np.logical_or.reduceat(exceeds, starts)
    return with_others | (chosen & (threshold < 1)), with_others


def image_row(
    features: Float32[np.ndarray, "batch boxes features"],
    counted: Bool[np.ndarray, "batch boxes"],
) -> Float32[np.ndarray, "batch features"]:
    """Features of [IMG]: the sum over the boxes / the number of those counted, >= 1.

    Every box is in the sum, hidden ones as zeros, counted or not.

    Args:
        counted: real boxes that no target overlaps.
    """
    divisor = np.maximum(counted.sum(axis=1), 1).astype(np.float32)
    return features.sum(axis=1) / divisor[:, None]


def ablated(
    inputs: InputConfig, random: RandomNumbers, modality: str
) -> Bool[np.ndarray, "batch positions"]:
    """Positions of one modality that any ablation of the configuration covers."""
    positions = random.ablate_word if modality == "words" else random.ablate_region
    taken = np.zeros(positions.shape[::2], bool)
    for number, ablation in enumerate(inputs.ablations):
        if ablation.modality == modality:
            applies = random.ablation_applies[:, number] < ablation.probability
            taken |= applies[:, None] & (positions[:, number] < ablation.share)
    return taken
