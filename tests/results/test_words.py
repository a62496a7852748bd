"""words.parquet and yardsticks: written by any program, said by every output."""

import json
import math

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from xabl import analysis, results
from xabl.analysis.figures import write_figures
from xabl.analysis.report import ReportOptions, write_report
from xabl.analysis.word_classes import PHRASE, by_word_class
from xabl.analysis.yardsticks import yardsticks as yardsticks_of
from xabl.errors import UserError
from xabl.results.conditions import Direction
from xabl.results.format import WORDS
from xabl.results.reading import read_file
from xabl.results.yardsticks import Yardstick, guessing, warnings, yardsticks_text

EXAMPLES = 36  # of an image each: enough for intervals
CONDITIONS = ("none", "object@0.5", "all")
BITS = math.log(2)


def words(shift=1.0, classes=("function", "noun", "noun")):
    """Three pieces an example, "a dog ##s": the noun has two and alone suffers."""
    rng = np.random.default_rng(0)
    base = rng.uniform(1, 2, (EXAMPLES, 3))
    rows = []
    for place, condition in enumerate(CONDITIONS):
        for example in range(EXAMPLES):
            for number, piece in enumerate(("a", "dog", "##s")):
                loss = base[example, number] + shift * place * (number == 1)
                rows.append(
                    {
                        "example": example,
                        "direction": "vis4lang",
                        "condition": condition,
                        "position": 1 + number,
                        "piece": piece,
                        "word": min(number, 1),
                        "start": 0 if number == 0 else 2,
                        "end": 1 if number == 0 else 6,
                        "word_class": classes[number],
                        "loss": loss,
                        "rank": 1 + place,
                        "probability": math.exp(-loss),
                    }
                )
    return pd.DataFrame(rows)


def scores(table):
    means = table.groupby(["condition", "example"], sort=False)["loss"].mean()
    frame = means.rename("mlm").reset_index()
    return frame.assign(
        image_id=[f"picture {e}" for e in frame["example"]],
        phrase="a dogs",
        phrase_type="animals",
        direction="vis4lang",
    )


def examples(unigram=None):
    about = pd.DataFrame(
        {
            "example": range(EXAMPLES),
            "image_id": [f"picture {e}" for e in range(EXAMPLES)],
            "phrase": "a dogs",
            "phrase_type": "animals",
            "sentence": "a dogs",
            "first_word": 0,
            "num_words": 2,
        }
    )
    return about if unigram is None else about.assign(unigram_mlm=unigram)


def written(folder, name="mine", unigram=None, table=None, **rest):
    table = words() if table is None else table
    about = examples(unigram)
    return results.write(
        scores(table), folder / name, label=name, examples=about, words=table, **rest
    )


def test_what_is_written_is_read(tmp_path):
    path = written(tmp_path)
    assert results.check(path) == ()
    found = read_file(path, WORDS).to_pandas()
    assert len(found) == 3 * 3 * EXAMPLES and found["piece"].tolist()[1] == "dog"
    np.testing.assert_allclose(found["loss"], words()["loss"], rtol=1e-6)


def test_what_is_wrong_is_refused(tmp_path):
    table = words()
    for change, said in (
        ({"loss": table["loss"] + 0.1}, "are not its mlm"),
        ({"word_class": "nouns"}, "'nouns' is none of noun, adjective"),
        ({"rank": 0}, f"column rank: {9 * EXAMPLES} values out of range"),
        ({"condition": "everything"}, "not a condition this version knows"),
        ({"example": 99}, "have no scores in scores.parquet"),
    ):
        with pytest.raises(UserError, match=said):
            results.write(
                scores(table),
                tmp_path / "bad",
                label="bad",
                words=table.assign(**change),
            )
    missing = "words.parquet: not written: no column probability"
    with pytest.raises(UserError, match=missing):
        results.write(
            scores(table),
            tmp_path / "bad",
            label="bad",
            words=table.drop(columns="probability"),
        )
    assert not (tmp_path / "bad").exists()
    path = written(tmp_path)
    broken = pq.read_table(path / "words.parquet").to_pandas().assign(loss=1.0)
    broken.to_parquet(path / "words.parquet")
    assert any("are not its mlm" in problem for problem in results.check(path))


