"""The report on results that lack something, are wrong, or mean harm; the binary."""

import functools
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.helpers import binaries
from tests.helpers.fake_results import FakeModel, write_results
from tests.helpers.report_pages import Page
from tests.helpers.report_worlds import add_images, add_regions
from xabl.analysis.figures import FIGURES
from xabl.analysis.report import ReportOptions, sections, write_report
from xabl.errors import UserError

HOSTILE = (
    "</script><img src=x onerror=window.harmed=1><!--<script> & ' \" \u2028 {{ 1 + 1 }}"
    " $x^{ and $"  # no formula of a figure either
)


def results(folder, model=None, **world):
    settings = dict(num_images=5, phrases_per_image=2, predictions=2) | world
    return write_results(folder / "results", model or FakeModel(), **settings)


def report(directory, folder, figures=(1,), **options):
    """Drawing takes most of the time, so most of these reports have one figure."""
    path = folder / "report.html"
    options = dict(resamples=100) | options
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sections, "FIGURES", {n: FIGURES[n] for n in figures})
        message = write_report(directory, path, ReportOptions(**options))
    return Page(path), message


def replace_column(path, column, values):
    """Overwrites a column of a Parquet file with a value, or one a row."""
    table = pq.read_table(path)
    values = [values] * len(table) if isinstance(values, str) else values
    place = table.column_names.index(column)
    table = table.set_column(place, column, pa.array(values, table[column].type))
    pq.write_table(table, path)


def make_hostile(directory):
    """Markup wherever results hold text."""
    for name in ("examples", "scores"):
        path = directory / f"{name}.parquet"
        for column in ("phrase", "phrase_type", "image_id"):
            replace_column(path, column, HOSTILE)
    replace_column(directory / "examples.parquet", "sentence", f"See {HOSTILE} here .")
    replace_column(directory / "predictions.parquet", "prediction", HOSTILE)
    manifest = json.loads((directory / "manifest.json").read_text())
    manifest["model"] |= {"label": HOSTILE, "name": HOSTILE}
    manifest |= {"device": HOSTILE, "git_commit": HOSTILE, "started": HOSTILE}
    manifest["data"]["split"] = HOSTILE
    (directory / "manifest.json").write_text(json.dumps(manifest))


def test_markup_in_results_is_text(tmp_path):
    safe = results(tmp_path / "safe")
    safe, _ = report(safe, tmp_path / "safe", figures=FIGURES)
    directory = results(tmp_path / "hostile")
    make_hostile(directory)
    page, _ = report(directory, tmp_path / "hostile", figures=FIGURES)
    allowed = {name for _, attributes in safe.elements for name in attributes}
    assert {name for _, attributes in page.elements for name in attributes} <= allowed
    scripts = [a.get("id") for tag, a in page.elements if tag == "script"]
    assert scripts == [a.get("id") for tag, a in safe.elements if tag == "script"]
    assert all(
        attributes["src"].startswith("data:")
        for tag, attributes in page.elements
        if tag == "img"
    )
    assert page.text.count("<img src=x") > 5  # there, as text
    assert page.index["runs"][0]["title"] == f"{HOSTILE}, seed 73"
    assert page.block("examples")[1]["phrase"] == [HOSTILE]


def test_an_image_id_does_not_lead_out_of_the_folder(tmp_path):
    directory = results(tmp_path)
    ids = add_images(directory, tmp_path / "images")
    (tmp_path / "images" / f"{ids[0]}.jpg").rename(tmp_path / "secret.jpg")
    for name in ("examples", "scores"):
        path = directory / f"{name}.parquet"
        column = pq.read_table(path)["image_id"].to_pylist()
        values = ["../secret" if value == ids[0] else value for value in column]
        replace_column(path, "image_id", values)
    page, message = report(directory, tmp_path, images=tmp_path / "images")
    assert "image-0" not in page.scripts and "image-1" in page.scripts
    assert "1 image is missing from the --images folder (first: ../secret)" in message


def test_images_that_are_missing_or_broken_leave_outlines(tmp_path):
    directory = results(tmp_path)
    ids = add_images(directory, tmp_path / "images", "png")
    (tmp_path / "images" / f"{ids[0]}.png").unlink()
    (tmp_path / "images" / f"{ids[1]}.png").write_bytes(b"\x89PNG no image")
    page, message = report(directory, tmp_path, images=tmp_path / "images")
    kept = [name for name in page.scripts if name and name.startswith("image-")]
    assert kept == ["image-2", "image-3", "image-4"]
    for note in (
        f"1 image is missing from the --images folder (first: {ids[0]})",
        f"1 image is unreadable in the --images folder (first: {ids[1]})",
    ):
        assert note in page.text and note in message


