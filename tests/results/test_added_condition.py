"""A condition and a figure that only these tests know come out right everywhere.

The condition takes the regions of the next image. It is one entry of `WAYS`: tables,
figures, report and the report's script know nothing of it.
"""

import re

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from tests.helpers.chromium import chromium, open_report
from tests.helpers.fake_results import FakeModel, write_results
from tests.helpers.report_pages import Page
from tests.helpers.report_worlds import NUM_REGIONS, add_regions
from xabl import analysis, results
from xabl.analysis.figures import FIGURES, write_figures
from xabl.analysis.figures.panels import Panel, Series, draw, table
from xabl.analysis.figures.style import Drawn
from xabl.analysis.report import ReportOptions, write_report
from xabl.results.conditions import Direction
from xabl.results.ways import WAYS, Way

NEXT_IMAGE = Way(
    done="replaced by those of the next image",
    doing="Replacing {} by those of the next image",
    meaning="an ablated region's features are those of a region of the next image",
    short="next image",
)
MENU = [
    "None: all regions seen",
    "Object 0.5: regions with overlap above 0.5 ablated",
    "All: all regions ablated",
    "Object 0.5 (next image): regions with overlap above 0.5 "
    "replaced by those of the next image",
    "All (next image): all regions replaced by those of the next image",
]
NAMES = ["none", "object@0.5", "all", "object@0.5/next_image", "all/next_image"]
TITLES = ["Object 0.5 (next image)", "All (next image)"]
MASKS = ["None", "0.5", "All", "0.5 (next image)", "All (next image)"]
POSITIONS = [
    "None",
    "Object 0.5",
    "All",
    "Object 0.5",
    "(next image)",
    "All",
    "(next image)",
]


@pytest.fixture
def next_image(monkeypatch):
    monkeypatch.setitem(WAYS[Direction.VIS4LANG], "next_image", NEXT_IMAGE)


@pytest.fixture
def study(next_image, tmp_path):
    """Results with the new conditions, written as another program would."""
    world = dict(num_images=30, phrases_per_image=1)
    known = write_results(tmp_path / "known", FakeModel(thresholds=(0.5,)), **world)
    add_regions(known, tmp_path / "regions.h5")
    scores = pq.read_table(known / "scores.parquet").to_pandas()
    added = []
    for name in ("all", "object@0.5"):  # not in order
        rows = scores[scores["condition"].eq(name) & scores["direction"].eq("vis4lang")]
        added.append(rows.assign(condition=f"{name}/next_image", mlm=rows["mlm"] + 1))
    results.write(
        pd.concat([*added, scores]),
        tmp_path / "results",
        label="Mine",
        examples=pq.read_table(known / "examples.parquet"),
    )
    return tmp_path


def report_of(folder):
    write_report(
        folder / "results",
        folder / "report.html",
        ReportOptions(regions=folder / "regions.h5", resamples=100),
    )
    return folder / "report.html"


def test_it_is_sound_and_in_its_place(study):
    assert results.check(study / "results") == ()
    loaded = analysis.load_study(study / "results")
    assert list(loaded.conditions("vis4lang")) == NAMES
    means = analysis.effects.means(loaded, analysis.effects.bootstrap_of(loaded, 100))
    words = means[means["metric"] == "mlm"]
    assert words["condition"].tolist() == NAMES
    by_name = words.set_index("condition")["mean"]
    added = by_name["all/next_image"] - by_name["all"]
    assert added == pytest.approx(1 / np.log(2), rel=1e-5)
    summary = (study / "results" / "summary.tsv").read_text().splitlines()
    masks = [line.split("\t")[1] for line in summary[1:]]
    assert masks[: len(MASKS)] == MASKS


