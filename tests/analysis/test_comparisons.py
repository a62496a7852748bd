"""Seeds and pairs of models."""

import json

import numpy as np
import pytest
from scipy import stats

from tests.helpers.fake_results import FakeModel, text_only, write_study
from xabl import analysis
from xabl.analysis import comparisons, effects, verdicts
from xabl.errors import UserError
from xabl.models.presets import PRESETS
from xabl.results.published import PUBLISHED


def test_holm_against_a_worked_example():
    # Sorted .005, .01, .03, .04: times 4, 3, 2, 1, then made monotone.
    corrected = comparisons.holm(np.array([0.01, 0.04, 0.03, 0.005, np.nan]))
    np.testing.assert_allclose(corrected, [0.03, 0.06, 0.06, 0.02, np.nan])
    assert comparisons.holm(np.array([0.9, 0.8])).max() == 1


def test_spread_over_seeds(tmp_path):
    levels = (4.5, 4.6, 4.9)
    models = [FakeModel(seed=i, mlm=mlm) for i, mlm in enumerate(levels)]
    study = analysis.load_study(write_study(tmp_path, models))
    table = comparisons.seeds(study).set_index(["metric", "condition"])
    row = table.loc[("mlm", "none")]
    assert row["mean"] == pytest.approx(np.mean(levels), abs=1e-5)
    assert row["sd"] == pytest.approx(np.std(levels, ddof=1), abs=1e-5)
    assert row["smallest"] == pytest.approx(4.5, abs=1e-5)
    assert row["largest"] == pytest.approx(4.9, abs=1e-5)
    expected = stats.ttest_1samp(levels, 0).confidence_interval(0.95)
    assert row["low"] == pytest.approx(expected.low, abs=1e-4)
    assert row["high"] == pytest.approx(expected.high, abs=1e-4)


def test_one_seed_has_no_spread(tmp_path):
    study = analysis.load_study(write_study(tmp_path, [FakeModel()]))
    row = comparisons.seeds(study).iloc[0]
    assert row["seeds"] == 1 and np.isnan(row["sd"]) and np.isnan(row["low"])


def test_pairs_of_models_on_the_same_examples(tmp_path):
    models = [
        FakeModel(label="A", mlm=4.6, mlm_effect=1.0),
        FakeModel(label="B", mlm=4.6, mlm_effect=0.5),
        text_only("BERT", 5.4),
    ]
    study = analysis.load_study(write_study(tmp_path, models, num_images=60))
    bootstrap = effects.bootstrap_of(study)
    table = comparisons.compare_models(study, bootstrap, [("A", "B")])
    rows = table.set_index(["metric", "condition", "quantity"])
    row = rows.loc[("mlm", "all", "effect")]
    assert row["difference"] == pytest.approx(0.5, abs=1e-5)
    assert row["evidence"] == "higher" and row["p_holm"] < 0.05
    row = rows.loc[("mrc_kl", "all", "effect")]
    assert row["difference"] == pytest.approx(0, abs=1e-6)
    assert row["evidence"] == "no evidence"
    assert (table["p_holm"] >= table["p"]).all()
    # Every pair: the text-only model shares one condition with each of the others.
    every = comparisons.compare_models(study, bootstrap)
    text_pairs = every[(every["first"] == "BERT") | (every["second"] == "BERT")]
    assert set(text_pairs["condition"]) == {"none"} and len(text_pairs) == 2
    assert (every["p_holm"] >= every["p"]).all()
    with pytest.raises(
        UserError, match="no results of a model 'C'; there are BERT, A, B"
    ):
        comparisons.compare_models(study, bootstrap, [("A", "C")])


