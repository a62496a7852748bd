"""Inputs of a plan as a step ships them: indices and masks, by number of the input."""

import numpy as np

from xabl.ablation.engine.device_regions import RegionBatch
from xabl.ablation.engine.scorer import WordBatch
from xabl.ablation.plan import Plan


def word_batch(plan: Plan, numbers: np.ndarray, num_words: int) -> WordBatch:
    """Word inputs by number, cut to `num_words` positions."""
    return WordBatch(
        token_ids=plan.words.token_ids[numbers, :num_words],
        lengths=plan.words.lengths[numbers],
        shift_starts=plan.words.shift_starts[numbers],
        dropped=dropped_words(plan, numbers, num_words),
    )


def dropped_words(plan: Plan, numbers: np.ndarray, num_words: int) -> np.ndarray | None:
    """Which words of inputs are not attended to; None where the plan has no such."""
    if not plan.words.has_dropped:
        return None
    return plan.words.dropped[numbers, :num_words]


def region_batch(plan: Plan, numbers: np.ndarray) -> RegionBatch:
    """Region inputs by number."""
    donor = None
    if not plan.regions.is_published:
        donor = np.maximum(plan.regions.donor[numbers], 0)
    return RegionBatch(
        image=plan.regions.image[numbers],
        ablated=plan.regions.ablated[numbers],
        fill=plan.regions.fill[numbers],
        donor=donor,
    )