def test_classes_of_words_by_hand(tmp_path):
    path = written(tmp_path)
    study = analysis.load_study(path)
    table = by_word_class(study, analysis.effects.bootstrap_of(study, resamples=200))
    assert table["word_class"].tolist() == ["noun", "function", PHRASE] * 2
    table = table.set_index(["condition", "word_class"])
    noun = table.loc["all", "noun"]
    # Sums over the pieces of a word; two bits' worth of nats on the first of them.
    assert noun["difference"] == pytest.approx(2 / BITS, rel=1e-6)
    assert noun["low"] == pytest.approx(2 / BITS, rel=1e-6)
    intact = words().query("condition == 'none' and word_class == 'noun'")["loss"]
    assert noun["none"] == pytest.approx(intact.sum() / EXAMPLES / BITS, rel=1e-6)
    assert (noun["n"], noun["evidence"]) == (EXAMPLES, "higher")
    function = table.loc["all", "function"]
    assert (function["difference"], function["evidence"]) == (0, "no evidence")
    assert table.loc["all", PHRASE]["difference"] == pytest.approx(2 / 3 / BITS)


def test_results_without_words_are_read_as_before(tmp_path):
    path = results.write(scores(words()), tmp_path / "old", label="old")
    manifest = json.loads((path / "manifest.json").read_text())
    assert "yardsticks" not in manifest and warnings(manifest) == ()
    study = analysis.load_study(path)
    assert by_word_class(study, analysis.effects.bootstrap_of(study)).empty
    assert yardsticks_of(study).empty
    text = write_figures(path, tmp_path / "figures", numbers=[11], tables=False)
    assert "no run has losses by word" in text
    assert results.check(path) == ()


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("unigram, no_better", [(9.0, False), (1.5, True), (0.5, True)])
def test_a_model_no_better_than_frequencies_is_called_that_first(
    tmp_path, unigram, no_better
):
    path = written(tmp_path, unigram=unigram)
    manifest = json.loads((path / "manifest.json").read_text())
    field = manifest["yardsticks"]["mlm"]
    assert field["unigram"] == pytest.approx(unigram / BITS)
    assert (field["high"] >= 0) == no_better == bool(field["warning"])
    assert guessing(manifest) == ({Direction.VIS4LANG} if no_better else set())
    assert field["images"] == EXAMPLES
    text = write_figures(path, tmp_path / "figures", numbers=[11])
    captions = (tmp_path / "figures" / "figures.md").read_text()
    options = ReportOptions(resamples=100)
    said = write_report(path, tmp_path / "report.html", options)
    page = (tmp_path / "report.html").read_text()
    lead = page.index('<p class="lead')
    assert page[lead:].startswith('<p class="lead warning">') == no_better
    for output in (text, captions, said):
        first = output.split("\n")[0]
        called = "worse" if unigram < 1 else "no better"
        begins = first.startswith(f"mine is {called} than guessing by frequency: ")
        assert begins == no_better
    assert "by frequency (unigram)" in yardsticks_text(manifest)
    table = pd.read_csv(tmp_path / "figures" / "tables" / "yardsticks.csv")
    assert table["no_better"].tolist() == [no_better]


def test_over_few_images_the_mean_decides_and_no_interval_is_told():
    few = dict(loss="mlm", uniform=None, low=math.nan, high=math.nan, images=3)
    worse = Yardstick(intact=15.2, unigram=8.8, **few)
    assert worse.no_better
    assert "(difference +6.400; 3 images: too few for an interval" in worse.warning("M")
    assert worse.warning("M").startswith("M is worse than guessing by frequency: ")
    assert not Yardstick(intact=4.6, unigram=8.8, **few).no_better


def test_what_guessing_loses_is_not_known_of_tokens_of_its_own(tmp_path):
    path = written(tmp_path, model={"tokens": {"words": 1, "own_tokens": 2}})
    manifest = json.loads((path / "manifest.json").read_text())
    assert yardsticks_text(manifest).startswith("guessing, MLM: what guessing words")
