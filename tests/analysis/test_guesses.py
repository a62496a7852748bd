"""What is not said: of models that guess, over few images; which loss answers."""

import dataclasses

import pandas as pd
import pytest

from tests.helpers.fake_results import FakeModel, write_study
from tests.helpers.report_pages import Page
from xabl import analysis
from xabl.analysis import comparisons, effects, misled, verdicts
from xabl.analysis.answer import verdict
from xabl.analysis.asymmetry import asymmetry
from xabl.analysis.figures import write_figures
from xabl.analysis.report import ReportOptions, write_report

pytestmark = pytest.mark.usefixtures("undrawn")

MAIN = (0.5,)
SEES = FakeModel(label="Sees", thresholds=MAIN)
GUESSES = FakeModel(label="Guesses, words", thresholds=MAIN, guesses=("mlm",))
NO_KL = FakeModel(label="LXMERT", thresholds=MAIN, divergence=False)


class Said:
    """Every sentence and table of a study."""

    def __init__(self, folder, *models, **world):
        self.study = analysis.load_study(write_study(folder, list(models), **world))
        bootstrap = effects.bootstrap_of(self.study, resamples=200)
        self.differences = effects.differences(self.study, bootstrap)
        self.asymmetries = asymmetry(self.study, bootstrap)
        self.misled = misled.lost_and_misled(self.study, bootstrap)
        self.pairs = comparisons.compare_models(self.study, bootstrap)
        self.verdict = verdict(self.asymmetries, self.differences)

    def effect(self, model, metric, condition="all"):
        rows = self.differences.set_index(["model", "metric", "condition"])
        key = (model, metric, condition)
        return rows.loc[key].to_dict() | dict(zip(rows.index.names, key, strict=True))


def captions_of(results, *numbers):
    output = results.with_name("out")
    write_figures(results, output, numbers=numbers, resamples=100, tables=False)
    return (output / "figures.md").read_text()


def test_nothing_is_said_of_a_model_that_guesses(tmp_path):
    said = Said(tmp_path, SEES, GUESSES)
    for row in said.asymmetries.to_dict("records"):
        guess = row["model"] == GUESSES.label
        assert (row["bits_evidence"] == verdicts.GUESS) == guess
        sentence = verdicts.asymmetry_sentence(row)
        assert ("no verdict on vision for language, nor" in sentence) == guess
    assert said.verdict.startswith("In the one model with both directions (Sees) ")
    assert (
        "Vision for language: no verdict on Guesses, words, at MLM no better than "
        "guessing by frequency. Language for vision: "
    ) in said.verdict
    row = said.effect(GUESSES.label, "mlm")
    assert row["evidence"] == verdicts.GUESS and row["p"] < 0.001
    sentence = verdicts.effect_sentence(row)
    assert "changes the MLM loss by +1.2" in sentence
    assert "This says nothing of a use of vision" in sentence
    # The other direction is not touched, nor is the other model.
    assert said.effect(GUESSES.label, "mrc_kl")["evidence"] != verdicts.GUESS
    assert "the model uses vision" in verdicts.effect_sentence(
        said.effect("Sees", "mlm")
    )
    calls = said.misled.set_index("model")["evidence"]
    assert calls[GUESSES.label] == verdicts.GUESS != calls["Sees"]
    assert "This says nothing of a use" in verdicts.misled_sentence(
        said.misled[said.misled["guessing"]].iloc[0].to_dict()
    )
    pairs = said.pairs.set_index(["metric", "condition", "quantity"])
    row = pairs.loc[("mlm", "all", "effect")].to_dict() | {"metric": "mlm"}
    assert row["evidence"] == verdicts.GUESS
    sentence = verdicts.comparison_sentence(row | {"condition": "all"})
    assert "no verdict on Sees; Guesses, words: Guesses, words is no better" in sentence
    assert pairs.loc[("mrc_kl", "all", "effect"), "evidence"] != verdicts.GUESS


def test_report_and_captions_withdraw_it_too(tmp_path):
    write_study(tmp_path / "in", [SEES, GUESSES])
    write_report(tmp_path / "in", tmp_path / "r.html", ReportOptions(resamples=100))
    text = " ".join(Page(tmp_path / "r.html").text.split())
    assert "Guesses, words; Sees on " in text or "Sees; Guesses, words on " in text
    assert "no verdict on Guesses, words" in text
    assert f"{GUESSES.label} (1 seed): Removing all image regions raises" not in text
    captions = captions_of(tmp_path / "in", 1, 10)
    withdrawn = "No better than guessing by frequency, so that no change says anything"
    assert captions.count(f"{withdrawn}: Guesses, words (vision for language)") == 2


