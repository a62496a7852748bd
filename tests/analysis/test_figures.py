"""Figures: the files, the numbers in them, what is not drawn, the binaries."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from tests.helpers import binaries
from tests.helpers.fake_results import (
    FakeModel,
    paper_models,
    text_only,
    variants,
    write_results,
    write_study,
)
from xabl import analysis
from xabl.analysis import comparisons, effects
from xabl.analysis.figures import FIGURES, selection, write_figures
from xabl.analysis.figures.panels import broken_range
from xabl.analysis.figures.style import line_style
from xabl.analysis.files import latex
from xabl.errors import UserError


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    models = paper_models((33, 42, 73)) + variants()
    write_study(folder, models, num_images=30, phrases_per_image=1)
    return folder


@pytest.fixture(scope="module")
def output(results, tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    text = write_figures(results, folder, resamples=200)
    assert text.startswith("10 figures written to")
    return folder


def test_every_figure_in_every_format_with_its_table(output):
    for number, (name, _) in FIGURES.items():
        if number == 11:  # needs words.parquet, which other tests have
            continue
        stem = f"figure_{number}_{name}"
        assert (output / f"{stem}.pdf").read_bytes().startswith(b"%PDF")
        assert (output / f"{stem}.png").read_bytes().startswith(b"\x89PNG")
        assert b"<svg" in (output / f"{stem}.svg").read_bytes()
        assert len(pd.read_csv(output / f"{stem}.tsv", sep="\t")) > 0
    captions = (output / "figures.md").read_text()
    assert captions.count("**Figure ") == 10
    assert captions.partition("# Not drawn")[2].count("- Figure") == 1
    assert "baseline: UNITER, seed 73 and ViLBERT, seed 33." in captions
    assert captions.count("baseline: UNITER, seed 42") == 2
    assert not list(output.rglob(".*"))


def test_the_lines_are_the_tables_numbers(results, output):
    study = analysis.load_study(results)
    means = effects.means(study, effects.bootstrap_of(study, resamples=200))
    rows = means.set_index(["model", "metric", "condition"])["mean"]
    drawn = pd.read_csv(output / "figure_1_both_directions.tsv", sep="\t")
    value = drawn.set_index(["panel", "series", "condition"])["value"]
    for label in ("UNITER", "VisualBERT"):
        for panel, metric, condition in (
            ("Vision for language", "mlm", "object@0.5"),
            ("Vision for language", "mlm", "all"),
            ("Language for vision", "mrc_kl", "phrase"),
        ):
            expected = rows[label, metric, condition]
            assert value[panel, label, condition] == pytest.approx(expected)
    assert not drawn["series"].str.contains("-thr|-xent|_rnd").any()
    line = drawn[drawn["series"] == "BERT-CC (text only)"].iloc[0]
    assert line["value"] == pytest.approx(5.39, abs=1e-4)
    spread = comparisons.seeds(study).set_index(["model", "metric", "condition"])
    drawn = pd.read_csv(output / "figure_3_seeds.tsv", sep="\t")
    band = drawn.set_index(["panel", "series", "condition"])
    row = band.loc[("Language for vision", "LXMERT", "all")]
    assert row["low"] == pytest.approx(spread.loc[("LXMERT", "mrc_kl", "all"), "low"])
    drawn = pd.read_csv(output / "figure_2_overlap_threshold.tsv", sep="\t")
    assert drawn.groupby("series")["ablated_share"].apply(list).map(len).eq(12).all()
    one = drawn[drawn["series"] == "UNITER"]
    assert one["condition"].iloc[0] == "none" and one["ablated_share"].iloc[-1] == 1


def test_the_same_results_give_the_same_files(results, output, tmp_path):
    write_figures(results, tmp_path, numbers=(1, 9), resamples=200, tables=False)
    for path in tmp_path.iterdir():
        if path.stem != "figures":
            assert path.read_bytes() == (output / path.name).read_bytes(), path.name


def test_tables_are_exported(output):
    means = pd.read_parquet(output / "tables" / "differences.parquet")
    assert {"difference", "low", "high", "evidence"} <= set(means.columns)
    names = {path.name for path in (output / "tables").iterdir()}
    assert {"published.csv", "seeds.tex", "model_pairs.parquet"} <= names


@pytest.mark.usefixtures("undrawn")
def test_what_cannot_be_drawn_is_listed(tmp_path):
    write_results(tmp_path / "run", FakeModel(gold=False, thresholds=(0.5,)))
    text = write_figures(
        tmp_path / "run", tmp_path / "out", resamples=100, tables=False
    )
    assert text.startswith("2 figures written")
    for line in (
        "not drawn: Figure 2 (overlap_threshold): fewer than two overlap thresholds",
        "not drawn: Figure 3 (seeds): no model has results of more than one seed",
        "not drawn: Figure 4 (initialisation): no model with a label like",
        "not drawn: Figure 6 (loss): no model with a label like UNITER-xent",
        "not drawn: Figure 7 (labelmatch): no gold labels in these results",
        "not drawn: Figure 9 (confusion): no gold labels in these results",
    ):
        assert line in text
    assert (tmp_path / "out" / "figures.md").read_text().count("Figure") >= 10


@pytest.mark.usefixtures("undrawn")
def test_models_without_lang4vis_leave_a_caption(tmp_path):
    models = [FakeModel(), FakeModel(label="noviz", directions=("vis4lang",))]
    write_study(tmp_path / "in", models)
    write_figures(
        tmp_path / "in", tmp_path / "out", numbers=(1,), resamples=100, tables=False
    )
    caption = (tmp_path / "out" / "figures.md").read_text()
    assert "Without a region loss to show: noviz (no lang4vis in this run)" in caption
    drawn = pd.read_csv(tmp_path / "out" / "figure_1_both_directions.tsv", sep="\t")
    assert set(drawn[drawn["panel"] == "Vision for language"]["series"]) == {
        "UNITER",
        "noviz",
    }
    assert set(drawn[drawn["panel"] == "Language for vision"]["series"]) == {"UNITER"}


@pytest.mark.usefixtures("undrawn")
def test_a_gap_in_the_middle_of_a_line_stays_one(tmp_path):
    models = [FakeModel(), FakeModel(label="ViLBERT", nan_scores=2)]
    write_study(tmp_path / "in", models)
    write_figures(
        tmp_path / "in", tmp_path / "out", numbers=(2,), resamples=100, tables=False
    )
    drawn = pd.read_csv(tmp_path / "out" / "figure_2_overlap_threshold.tsv", sep="\t")
    row = drawn[(drawn["series"] == "ViLBERT") & (drawn["condition"] == "all")]
    assert row["value"].isna().all()
    text = (tmp_path / "out" / "figures.md").read_text()
    assert "2 scores of MLM under all are not finite" in text


@pytest.mark.usefixtures("undrawn")
def test_text_only_results_have_nothing_to_draw(tmp_path):
    write_study(tmp_path / "in", [text_only("BERT", 7.4)])
    text = write_figures(tmp_path / "in", tmp_path / "out", resamples=100)
    assert text.startswith("0 figures written")
    assert "no model that sees both modalities" in text


def test_an_unknown_figure_is_refused(results, tmp_path):
    with pytest.raises(UserError, match="numbers is 12, expected one of 1, 2, 3"):
        write_figures(results, tmp_path, numbers=(12,))


def test_axes_break_only_when_most_of_them_would_be_empty():
    assert len(broken_range([(0.5, 0.6), (0.6, 0.75), (2.93, 2.95)])) == 2
    assert len(broken_range([(4.6, 5.8), (5.5, 6.5)])) == 1
    assert len(broken_range([(0.5, 0.6), (0.65, 0.7)])) == 1
    assert len(broken_range([(1.0, 1.0), (2.0, 2.0)])) == 1
    assert len(broken_range([(1.0, 1.0)])) == 1
    (above, top), (bottom, below) = broken_range([(0.5, 0.75), (2.93, 2.95)])
    assert bottom < 0.5 < 0.75 < below < above < 2.93 < 2.95 < top
    assert top - above >= 0.3 * (0.75 - 0.5)


def test_lines_differ_without_colour():
    labels = ["UNITER, seed 42", *(f"UNITER-thr{i:02}" for i in range(12)), "ViLBERT"]
    styles = [line_style(label, labels) for label in labels]
    looks = {(s["marker"], str(s["linestyle"])) for s in styles}
    assert len(looks) == len(labels)
    main = [line_style(name, ["LXMERT", "UNITER"]) for name in ("UNITER", "LXMERT")]
    assert main[0]["color"] == line_style("UNITER", ["UNITER"])["color"]
    assert main[0]["color"] != main[1]["color"]


def test_variants_without_their_baseline_are_not_drawn(tmp_path):
    from xabl.analysis.figures import NotDrawn

    write_study(tmp_path, [FakeModel(label="ViLBERT_rnd-vl")])
    study = analysis.load_study(tmp_path)
    with pytest.raises(NotDrawn, match="no results of the baseline: ViLBERT"):
        selection.with_baselines(study, selection.INITIALISATION)


def test_latex_escapes_and_marks_gaps():
    table = pd.DataFrame({"a_b": ["50% & more", None], "x": [-0.5, np.nan]})
    text = latex(table)
    assert r"a\_b & x \\" in text
    assert r"50\% \& more & $-$0.5000 \\" in text
    assert r"-- & -- \\" in text


def test_a_folder_that_cannot_be_written_is_found_before_anything_is_drawn(
    results, tmp_path, monkeypatch
):
    monkeypatch.setattr("xabl.analysis.figures.load_study", pytest.fail)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="figures.md cannot be written"):
        write_figures(results, tmp_path / "file")


@pytest.mark.parametrize(
    ("flags", "status", "message"),
    [
        ([], 1, "give --results, --output"),
        (
            ["--results=x", "--output=y", "--figures=one"],
            1,
            "--figures is 'one', expected",
        ),
        (["--results=nowhere", "--output=y"], 1, "no such results directory"),
    ],
)
def test_the_binary_refuses_in_one_line(flags, status, message):
    done = binaries.run_words("experiments.figures", *flags)
    assert done.status == status
    assert message in done.err and done.err.count("\n") == 1


def test_the_binaries_run(tmp_path):
    results = tmp_path / "results"
    write_study(results, [FakeModel(thresholds=(0.5,))], num_images=30)
    figures = [f"--results={results}", f"--output={tmp_path}", "--figures=1"]
    labelmatch = [f"--results={results}", f"--output={tmp_path / 'labelmatch'}"]
    for name, flags in (("figures", figures), ("labelmatch", labelmatch)):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", f"experiments.{name}", *flags],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "figure_1_both_directions.pdf").exists()
    assert (tmp_path / "labelmatch" / "labelmatch.txt").exists()