def test_figures_show_it_under_its_name(study):
    write_figures(study / "results", study / "figures", resamples=100)
    (svg,) = (study / "figures").glob("figure_1_*.svg")
    texts = re.findall(r">([^<>]+)</text>", svg.read_text())
    assert texts[texts.index("None") :][: len(POSITIONS)] == POSITIONS
    values = pd.read_csv(svg.with_suffix(".tsv"), sep="\t", keep_default_na=False)
    assert values["condition"].tolist()[: len(NAMES)] == NAMES


@pytest.mark.usefixtures("undrawn")
def test_the_report_says_it_in_words(study):
    page = Page(report_of(study))
    text = " ".join(page.text.split())
    assert (
        "Mine (1 seed): Replacing all image regions by those of the next image raises "
        "the MLM loss" in text
    )
    assert (
        "Replacing the regions that overlap the phrase by more than 0.5 by those of "
        "the next image" in text
    )
    start = text.index("MLM in bits")
    places = [text.index(f" {title} ", start) for title in TITLES]
    assert places == sorted(places)
    assert NEXT_IMAGE.meaning in text
    conditions = page.index["conditions"]["vis4lang"]
    assert [conditions[name]["menu"] for name in NAMES] == MENU
    _, regions = page.block("regions")
    hides, levels = regions["hides"]["vis4lang"], len(regions["thresholds"])
    assert [hides[name] for name in NAMES] == [levels, 0, -1, 0, -1]


@pytest.mark.slow
def test_the_browser_shows_what_it_hides(study):
    counts = pq.read_table(study / "results" / "scores.parquet").to_pandas()
    counts = counts[counts["direction"] == "vis4lang"]
    counts = counts.set_index(["condition", "example"])["ablated_regions"]
    with chromium() as page:
        open_report(page, report_of(study))
        menu = Select(page.find_element(By.ID, "condition"))
        assert [option.text for option in menu.options] == MENU
        detail = page.find_element(By.ID, "detail")
        for name, words in zip(NAMES, MENU, strict=True):
            menu.select_by_visible_text(words)
            assert detail.find_element(By.CSS_SELECTOR, "tr.current").text.startswith(
                words
            )
            example = int(detail.get_attribute("data-example"))
            hidden = detail.find_elements(
                By.CSS_SELECTOR, ".picture > div > svg .ablated-box"
            )
            assert len(hidden) == counts[name, example]
            text = f"{len(hidden)} of {NUM_REGIONS} regions ablated"
            assert text in detail.find_element(By.CLASS_NAME, "legend").text
        assert page.get_log("browser") == []


@pytest.mark.usefixtures("undrawn")
def test_a_condition_that_overlap_does_not_decide_claims_nothing(study, monkeypatch):
    threshold = results.Condition.region_threshold.fget
    monkeypatch.setattr(
        results.Condition,
        "region_threshold",
        property(lambda self: None if self.way else threshold(self)),
    )
    _, regions = Page(report_of(study)).block("regions")
    hides, levels = regions["hides"]["vis4lang"], len(regions["thresholds"])
    assert [hides[name] for name in NAMES] == [levels, 0, -1, None, None]


def test_a_figure_is_a_function_and_an_entry(study, monkeypatch):
    def number_of_examples(loaded, bootstrap):
        del bootstrap
        line = Series(
            label="all", y=(float(loaded.num_examples),), low=(np.nan,), high=(np.nan,)
        )
        panel = Panel(
            title="Size",
            xlabel="",
            ylabel="Examples",
            conditions=("none",),
            positions=("None",),
            series=(line,),
        )
        figure = draw([panel], ["all"], 3.0)
        return Drawn(figure=figure, table=table([panel]), caption="How many examples.")

    monkeypatch.setitem(FIGURES, 12, ("size", number_of_examples))
    said = write_figures(study / "results", study / "figures", resamples=100)
    assert "not drawn: Figure 12" not in said
    for suffix in ("pdf", "svg", "png", "tsv"):
        assert (study / "figures" / f"figure_12_size.{suffix}").is_file()
    assert "Figure 12. How many examples." in Page(report_of(study)).source
