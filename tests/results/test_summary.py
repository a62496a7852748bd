"""Published means stand beside one's own only where both are of the same examples."""

import math

import pytest

from xabl.results.conditions import Condition, Direction, Level
from xabl.results.published import NUM_EXAMPLES, published_row
from xabl.results.summary import Change, SummaryRow, summary_text

ROWS = tuple(
    SummaryRow(
        condition=Condition(direction=direction, level=level),
        bits=bits,
        scored=NUM_EXAMPLES,
        excluded=0,
    )
    for direction, level, bits in (
        (Direction.VIS4LANG, Level.ALL, {"mlm": 5.9}),
        (Direction.LANG4VIS, Level.NONE, {"mrc_kl": 0.5, "mrc_xe": None}),
    )
)


def test_published_means_and_differences():
    row = published_row("ctrl_uniter_base", split="val", num_examples=NUM_EXAMPLES)
    text = summary_text(ROWS, row).splitlines()
    assert text[0].split()[3:6] == ["bits", "published", "difference"]
    assert text[1].split()[2:6] == ["MLM", "5.9000", "5.8010", "+0.0990"]
    assert text[2].split()[2:6] == ["MRC-KL", "0.5000", "0.5961", "-0.0961"]
    assert "UNITER, seed 73, val split, 14433 examples" in text[3]
    assert math.isclose(row.bits["mlm", "object@0.5"], 4.944)


@pytest.mark.parametrize(
    ("name", "split", "num_examples"),
    [
        ("shallow_uniter", "val", NUM_EXAMPLES),
        ("ctrl_uniter_base", "test", NUM_EXAMPLES),
        ("ctrl_uniter_base", "val", 80),
    ],
    ids=["another model", "another split", "a part, or other data"],
)
def test_nothing_to_compare_with(name, split, num_examples):
    row = published_row(name, split=split, num_examples=num_examples)
    assert row is None
    text = summary_text(ROWS, row)
    assert "published" not in text and "5.9000  14433" in text


def test_a_condition_of_which_nothing_is_scored_has_a_line():
    none = SummaryRow(
        condition=Condition(direction=Direction.LANG4VIS, level=Level.ALL),
        bits={"mrc_kl": None, "mrc_xe": None},
        scored=0,
        excluded=NUM_EXAMPLES,
    )
    lines = summary_text((*ROWS, none)).splitlines()
    assert lines[-1].split() == ["lang4vis", "all", "0", str(NUM_EXAMPLES)]


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (3, "no interval: 14433 examples of 3 images are too few; it needs 30 images"),
        (1000, "interval: over images (14433 examples of 1000 images), of this model"),
    ],
)
def test_the_command_says_how_many_images_and_why_no_interval(images, said):
    known = images >= 30
    ends = (1.1, 1.3) if known else (math.nan, math.nan)
    changed = {(ROWS[0].condition, "mlm"): Change(1.2, *ends, images)}
    text = summary_text(ROWS, None, changed)
    assert said in text and "+1.2000" in text
    assert ("+1.1000 to +1.3000" in text) == known
