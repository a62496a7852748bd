"""The report's data and words: what the page holds is what the results say."""

import json
import math
import re

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.helpers.fake_results import FakeModel, paper_models, text_only, write_study
from tests.helpers.report_pages import Page
from tests.helpers.report_worlds import (
    add_images,
    add_regions,
    add_words,
    write_class_names,
)
from xabl import analysis
from xabl.ablation.overlap import coverage
from xabl.analysis import effects, terms, verdicts
from xabl.analysis.answer import verdict
from xabl.analysis.asymmetry import asymmetry
from xabl.analysis.report import ReportOptions, write_report
from xabl.analysis.report.html_tables import probability, typeset

QUICK = dict(resamples=100)
TWO = (FakeModel(), text_only("BERT-CC", 5.4))


def study_of(folder, models=TWO, **world):
    settings = dict(num_images=30, phrases_per_image=1, predictions=2) | world
    return write_study(folder / "results", list(models), **settings)


def report_of(directories, folder, **options):
    path = folder / "report.html"
    message = write_report(directories, path, ReportOptions(**(QUICK | options)))
    return Page(path), message


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Results of the paper's models with regions and images, and their report."""
    folder = tmp_path_factory.mktemp("report")
    directories = study_of(folder, paper_models()[:2] + [TWO[1]])
    add_regions(directories[0], folder / "regions.h5")
    add_regions(directories[1], folder / "again.h5")
    add_images(directories[0], folder / "images")
    add_words(directories[0])
    page, message = report_of(
        directories,
        folder,
        regions=folder / "regions.h5",
        images=folder / "images",
        class_names=write_class_names(folder / "objects_vocab.txt"),
    )
    return folder, directories, page, message


def test_nothing_is_fetched(made):
    _, _, page, _ = made
    for tag, attributes in page.elements:
        assert tag not in ("link", "iframe", "object") or attributes["href"] == "data:,"
        for name in ("src", "href"):
            value = attributes.get(name) or "#"
            assert value.startswith(("#", "data:")), (tag, value)
    policies = [
        attributes["content"]
        for tag, attributes in page.elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policies[0].startswith("default-src 'none'; img-src data:;")
    style = page.source[page.source.index("<style>") : page.source.index("</style>")]
    assert "url(" not in style and "@import" not in style


def test_the_verdict_and_its_intervals_are_the_numbers(made):
    _, directories, page, _ = made
    study = analysis.load_study(directories)
    bootstrap = effects.bootstrap_of(study, resamples=100)
    table = asymmetry(study, bootstrap)
    text = " ".join(page.text.split())
    assert typeset(verdict(table, effects.differences(study, bootstrap))) in text
    for row in table.to_dict("records")[:2]:
        sentence = typeset(verdicts.asymmetry_sentence(row))
        assert "95% interval" in sentence and sentence in text
    assert "BERT-CC: asymmetry not measured" not in text  # sees no regions at all
    rows = effects.differences(study, bootstrap)
    row = rows[(rows["metric"] == "mlm") & (rows["condition"] == "all")].iloc[0]
    assert f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]" in text
    assert "published 14,433; seed 42, published 73" in text


def test_every_loss_is_there(made):
    _, directories, page, _ = made
    for number, directory in enumerate(directories):
        about = page.index["runs"][number]
        scores = pq.read_table(directory / "scores.parquet").to_pandas()
        losses = page.losses(number)
        assert len(losses) == scores["example"].nunique()
        for column, (metric, condition) in enumerate(about["cells"]):
            direction = page.index["metrics"][metric]["direction"]
            rows = scores[
                (scores["condition"] == condition) & (scores["direction"] == direction)
            ].sort_values("example")
            bits = rows[metric].to_numpy() / math.log(2)
            there = ~np.isnan(bits)
            # Half a step of 0.0001 bits, and float32.
            assert abs(losses[there, column] / 1e4 - bits[there]).max() < 5.2e-5
            assert (losses[~there, column] == page.index["no_score"]).all()


