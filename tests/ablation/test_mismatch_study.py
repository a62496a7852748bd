"""The study of mismatches, small: one trained model, a few cases of each kind."""

import pytest

from benchmarks import mismatches
from benchmarks.planted import PLANTS


@pytest.mark.slow
def test_planted_mismatches_are_found_and_healthy_cases_are_not(tmp_path):
    trial = mismatches.trial("UNITER_0", steps=1000, images=400)
    model = mismatches.trained(trial, tmp_path)
    counts = {mismatches.HEALTHY: 6, **dict.fromkeys(PLANTS, 1)}
    lines = mismatches.judged(model, list(mismatches.cases(counts)), images=48)
    rows = mismatches.table(lines)
    assert [row.cases for row in rows] == list(counts.values())
    healthy, *planted = rows
    assert healthy.found == healthy.found_without == 0, lines[:10]
    missed = [row.kind for row in planted if not row.found_without]
    assert missed == [] == [row.kind for row in planted if not row.found]
    assert "100.0" in mismatches.text(rows)


def test_intervals_are_exact():
    # Clopper and Pearson: 1 - 0.025 ** (1 / 200).
    assert mismatches.interval(0, 200) == "0.0 to 1.8"
    assert mismatches.interval(20, 20) == "83.2 to 100.0"
