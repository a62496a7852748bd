"""What the README tells of the ways of removing is what they are."""

import re

from tests.helpers.binaries import ROOT
from xabl.analysis.figures.style import render
from xabl.analysis.figures.ways import ways_figure
from xabl.results.ways import WAYS

README = (ROOT / "README.md").read_text()


def test_its_table_has_every_way_in_the_words_of_the_contract():
    (table,) = re.findall(r"^\| of \| way .*\n\|[-|]+\n((?:\|.*\n)+)", README, re.M)
    expected = [
        f"| {direction.wording.ablated} | `{name}`{'' if number else ' (published)'} "
        f"| {way.meaning} |"
        for direction, ways in WAYS.items()
        for number, (name, way) in enumerate(ways.items())
    ]
    assert table.splitlines() == expected


def test_its_picture_is_what_the_definition_shows():
    def texts(svg):
        return re.findall(r">([^<>]+)</text>", svg)

    drawn = texts(render(ways_figure(), "svg").decode())
    assert drawn == texts((ROOT / "docs" / "ways.svg").read_text())
    assert drawn.count("not read") == 6
    assert {name for ways in WAYS.values() for name in ways} <= set(drawn)
