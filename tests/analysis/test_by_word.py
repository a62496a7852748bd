"""Models of different vocabularies are compared by word, everywhere or not at all."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.helpers.report_pages import Page
from xabl import analysis, results
from xabl.analysis import comparisons, effects, misled
from xabl.analysis.figures import write_figures
from xabl.analysis.report import ReportOptions, write_report
from xabl.analysis.word_classes import by_word_class
from xabl.analysis.yardsticks import yardsticks
from xabl.results.format import WORDS
from xabl.results.losses import BY_WORD, NATS_PER_BIT

IMAGES = 30
NATS = {"none": 3.0, "object@0.5": 4.0, "all": 6.0}  # of every word
CONDITIONS = tuple(NATS)
CHANGE = 3.0 / NATS_PER_BIT  # what `all` adds to a word


def write(folder, label, count, missing=(), words=True, data=None, **model):
    """Results of a model of `count` tokens for a word; every word costs the same.

    A phrase has one word or two. `missing`: examples of which only one word is read.
    `data`, `model`: more of the manifest.
    """
    rng = np.random.default_rng(0)
    difficulty = rng.uniform(0, 1, 2 * IMAGES)
    rows = [
        {
            "example": example,
            "direction": "vis4lang",
            "condition": condition,
            "position": word * count + token,
            "piece": "dog",
            "word": word,
            "start": 4 * word,
            "end": 4 * word + 3,
            "word_class": "noun",
            "loss": (NATS[condition] + difficulty[example]) / count,
            "rank": 1,
            "probability": 0.5,
        }
        for condition in CONDITIONS
        for example in range(2 * IMAGES)
        for word in range(1 + (example % 2 and example not in missing))
        for token in range(count)
    ]
    table = pd.DataFrame(rows)
    scores = table.groupby(["example", "condition"], as_index=False)["loss"].mean()
    scores = scores.rename(columns={"loss": "mlm"}).assign(
        image_id=[f"picture {e // 2}" for e in scores["example"]],
        phrase="dog dog",
        phrase_type="animals",
        direction="vis4lang",
    )
    given = table if words else None
    path = results.write(scores, folder / label, label=label, words=given)
    about = json.loads((path / "manifest.json").read_text())
    about["data"] |= data or {}
    about["model"] |= model
    (path / "manifest.json").write_text(json.dumps(about))
    return path


def own(words, tokens):
    return {"reads": "anything", "tokens": {"words": words, "own_tokens": tokens}}


@pytest.fixture
def two(tmp_path):
    """The same losses for every word, of one token and of three."""
    write(tmp_path / "in", "one", 1, **own(90, 90))
    write(tmp_path / "in", "three", 3, **own(90, 270))
    return tmp_path / "in"


def test_losses_of_no_word_at_all(tmp_path):
    """As of a run that excluded every example."""
    path = write(tmp_path / "in", "none", 1)
    pq.write_table(WORDS.schema.empty_table(), path / WORDS.name)
    study = analysis.load_study(tmp_path / "in")
    assert by_word_class(study, effects.bootstrap_of(study, resamples=200)).empty


def test_the_same_losses_by_word_are_no_difference(two):
    study = analysis.load_study(two)
    bootstrap = effects.bootstrap_of(study, resamples=200)
    pairs = comparisons.compare_models(study, bootstrap)
    assert set(pairs["metric"]) == {BY_WORD} and len(pairs) == 5
    np.testing.assert_allclose(pairs[["difference", "low", "high"]], 0, atol=1e-5)
    assert set(pairs["evidence"]) == {"no evidence"}
    asked = comparisons.compare_models(study, bootstrap, metrics=["mlm"])
    assert asked.empty  # by token they are not compared even if that is asked for
    table = effects.differences(study, bootstrap).set_index(["metric", "condition"])
    changes = table.loc[(BY_WORD, "all"), "difference"]
    np.testing.assert_allclose(changes, [CHANGE, CHANGE], rtol=1e-6)
    assert not np.isclose(*table.loc[("mlm", "all"), "difference"])
    lost = misled.lost_and_misled(study, bootstrap)
    assert set(lost["metric"]) == {BY_WORD}
    np.testing.assert_allclose(lost["lost"], [CHANGE, CHANGE], rtol=1e-6)
    phrases = by_word_class(study, bootstrap).set_index("word_class")
    assert set(phrases.index) == {"noun", "phrase_by_word"}
    assert effects.by_target_pieces(study) == []


@pytest.mark.usefixtures("undrawn")
def test_figures_and_report_show_words(two, tmp_path):
    numbers = (1, 10, 11)
    write_figures(two, tmp_path / "out", numbers=numbers, resamples=100, tables=False)
    for name in ("1_both_directions", "10_lost_and_misled", "11_word_classes"):
        drawn = pd.read_csv(tmp_path / "out" / f"figure_{name}.tsv", sep="\t")
        one, three = (drawn[drawn["series"] == label] for label in ("one", "three"))
        np.testing.assert_allclose(one["value"], three["value"], atol=1e-5)
    write_report(two, tmp_path / "r.html", ReportOptions(resamples=100))
    page = Page(tmp_path / "r.html")
    text = " ".join(page.text.split())
    differ = "these two models differ: what removing all image"
    assert text.count(f"no evidence that {differ}") == text.count(differ) == 1
    assert "MLM by word in bits: " in text and "phrases (published)" not in text
    assert "models of different vocabularies (one; three): their words are" in text
    assert [run["metrics"] for run in page.index["runs"]] == [[BY_WORD]] * 2
    pair = page.index["conditions"]["vis4lang"]["all"]["effects"]["lost"]
    assert pair == [BY_WORD, "all", "none"]


def test_what_has_no_words_is_not_compared_and_said_to_be(two, tmp_path):
    write(two, "old", 1, words=False, data={"vocab_sha256": "x"})
    study = analysis.load_study(two)
    pairs = comparisons.compare_models(study, effects.bootstrap_of(study, 50))
    assert {*pairs["first"], *pairs["second"]} == {"one", "three"}
    assert any("not compared at words: old (no words.parquet" in n for n in study.notes)


def test_words_that_only_one_model_reads_are_left_out(tmp_path):
    write(tmp_path, "all", 1, **own(90, 90))
    write(tmp_path, "some", 3, missing=(1, 3), **own(88, 264))
    study = analysis.load_study(tmp_path)
    bits = {m.label: m.cell(BY_WORD, "all").bits for m in study.models}
    assert np.flatnonzero(np.isnan(bits["some"])).tolist() == [1, 3]
    pairs = comparisons.compare_models(study, effects.bootstrap_of(study, 50))
    assert set(pairs["n"]) == {2 * IMAGES - 2}


@pytest.mark.parametrize(
    ("first", "second", "apart"),
    [
        ({}, {}, False),
        ({"vocab_sha256": "x"}, {}, False),
        ({"vocab_sha256": "x"}, {"vocab_sha256": "y"}, True),
        ("own", {}, True),
        ("own", {"vocab_sha256": "x"}, True),
    ],
)
def test_which_vocabularies_differ(tmp_path, first, second, apart):
    for label, data in (("A", first), ("B", second)):
        more = own(90, 90) if data == "own" else {"data": data}
        write(tmp_path, label, 1, **more)
    study = analysis.load_study(tmp_path)
    assert (study.word_loss == BY_WORD) == apart


def test_one_vocabulary_is_compared_as_published(tmp_path):
    for label in ("A", "B"):
        write(tmp_path, label, 2, data={"vocab_sha256": "x"})
    study = analysis.load_study(tmp_path)
    assert study.word_loss == "mlm" and BY_WORD not in study.metrics()
    pairs = comparisons.compare_models(study, effects.bootstrap_of(study, 50))
    assert set(pairs["metric"]) == {"mlm"}
    assert yardsticks(study).empty