def test_a_folder_of_other_images_is_an_error(tmp_path):
    directory = results(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        report(directory, tmp_path, images=tmp_path / "images")
    (tmp_path / "images").mkdir()
    with pytest.raises(UserError, match="expected files like 1000.jpg"):
        report(directory, tmp_path, images=tmp_path / "images")
    assert not (tmp_path / "report.html").exists()


def test_results_are_never_replaced_by_a_report(tmp_path):
    directory = results(tmp_path)
    scores = directory / "scores.parquet"
    before = scores.read_bytes()
    with pytest.raises(UserError, match="scores.parquet holds something else"):
        write_report(directory, scores, ReportOptions(overwrite=True))
    assert scores.read_bytes() == before


def test_without_predictions(tmp_path):
    page, message = report(results(tmp_path, predictions=0), tmp_path)
    assert page.index["runs"][0]["predictions"] is None
    note = "UNITER, seed 73: no predictions were saved, by --save_predictions=0"
    assert note in page.text and note in message
    assert len(page.losses(0)) == 14


def test_without_lang4vis(tmp_path):
    model = FakeModel(directions=("vis4lang",))
    page, _ = report(results(tmp_path, model), tmp_path)
    about = page.index["runs"][0]
    assert about["metrics"] == ["mlm"] and about["main_losses"]["lang4vis"] is None
    assert about["conditions"]["lang4vis"] == []
    assert "Vision for language: no verdict on UNITER (5 images: too few" in page.text
    assert "Language for vision: not asked of UNITER." in page.text
    assert "asymmetry not measured (no lang4vis in this run)" in page.text


def test_scores_that_are_not_finite(tmp_path):
    page, message = report(results(tmp_path, FakeModel(nan_scores=2)), tmp_path)
    cell = page.index["runs"][0]["cells"].index(["mlm", "all"])
    bad = page.losses(0)[:, cell] == page.index["not_finite"]
    assert np.flatnonzero(bad).tolist() == [0, 1]
    assert "2 scores of MLM under all are not finite (first: example 0)" in message


def test_why_an_example_has_no_score(tmp_path):
    directory = results(tmp_path)
    path = directory / "scores.parquet"
    table = pq.read_table(path)
    out = pc.and_(
        pc.equal(table["example"], 3), pc.equal(table["direction"], "lang4vis")
    ).to_numpy()
    reasons = ["no region shows the phrase" if value else None for value in out]
    replace_column(path, "excluded", reasons)
    kl = table["mrc_kl"].to_pylist()
    kl = [None if gone else value for gone, value in zip(out, kl, strict=True)]
    replace_column(path, "mrc_kl", kl)
    page, _ = report(directory, tmp_path)
    arrays, texts = page.block("scores-0")
    assert texts["why"] == ["", "no region shows the phrase"]
    reasons = arrays["reasons"].reshape(14, 15)
    assert (reasons[3] == [0] * 12 + [1] * 3).all() and reasons.sum() == 3
    cell = page.index["runs"][0]["cells"].index(["mrc_kl", "none"])
    assert page.losses(0)[3, cell] == page.index["no_score"]


def test_regions_of_other_results_are_an_error(tmp_path):
    directory = results(tmp_path)
    kept = (directory / "scores.parquet").read_bytes()
    add_regions(directory, tmp_path / "regions.h5")
    (directory / "scores.parquet").write_bytes(kept)
    with pytest.raises(UserError, match=r"example 0 has \d+ regions ablated under"):
        report(directory, tmp_path, regions=tmp_path / "regions.h5")
    assert list(tmp_path.glob("*report*")) == []


@pytest.mark.parametrize(
    "break_it, message",
    [
        (lambda path: path.unlink(), "no examples.parquet"),
        (lambda path: path.write_bytes(b"no"), "not a readable Parquet file"),
        (
            lambda path: pq.write_table(
                pq.read_table(path).drop_columns(["sentence"]), path
            ),
            "no column sentence",
        ),
        (
            lambda path: pq.write_table(pq.read_table(path).slice(1), path),
            "holds other examples than the scores",
        ),
        (
            lambda path: replace_column(path, "image_id", "0007"),
            "holds other examples than the scores",
        ),
        (lambda path: replace_column(path, "boxes", "[[1, 2]"), "row 0: boxes"),
        (lambda path: replace_column(path, "boxes", "[[1, 2, 3]]"), "row 0: boxes"),
    ],
)
def test_examples_that_cannot_be_used(tmp_path, break_it, message):
    directory = results(tmp_path)
    break_it(directory / "examples.parquet")
    with pytest.raises(UserError, match=message):
        report(directory, tmp_path)
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    "break_it, message",
    [
        (lambda path: path.write_bytes(b"no"), "not a readable Parquet file"),
        (
            lambda path: pq.write_table(
                pq.read_table(path).drop_columns(["rank"]), path
            ),
            "no column rank",
        ),
        (
            lambda path: replace_column(
                path, "example", [99] * pq.read_metadata(path).num_rows
            ),
            "examples that have no scores",
        ),
    ],
)
def test_predictions_that_cannot_be_used(tmp_path, break_it, message):
    directory = results(tmp_path)
    break_it(directory / "predictions.parquet")
    with pytest.raises(UserError, match=message):
        report(directory, tmp_path)