def test_every_prediction_is_there(made):
    _, directories, page, _ = made
    about = page.index["runs"][0]
    arrays, texts = page.block(about["predictions"])
    table = pq.read_table(directories[0] / "predictions.parquet").to_pylist()
    assert texts["ranks"] == 2
    for row in table:
        direction, place = row["direction"], row["example"]
        conditions = about["conditions"][direction]
        first, last = arrays[f"{direction}_starts"][place : place + 2]
        positions = arrays[f"{direction}_positions"][first:last].tolist()
        target = int(first) + positions.index(row["position"])
        at = (
            (target * len(conditions) + conditions.index(row["condition"])) * 2
            + row["rank"]
            - 1
        )
        assert texts["words"][arrays[f"{direction}_ids"][at] - 1] == row["prediction"]
        probability = arrays[f"{direction}_probabilities"][at] / 1e4
        assert abs(probability - row["probability"]) <= 5e-5


def test_every_word_is_there(made):
    _, directories, page, message = made
    about = page.index["runs"][0]
    conditions = about["conditions"]["vis4lang"]
    arrays, texts = page.block(about["words"])
    losses, ranks = (
        arrays[name].reshape(-1, len(conditions)) for name in ("losses", "ranks")
    )
    table = pq.read_table(directories[0] / "words.parquet").to_pylist()
    assert len(table) == losses.size == ranks.size
    for row in table:
        first, last = arrays["starts"][row["example"] : row["example"] + 2]
        positions = arrays["positions"][first:last].tolist()
        piece = int(first) + positions.index(row["position"])
        column = conditions.index(row["condition"])
        bits = losses[piece, column] / page.index["word_steps"]
        assert abs(bits - row["loss"] / math.log(2)) < 5.2e-4  # half a step
        assert ranks[piece, column] == row["rank"]
        assert arrays["places"][piece] == row["word"]
        assert texts["pieces"][arrays["pieces"][piece]] == row["piece"]
        assert texts["kinds"][arrays["kinds"][piece]] == row["word_class"]
    assert [run["words"] for run in page.index["runs"][1:]] == [None, None]
    note = "VL-BERT, seed 42; BERT-CC: no losses by word: words.parquet is missing; run"
    assert note in " ".join(page.text.split()) and note in message


def test_a_condition_says_what_its_effect_is_made_of(made):
    page = made[2]
    conditions = page.index["conditions"]
    for name, thing in (("all", "object@0.5"), ("object@0.3", "object@0.3")):
        assert conditions["vis4lang"][name]["effects"] == {
            "lost": ["mlm", "all", "none"],
            "misled": ["mlm", thing, "all"],
        }
    assert conditions["lang4vis"]["all"]["effects"] == {}
    assert "average vector" in conditions["vis4lang"]["all"]["way"]
    assert conditions["vis4lang"]["none"]["way"] is None


def test_examples_and_regions_are_there(made):
    folder, directories, page, _ = made
    arrays, texts = page.block("examples")
    regions, region_texts = page.block("regions")
    table = pq.read_table(directories[0] / "examples.parquet").to_pylist()
    boxes = add_regions(directories[0], folder / "once_more.h5")
    for place, row in enumerate(table):
        assert arrays["number"][place] == row["example"]
        assert texts["sentence"][arrays["sentence"][place]] == row["sentence"]
        assert texts["phrase"][arrays["phrase"][place]] == row["phrase"]
        assert texts["type"][arrays["type"][place]] == row["phrase_type"]
        image = arrays["image"][place]
        assert texts["images"][image] == [row["image_id"], row["img_w"], row["img_h"]]
        first, last = arrays["box_start"][place : place + 2]
        found = arrays["boxes"][4 * first : 4 * last].reshape(-1, 4)
        assert found.tolist() == json.loads(row["boxes"])
        own = boxes[row["image_id"]]
        first, last = regions["region_start"][image : image + 2]
        drawn = regions["regions"][4 * first : 4 * last].reshape(-1, 4)
        assert abs(drawn - own).max() <= 0.5
        first, last = regions["level_start"][place : place + 2]
        overlap = coverage(own.astype(np.float64), found)
        steps = region_texts["overlap_steps"]
        assert (
            abs(regions["overlaps"][first:last] / steps - overlap).max() <= 0.5 / steps
        )
        for level, threshold in enumerate(region_texts["thresholds"]):
            above = regions["levels"][first:last] > level
            assert (above == (overlap > threshold)).all()
    assert region_texts["thresholds"] == [i / 10 for i in range(10)]
    assert regions["kinds"].tolist() == [*range(1, 7)] * 30  # line 0: background
    pictures = [name for name in page.scripts if name and name.startswith("image-")]
    assert len(pictures) == len(texts["images"]) == 30


