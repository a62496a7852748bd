"""Padding: as little as a number of sizes allows."""

import itertools

import numpy as np
import pytest

from xabl.ablation.engine.padding import (
    PaddedSizes,
    ProgramLimits,
    allotted_sizes,
    best_sizes,
    padded,
)
from xabl.results.conditions import Direction

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_best_sizes_pad_least(count):
    lengths = RNG.choice([4, 5, 7, 9, 13, 20, 38], 50)
    values = np.unique(lengths)
    least = min(
        padded(lengths, np.array([*smaller, values[-1]]))
        for smaller in itertools.combinations(values[:-1], count - 1)
    )
    assert padded(lengths, best_sizes(lengths, count)) == least


def test_sizes_hold_everything_and_are_no_more_than_needed():
    lengths = np.array([5, 5, 9])
    np.testing.assert_array_equal(best_sizes(lengths, 6), [5, 9])
    np.testing.assert_array_equal(best_sizes(lengths, 1), [9])


def test_sizes_go_where_they_save_most():
    classes = [np.array([10] * 90 + [40]), np.array([10, 11])]
    found = allotted_sizes(classes, 3, worth=1)
    np.testing.assert_array_equal(found[0], [10, 40])
    np.testing.assert_array_equal(found[1], [11])
    # What saves less than it is worth is not made.
    assert [len(s) for s in allotted_sizes(classes, 9, worth=100)] == [2, 1]
    assert [len(s) for s in allotted_sizes(classes, 9, worth=10_000)] == [1, 1]


def test_any_batch_has_a_size():
    lengths = RNG.integers(5, 39, 100_000)
    targets = RNG.integers(1, 9, 100_000)
    sizes = PaddedSizes(
        {Direction.VIS4LANG: (lengths, targets)}, ProgramLimits(worth=3000)
    )
    order = sizes.order(Direction.VIS4LANG, lengths, targets)
    computed = 0
    for start in range(0, len(order), 32):
        batch = order[start : start + 32]
        words, count = sizes.enclosing(
            Direction.VIS4LANG, lengths[batch], targets[batch]
        )
        assert words >= lengths[batch].max() and count >= targets[batch].max()
        computed += words * len(batch)
    assert computed < 1.08 * lengths.sum()