def test_over_few_images_numbers_stand_without_intervals_and_verdicts(tmp_path):
    few = Said(tmp_path / "few", SEES, num_images=29, phrases_per_image=1)
    reason = "29 images: too few for an interval, which needs 30"
    assert few.differences[["low", "high", "p"]].isna().all(axis=None)
    assert few.differences["difference"].notna().all()
    assert set(few.differences["images"]) == {29}
    for evidence in (few.differences["evidence"], few.asymmetries["bits_evidence"]):
        assert set(evidence) == {verdicts.NOT_MEASURED}
    assert few.verdict == (
        f"Vision for language: no verdict on Sees ({reason}). Language for vision: no "
        f"verdict on Sees ({reason})."
    )
    sentence = verdicts.effect_sentence(few.effect("Sees", "mlm"))
    assert f"+1.200 bits of MLM and no verdict ({reason})" in sentence
    enough = Said(tmp_path / "enough", SEES, num_images=30, phrases_per_image=1)
    assert enough.differences[["low", "high", "p"]].notna().all(axis=None)
    write_report(tmp_path / "few", tmp_path / "r.html", ReportOptions(resamples=100))
    text = " ".join(Page(tmp_path / "r.html").text.split())
    assert "of 29 images (split val). So few images allow no interval" in text
    assert text.count("No intervals and no p: 29 images are too few, 30 are") > 2
    assert "< 0.001" not in text and "95% interval over images +" not in text
    captions = captions_of(tmp_path / "few", 1, 10)
    assert captions.count(f"No bars: {reason}.") == 2 and "Bars: 95%" not in captions


def test_language_for_vision_is_answered_without_a_divergence(tmp_path):
    said = Said(tmp_path / "in", NO_KL, SEES)
    rows = said.asymmetries.set_index("model")
    assert rows["kl"].to_dict() == {"LXMERT": "mrc_xe_corrected", "Sees": "mrc_kl"}
    assert rows["gap"].isna().all() and rows["bits"].notna().all()
    assert (
        " Language for vision is measured by MRC-XE-corrected in LXMERT, for want of "
        "MRC-KL."
    ) in said.verdict
    assert "MRC-XE-corrected +" in verdicts.asymmetry_sentence(
        rows.loc["LXMERT"].to_dict() | {"model": "LXMERT"}
    )
    # Compared by the loss that both have.
    assert set(said.pairs["metric"]) == {"mlm", "mrc_xe_corrected"}
    assert said.study.main_metrics() == ("mlm", "mrc_kl", "mrc_xe_corrected")
    captions_of(tmp_path / "in", 1)
    drawn = pd.read_csv(tmp_path / "out" / "figure_1_both_directions.tsv", sep="\t")
    shown = drawn.groupby("panel")["series"].agg(set).to_dict()
    assert shown == {
        "Vision for language": {"LXMERT", "Sees"},
        "Language for vision, MRC-KL": {"Sees"},
        "Language for vision, MRC-XE-corrected": {"LXMERT", "Sees"},
    }


@pytest.mark.parametrize("direction", ["vis4lang", "lang4vis"])
def test_one_direction_alone_is_answered(tmp_path, direction):
    model = FakeModel(label="One", thresholds=MAIN, kl_effect=0.4)
    said = Said(tmp_path, dataclasses.replace(model, directions=(direction,)))
    first, second = said.verdict.split(". ")
    answers = {"vis4lang": first, "lang4vis": second}
    for name, text in answers.items():
        asked = "used by One" if name == direction else "not asked of One"
        assert asked in text


def test_a_model_that_hides_in_its_own_way_is_said_to(tmp_path):
    """Everywhere; a function of words and regions is handed what is hidden already."""
    hides = {"hides": "grey pixels"}
    level_1 = FakeModel(label="Logits", about={"reads": "words and regions"} | hides)
    level_2 = FakeModel(label="Pixels", about={"reads": "anything"} | hides)
    write_study(tmp_path / "in", [level_1, level_2], phrases_per_image=1)
    study = analysis.load_study(tmp_path / "in")
    regions, words, own = study.ways_in_words()
    assert regions.startswith("the features of an ablated region become")
    assert words.startswith("every piece of an ablated word becomes")
    assert regions.endswith(" (Logits)") and words.endswith(" (Logits)")
    assert own == "grey pixels (Pixels, in its own way)"
    write_report(tmp_path / "in", tmp_path / "r.html", ReportOptions(resamples=50))
    page = Page(tmp_path / "r.html")
    text = " ".join(page.text.split())
    assert "its own (Pixels) grey pixels" in text
    assert [run["hides"] for run in page.index["runs"]] == [None, "grey pixels"]
    assert "Pixels, seed 73: it hides what is removed in its own way" in text
    assert "Logits, seed 73: it hides what" not in text
    alone = analysis.load_study(tmp_path / "in" / "Pixels_73")
    assert alone.ways_in_words() == (own,)
