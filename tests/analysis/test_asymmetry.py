"""Both directions compared: two measures, every way of removing, seeds, words."""

import numpy as np
import pandas as pd
import pytest

from tests.helpers.fake_results import FakeModel, text_only, write_study
from xabl import analysis
from xabl.analysis import effects, verdicts
from xabl.analysis.answer import verdict
from xabl.analysis.asymmetry import asymmetry


def table_of(tmp_path, *models):
    return tables_of(tmp_path, *models)[0]


def tables_of(tmp_path, *models):
    study = analysis.load_study(write_study(tmp_path, list(models)))
    bootstrap = effects.bootstrap_of(study, resamples=400)
    return asymmetry(study, bootstrap), effects.differences(study, bootstrap)


def test_both_measures_are_differences_of_increases(tmp_path):
    model = FakeModel(mlm=4.0, mlm_effect=1.0, kl=0.5, kl_effect=0.05)
    table, differences = tables_of(tmp_path, model, text_only("BERT", 7.0))
    table = table.set_index("model")
    row = table.loc["UNITER"]
    assert row["mlm_relative"] == pytest.approx(0.25, abs=1e-5)
    assert row["kl_relative"] == pytest.approx(0.1, abs=1e-5)
    assert row["relative"] == pytest.approx(0.15, abs=1e-5)
    assert 0 < row["relative_low"] < 0.15 < row["relative_high"]
    assert row["mlm_bits"] == pytest.approx(1.0, abs=1e-5)
    assert row["kl_bits"] == pytest.approx(0.05, abs=1e-5)
    assert row["bits"] == pytest.approx(0.95, abs=1e-5)
    assert 0 < row["bits_low"] < 0.95 < row["bits_high"]
    assert (row["regions"], row["words"]) == ("average", "mask")
    assert np.isnan(row["bits_seeds_low"])
    assert np.isnan(table.loc["BERT", "bits"])
    assert table.loc["BERT", "gap"] == "all was not run"
    text = verdict(table.reset_index(), differences)
    assert text.startswith("In the one model with both directions (UNITER) vision")


def test_measures_that_disagree_are_said_to(tmp_path):
    """More bits on words, more percent on regions."""
    model = FakeModel(mlm=4.6, mlm_effect=0.3, kl=0.6, kl_effect=0.1)
    table, differences = tables_of(tmp_path, model)
    said = "the two measures disagree: in bits "
    assert said in verdicts.asymmetry_sentence(table.iloc[0])
    assert (
        f"(UNITER) {said}vision influences language more than language influences "
        "vision, in percent of the intact loss language influences vision more than "
        "vision influences language."
    ) in verdict(table, differences)


@pytest.mark.parametrize("seeds", [(1,), (1, 2, 3)])
def test_what_is_not_used_is_not_used_more(tmp_path, seeds):
    """A model that does better without the image, and ignores the words."""
    models = [FakeModel(seed=seed, mlm_effect=-0.3, kl_effect=0.0) for seed in seeds]
    table, differences = tables_of(tmp_path, *models)
    row = table.iloc[0]
    assert row["bits_high"] < 0 and row["relative_high"] < 0
    assert verdicts.calls_of(row) == (verdicts.NO_USE, verdicts.NO_USE)
    sentence = verdicts.asymmetry_sentence(row)
    assert "the larger change is no evidence of a use, in bits (MLM -0.3" in sentence
    assert "used more" not in sentence and "other seeds" not in sentence
    text = verdict(table, differences)
    assert "(UNITER) the larger of the two changes is no evidence of a use" in text
    assert "influences" not in text and "too few" not in text


def test_seeds_are_counted(tmp_path):
    """The same mean effect: three seeds near each other, three seeds far apart."""
    models = [
        FakeModel(label=label, seed=seed, mlm_effect=0.6 + spread * (seed - 2))
        for label, spread in (("near", 0.05), ("far", 0.5))
        for seed in (1, 2, 3)
    ]
    table = table_of(tmp_path, *models).set_index("model")
    near, far = table.loc["near"], table.loc["far"]
    for row in (near, far):
        assert row["bits"] == pytest.approx(0.58, abs=1e-5)
        assert row["bits_seeds_low"] < row["bits_low"]
        assert row["bits_seeds_high"] > row["bits_high"]
    assert near["bits_seeds_low"] > 0 > far["bits_seeds_low"]
    text = verdict(table.reset_index(), pd.DataFrame())
    assert "it holds for near but does not for far." in text
    far = verdicts.asymmetry_sentence(table.reset_index().iloc[1])
    assert "No evidence of it for models of other seeds, in bits" in far


def row_of(calls=("higher", "higher"), **values):
    bits, relative = calls
    row = {"model": "M", "seeds": 1, "mlm": "mlm", "kl": "mrc_kl", "gap": None}
    row |= {"guessing": "vision for language", "images": 3}
    row |= {"regions": "average", "words": "mask"}
    for measure, call in (("bits", bits), ("relative", relative)):
        low, high = {
            "higher": (0.1, 0.2),
            "lower": (-0.2, -0.1),
            "no evidence": (-0.1, 0.0),
            "not measured": (np.nan, np.nan),
            "no better than a guess": (0.1, 0.2),
        }[call]
        row |= {f"mlm_{measure}": 0.1, f"kl_{measure}": 0.2, measure: 0.15}
        row |= {f"{measure}_low": low, f"{measure}_high": high}
        row |= {f"{measure}_evidence": call}
        row |= {f"{measure}_seeds_low": np.nan, f"{measure}_seeds_high": np.nan}
    return row | values


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("lower", "language for vision is used more than vision for language, in bits"),
        ("no evidence", "no evidence of an asymmetry"),
        (
            "not measured",
            "not measured (3 images: too few for an interval, which needs 30)",
        ),
        ("no better than a guess", "no verdict on vision for language, nor on an asym"),
    ],
)
def test_the_words_follow_the_intervals(call, words):
    assert words in verdicts.asymmetry_sentence(row_of((call, call)))


def test_whether_the_verdict_survives_every_way_is_said():
    same = [row_of(), row_of(regions="drop"), row_of(words="drop")]
    text = verdict(pd.DataFrame(same), pd.DataFrame())
    assert text.endswith("It is the same under all 3 pairs of ways of removing.")
    other = [row_of(), row_of(("higher", "no evidence"), regions="drop")]
    text = verdict(pd.DataFrame(other), pd.DataFrame())
    assert "It does not survive every way of removing (2 pairs were run)" in text
    assert "otherwise in M (regions drop, words mask: the two measures disagree" in text


def test_two_seeds_are_too_few_to_speak_of_others():
    assert "2 seeds are too few" in verdicts.asymmetry_sentence(row_of(seeds=2))
    text = verdict(pd.DataFrame([row_of(seeds=2)]), pd.DataFrame())
    assert "(M 2 seeds), too few seeds to speak of others." in text
