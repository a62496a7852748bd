"""What docs/architecture.md says of files is so."""

import re

import pytest

from tests.helpers.binaries import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text()


def rows(title):
    """Cells of the table below a heading."""
    text = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^\|(.*)\|$", text, re.M)[2:]
    return [[cell.strip() for cell in line.split("|")] for line in lines]


@pytest.mark.parametrize("row", rows("Where to look"), ids=lambda row: row[0])
def test_what_is_named_is_there(row):
    _, path, names = row
    source = (ROOT / "xabl" / path.strip("`")).read_text()
    for name in re.findall(r"(?<!\()`([^`]+)`", names):
        assert re.search(rf"^ *(def |class )?{name}\b.*[:=(]", source, re.M), name
    for code in re.findall(r"\(`([^`]+)`\)", names):
        assert code in source


def test_the_reading_order_is_as_long_as_it_says():
    total = 0
    for _, path, about in rows("What to read"):
        lines = (ROOT / "xabl" / path.strip("`")).read_text().count("\n")
        assert abs(lines - int(about)) <= max(20, lines / 5), path
        total += lines
    stated = re.search(r"About ([\d,]+) lines", PAGE)[1].replace(",", "")
    assert abs(total - int(stated)) <= 300
    readme = (ROOT / "README.md").read_text()
    assert f"which {int(stated):,} lines to read first" in readme


def test_its_diagrams_name_files():
    for diagram in re.findall(r"^```text\n(.*?)^```", PAGE, re.M | re.S):
        for path in re.findall(
            r"\b(?:data|models|ablation|pretraining|results)/[\w/]+", diagram
        ):
            there = ROOT / "xabl" / path.rstrip("/")
            assert there.is_dir() or there.with_suffix(".py").is_file(), path