def test_the_correction_takes_away_lucky_differences(tmp_path):
    """Twelve labels of the same model: some pair looks different, none is."""
    models = [FakeModel(label=f"M{i:02}", mlm_effect=0) for i in range(12)]
    study = analysis.load_study(write_study(tmp_path, models))
    table = comparisons.compare_models(study, effects.bootstrap_of(study))
    losses = table[(table["quantity"] == "loss") & (table["condition"] == "none")]
    assert len(losses) == 66 * 2
    assert losses["p_holm"].min() > 0.05
    assert (losses["evidence"] == "no evidence").all()


def test_published_rows_are_of_presets_with_their_six_means():
    for name, row in PUBLISHED.items():
        assert name in PRESETS or name == "BERT-CC"
        assert len(row.bits) == (1 if row.model.startswith("BERT") else 6)
        assert row.model == "VisualBERT" or all(
            row.bits[metric, "all"] > row.bits[metric, "none"]
            for metric, condition in row.bits
            if condition == "all"
        )


def test_models_without_a_published_row_are_not_compared(tmp_path):
    study = analysis.load_study(
        write_study(tmp_path, [FakeModel(label="mine", name="my_config")])
    )
    assert comparisons.published(study).empty


def effect(study, pair=("A", "B")):
    table = comparisons.compare_models(study, effects.bootstrap_of(study), [pair])
    row = table.set_index(["metric", "condition", "quantity"])
    key = ("mlm", "all", "effect")
    return row.loc[key].to_dict() | dict(zip(row.index.names, key, strict=True))


def test_two_runs_of_one_seed_each_differ_and_no_more(tmp_path):
    models = [FakeModel(label="A", mlm_effect=1.0), FakeModel(label="B", mlm_effect=0)]
    row = effect(analysis.load_study(write_study(tmp_path, models)))
    assert row["p"] < 0.001 and row["evidence"] == "higher"
    assert np.isnan(row["seeds_p"]) and row["seeds_evidence"] == "not measured"
    said = verdicts.comparison_sentence(row)
    assert "these two models differ" in said and "over images" in said
    assert "says nothing of why" in said
    for claim in ("p <", "p =", "less", "more", "trained"):
        assert claim not in said


@pytest.mark.parametrize(
    ("spread", "called", "said"),
    [
        (0.02, "higher", "models trained as B use it less than those trained as A"),
        (0.5, "no evidence", "no evidence that models trained as A and as B differ"),
    ],
)
def test_several_seeds_on_each_side_speak_of_models_like_them(
    tmp_path, spread, called, said
):
    """The image-only interval calls both differences certain."""
    models = [
        FakeModel(label=label, seed=seed, mlm_effect=mean + spread * (seed - 2))
        for label, mean in (("A", 1.2), ("B", 0.8))
        for seed in (1, 2, 3)
    ]
    row = effect(analysis.load_study(write_study(tmp_path, models)))
    assert row["difference"] == pytest.approx(0.4, abs=1e-5)
    assert row["evidence"] == "higher" and row["p_holm"] < 0.001
    assert row["seeds_evidence"] == called
    assert row["seeds_low"] < 0.4 < row["seeds_high"]
    assert said in verdicts.comparison_sentence(row)
    assert "3 and 3 seeds" in verdicts.comparison_sentence(row)


def test_groups_are_those_of_the_manifests(tmp_path):
    models = [
        FakeModel(label=label, seed=seed, mlm_effect=1.0 + 0.01 * seed)
        for label in ("A", "B", "C")
        for seed in (1, 2)
    ]
    directories = write_study(tmp_path, models)
    assert analysis.load_study(directories).of_groups().models == ()
    for directory in directories[:4]:  # A and B
        path = directory / "manifest.json"
        manifest = json.loads(path.read_text())
        manifest["model"]["group"] = "both"
        path.write_text(json.dumps(manifest))
    groups = analysis.load_study(directories).of_groups()
    assert {m.label: len(m.runs) for m in groups.models} == {"both": 4, "C": 2}
    table = comparisons.compare_models(groups, effects.bootstrap_of(groups))
    assert set(table["seeds_first"]) == {4} and set(table["seeds_second"]) == {2}