def test_figures_and_tables(made):
    _, _, page, message = made
    images = [a for tag, a in page.elements if tag == "img"]
    assert images and all(a["src"].startswith("data:image/svg+xml") for a in images)
    assert all(a["alt"].startswith("Figure") for a in images)
    assert "no model with a label like" in page.text  # figure 4 says what it lacks
    for title in ("By phrase type", "By overlap threshold", "Between models"):
        assert title in page.text
    assert "LabelMatch examples" in page.text
    assert re.search(r"report.html: 0\.\d MB, 3 models, 60 of 60 examples", message)


def test_a_p_value_is_explained_and_never_nothing(made):
    explained = terms.P_VALUE.meaning
    assert explained[1:] in " ".join(made[2].text.split())
    assert probability(0.0).text == probability(9e-4).text == "< 0.001"
    assert probability(0.0012).text == "0.001" and probability(1.0).text == "1.000"


def test_rows_are_whole_and_numbers_have_values(made):
    page = made[2]
    cells = [a for tag, a in page.elements if tag == "td" and "data-low" in a]
    assert len(cells) > 50
    for cell in cells:
        low, value, high = (float(cell[f"data-{n}"]) for n in ("low", "value", "high"))
        assert low <= value <= high or cell["data-label"] == "Mean"
    again = [a for tag, a in page.elements if tag == "th" and a.get("class") == "again"]
    assert len(again) >= 2 * (3 - 1)  # two models, three conditions
    paper = [a for tag, a in page.elements if tag == "th" and "data-paper" in a]
    assert len(paper) > 5


def test_more_than_may_be_shown_is_sampled_by_image(tmp_path):
    directories = study_of(tmp_path)
    page, message = report_of(directories, tmp_path, max_examples=10)
    arrays, texts = page.block("examples")
    table = pq.read_table(directories[0] / "examples.parquet").to_pylist()
    total = len(table)
    assert f"holds 10 of {total} examples (--max_examples): all examples of images" in (
        " ".join(page.text.split())
    )
    assert f"10 of {total} examples to browse" in message
    assert len(arrays["number"]) == 10 and (np.diff(arrays["number"]) > 0).all()
    kept = {table[number]["image_id"] for number in arrays["number"]}
    partly = [
        image
        for image in kept
        if sum(row["image_id"] == image for row in table)
        > sum(table[number]["image_id"] == image for number in arrays["number"])
    ]
    assert len(partly) <= 1
    assert len(page.losses(0)) == 10
    scores = pq.read_table(directories[0] / "scores.parquet").to_pylist()
    first = next(row for row in scores if row["example"] == arrays["number"][0])
    assert abs(page.losses(0)[0, 0] / 1e4 - first["mlm"] / math.log(2)) < 5.2e-5


def test_a_limit_on_the_files_size_is_kept(tmp_path):
    directories = study_of(tmp_path, num_images=60, phrases_per_image=6)
    whole, _ = report_of(directories, tmp_path)
    fixed = len(whole.source) - sum(
        len(text) for name, text in whole.scripts.items() if name and "block-" in name
    )
    limit = (fixed + len(whole.source)) // 2
    page, _ = report_of(directories, tmp_path, most_bytes=limit, overwrite=True)
    assert len(page.source.encode()) <= limit
    assert f"more would make the file larger than {limit:,} bytes" in page.text
    assert 50 < len(page.losses(0)) < len(whole.losses(0))