def test_a_report_is_not_replaced_unasked(tmp_path):
    directory = results(tmp_path)
    older = "<!DOCTYPE html>mine"
    (tmp_path / "report.html").write_text(older)
    with pytest.raises(UserError, match="--overwrite"):
        report(directory, tmp_path)
    assert (tmp_path / "report.html").read_text() == older
    report(directory, tmp_path, overwrite=True)
    page = (tmp_path / "report.html").read_text()
    assert page.startswith("<!DOCTYPE html>") and page != older
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "report.html",
        "results",
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("images", "--images: nowhere: no such folder"),
        ("regions", "nowhere: cannot be read: No such file"),
        ("class_names", "nowhere: not a readable list of classes"),
    ],
)
def test_files_are_refused_before_results_are_read(
    tmp_path, monkeypatch, given, message
):
    monkeypatch.setattr("xabl.analysis.report.page.load_study", pytest.fail)
    options = ReportOptions(**{given: Path("nowhere")})
    with pytest.raises(UserError, match=message):
        write_report([tmp_path], tmp_path / "report.html", options)
    assert list(tmp_path.iterdir()) == []


def test_binary(tmp_path):
    run = functools.partial(binaries.run_words, "experiments.report")
    directory = results(tmp_path)
    output = tmp_path / "new" / "report.html"
    done = run(f"--results={directory}", f"--output={output}", "--resamples=100")
    assert done.status == 0, done.err
    assert "14 of 14 examples to browse" in done.out
    assert Page(output).index["runs"][0]["title"] == "UNITER, seed 73"
    for flags, message in (
        ((), "give --results, --output"),
        ((f"--results={tmp_path / 'no'}", "--output=x.html"), "no such results"),
        ((f"--results={directory}", f"--output={output}"), "--overwrite"),
    ):
        failed = run(*flags)
        assert failed.status == 1 and message in failed.err


def test_what_was_suspicious_is_said_first(tmp_path):
    directory = results(tmp_path)
    manifest = json.loads((directory / "manifest.json").read_text())
    manifest["suspicions"] = ["boxes: expected <these>, found those"]
    (directory / "manifest.json").write_text(json.dumps(manifest))
    page, message = report(directory, tmp_path)
    line = "boxes: expected <these>, found those"
    assert f"suspicious: {line}" in message
    first = page.text.index(line)
    assert first < page.text.index("Asymmetry")


def test_files_of_the_ablation_are_shown_unless_told_otherwise(tmp_path):
    directory = results(tmp_path)
    add_regions(directory, tmp_path / "regions.h5")
    names = ["background", *(f"class {number}" for number in range(1, 1601))]
    (tmp_path / "objects_vocab.txt").write_text("\n".join(names))
    manifest = json.loads((directory / "manifest.json").read_text())
    gone = tmp_path / "gone"
    manifest["flags"] = {"regions": str(tmp_path / "regions.h5"), "images": str(gone)}
    (directory / "manifest.json").write_text(json.dumps(manifest))
    page, message = report(directory, tmp_path)
    assert "regions" in page.index["blocks"] and page.index["classes"] == names
    assert f"note: {gone}, --images of xabl ablate, is not to be found" in message
    page, message = report(directory, tmp_path, as_ablated=False, overwrite=True)
    assert "regions" not in page.index["blocks"] and page.index["classes"] is None
    assert "gone" not in message
