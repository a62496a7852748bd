"""Conditions by name, and overlaps by hand."""

import numpy as np
import pytest

from xabl.ablation import overlap
from xabl.errors import UserError
from xabl.results.conditions import Direction, all_conditions


def test_conditions_of_the_study():
    conditions = all_conditions(list(Direction))
    names = [f"{c.direction} {c.name}" for c in conditions]
    assert names == [
        "vis4lang none",
        *(f"vis4lang object@0.{digit}" for digit in range(9, -1, -1)),
        "vis4lang all",
        "lang4vis none",
        "lang4vis phrase",
        "lang4vis all",
    ]
    masks = [condition.published_name for condition in conditions]
    assert masks[:3] == ["None", "0.9", "0.8"] and masks[-2:] == ["Phrase", "All"]


@pytest.mark.parametrize("thresholds", [[0.5, 1.0], [-0.1], [0.5, 0.5]])
def test_thresholds_that_are_none(thresholds):
    with pytest.raises(UserError, match="--thresholds"):
        all_conditions(list(Direction), thresholds)


def test_coverage_takes_the_best_box_of_the_phrase():
    regions = np.array([[0.0, 0, 9, 9]])
    boxes = np.array([[0.0, 0, 99, 99], [0, 0, 9, 19]])
    assert overlap.coverage(regions, boxes) == 100 / 200


def test_target_is_the_masked_region_with_the_highest_iou():
    phrase = np.array([[10.0, 10, 29, 29]])
    regions = np.array(
        [
            [0.0, 0, 99, 99],  # covers the phrase, far too large
            [10, 10, 29, 30],  # covers it, nearly equal: the target
            [10, 10, 29, 18],  # equal in shape to nothing, covers 45%
        ]
    )
    masked, target = overlap.target_region(regions, phrase)
    np.testing.assert_array_equal(masked, [True, True, False])
    assert target == 1
    masked, target = overlap.target_region(regions[2:], phrase)
    assert not masked.any() and target is None
    # The threshold itself is not enough.
    half = np.array([[10.0, 10, 29, 19]])
    assert overlap.target_region(half, phrase)[1] is None
