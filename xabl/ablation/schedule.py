"""The plan cut into steps of a few fixed shapes, for one device or several.

Inputs of like length share a batch, so that little padding is computed: a batch's
word positions and target positions are the least of a handful of sizes that hold its
longest input. The sizes are chosen from the plan.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Int, Int64

from xabl.ablation.conditions import Direction
from xabl.ablation.distinct_inputs import NOT_SCORED
from xabl.ablation.plan import Plan

# Every size is a program to compile; with this many, padding is a few per cent.
_MAX_WORD_SIZES = 6
_MAX_TARGET_SIZES = 2
# A size has to save padding in several batches to be worth its program.
_BATCHES_PER_SIZE = 12


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shape:
    """Of one program: the direction, and positions of words and targets it holds."""

    direction: Direction
    words: int
    targets: int


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ScoreStep:
    """One batch on every device.

    pairs: numbers of scored pairs; `NOT_SCORED` where a batch is not full. Such a
        place computes some other pair again, with weight 0: nobody reads it.
    """

    shape: Shape
    pairs: Int64[np.ndarray, "devices batch"]


def score_steps(
    plan: Plan,
    *,
    devices: int,
    batch_size: int,
    done: dict[Direction, Bool[np.ndarray, " pairs"]] | None = None,
) -> list[ScoreStep]:
    """Steps that score every pair that is not `done` once.

    Args:
        batch_size: pairs of one step on one device.
    """
    steps = []
    for direction in Direction:
        lengths, targets = pair_sizes(plan, direction)
        left = np.arange(len(lengths))
        if done is not None:
            left = left[~done[direction]]
        if not len(left):
            continue
        sizes = _Sizes(lengths, targets, devices * batch_size)
        order = left[sizes.order(lengths[left], targets[left])]
        for start in range(0, len(order), devices * batch_size):
            pairs = order[start : start + devices * batch_size]
            words, count = sizes.enclosing(lengths[pairs], targets[pairs])
            steps.append(
                ScoreStep(
                    shape=Shape(direction=direction, words=words, targets=count),
                    pairs=_filled(pairs, devices, batch_size),
                )
            )
    return steps


def pair_sizes(
    plan: Plan, direction: Direction
) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
    """Words and targets of each pair."""
    if direction is Direction.VIS4LANG:
        return plan.words.lengths[plan.mlm.word], plan.mlm.num_targets
    return plan.words.lengths[plan.mrc.word], np.ones(len(plan.mrc), np.int32)


def best_sizes(
    lengths: Int[np.ndarray, " inputs"], count: int
) -> Int64[np.ndarray, " sizes"]:
    """The `count` sizes that pad `lengths` least, ascending; the last is the longest.

    Fewer when there are fewer distinct lengths.
    """
    values, weights = np.unique(lengths, return_counts=True)
    count = min(count, len(values))
    # least[n, k]: positions computed for the n shortest values with k sizes, the
    # largest of which is value n - 1; found from the best place of the one before.
    inputs = np.concatenate([[0], np.cumsum(weights)])
    least = np.full((len(values) + 1, count + 1), np.inf)
    before = np.zeros((len(values) + 1, count + 1), int)
    least[0, 0] = 0
    for k in range(1, count + 1):
        for n in range(1, len(values) + 1):
            cost = least[:n, k - 1] + (inputs[n] - inputs[:n]) * values[n - 1]
            before[n, k] = int(cost.argmin())
            least[n, k] = cost.min()
    chosen, n = [], len(values)
    for k in range(count, 0, -1):
        chosen.append(values[n - 1])
        n = before[n, k]
    return np.array(chosen[::-1], np.int64)


class _Sizes:
    """The sizes of one direction, and the order that keeps like inputs together."""

    def __init__(self, lengths: np.ndarray, targets: np.ndarray, per_step: int):
        worth = max(1, len(lengths) // (per_step * _BATCHES_PER_SIZE))
        self.words = best_sizes(lengths, min(_MAX_WORD_SIZES, worth))
        self.targets = best_sizes(targets, min(_MAX_TARGET_SIZES, worth))

    def order(self, lengths: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Few targets first, then many; each from the shortest to the longest."""
        return np.lexsort((lengths, np.searchsorted(self.targets, targets)))

    def enclosing(self, lengths: np.ndarray, targets: np.ndarray) -> tuple[int, int]:
        """The sizes that hold a batch's longest inputs."""
        return tuple(
            int(sizes[np.searchsorted(sizes, values.max())])
            for sizes, values in ((self.words, lengths), (self.targets, targets))
        )


def _filled(
    numbers: Int64[np.ndarray, " left"], devices: int, batch_size: int
) -> Int64[np.ndarray, "devices batch"]:
    """Numbers dealt to the devices, places without one filled."""
    result = np.full(devices * batch_size, NOT_SCORED, np.int64)
    result[: len(numbers)] = numbers
    return result.reshape(devices, batch_size)


def shapes(steps: Sequence[ScoreStep]) -> Iterator[Shape]:
    """The distinct shapes, in the order they are needed."""
    yield from dict.fromkeys(step.shape for step in steps)
