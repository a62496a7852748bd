"""Known answers: made-up influences are recovered, and their absence is said."""

import numpy as np
import pytest

from tests.helpers.fake_results import FakeModel, write_study
from xabl import analysis
from xabl.analysis import comparisons, effects, verdicts
from xabl.analysis.answer import verdict
from xabl.analysis.asymmetry import asymmetry


def study_of(tmp_path, *models, **world):
    return analysis.load_study(write_study(tmp_path, list(models), **world))


def test_a_blind_model_differs_by_exactly_0(tmp_path):
    blind = FakeModel(mlm_effect=0, kl_effect=0, noise=0)
    study = study_of(tmp_path, blind)
    bootstrap = effects.bootstrap_of(study)
    table = effects.differences(study, bootstrap)
    assert len(table) == 11 + 4 * 2
    for column in ("difference", "low", "high", "relative"):
        assert (table[column] == 0).all(), column
    assert (table["evidence"] == "no evidence").all()
    assert (table["p"] == 1).all()
    for row in table.to_dict("records"):
        assert "no evidence that the model uses" in verdicts.effect_sentence(row)
    row = asymmetry(study, bootstrap).iloc[0]
    for measure in ("bits", "relative"):
        assert row[measure] == row[f"{measure}_low"] == row[f"{measure}_high"] == 0
    assert "no evidence of an asymmetry" in verdicts.asymmetry_sentence(row)


@pytest.mark.parametrize(
    ("low", "high", "called", "said"),
    [
        (0.001, 0.03, "negligible", "too little to speak of a use of vision"),
        (-0.03, -0.001, "negligible", "too little to speak of a use of vision"),
        (0.001, 0.06, "higher", "the model uses vision"),
        (-0.06, -0.001, "lower", "nothing here shows a use of vision"),
        (-0.001, 0.06, "no evidence", "no evidence that the model uses vision"),
    ],
)
def test_a_change_as_small_as_that_of_blind_models_is_no_use(low, high, called, said):
    assert verdicts.effect_evidence(low, high) == called
    row = {"model": "UNITER", "seeds": 1, "metric": "mlm", "direction": "vis4lang"}
    row |= {"condition": "all", "difference": (low + high) / 2, "low": low}
    row |= {"evidence": called}
    text = verdicts.effect_sentence(row | {"high": high, "relative": 0.01})
    assert said in text, text


def test_an_influence_of_half_a_bit_is_recovered(tmp_path):
    study = study_of(tmp_path, FakeModel(mlm=4.0, mlm_effect=0.5), num_images=100)
    table = effects.differences(study, effects.bootstrap_of(study), metrics=["mlm"])
    row = table.set_index("condition").loc["all"]
    assert row["difference"] == pytest.approx(0.5, abs=1e-5)
    assert 0.4 < row["low"] < 0.5 < row["high"] < 0.6
    assert row["relative"] == pytest.approx(0.125, abs=1e-5)
    assert row["relative_low"] < 0.125 < row["relative_high"]
    assert row["evidence"] == "higher"
    sentence = verdicts.effect_sentence(row.to_dict() | {"condition": "all"})
    assert sentence.startswith(
        "UNITER (1 seed): Removing all image regions raises the MLM loss (+0.500 bits, "
        "95% interval over images +0."
    )
    assert sentence.endswith("+12.5%): the model uses vision when it predicts words.")


def test_noise_without_effect_is_no_evidence(tmp_path):
    """About one in twenty intervals of a true 0 may miss it; not more than that."""
    missed = 0
    for world_seed in range(20):
        model = FakeModel(mlm_effect=0, thresholds=(), directions=("vis4lang",))
        study = study_of(
            tmp_path / str(world_seed), model, world_seed=world_seed, num_images=60
        )
        # The made-up noise has mean 0 over all examples: average half of the images.
        use = np.isin(study.images, np.unique(study.images)[::2])
        table = effects.differences(
            study,
            effects.bootstrap_of(study, resamples=500),
            groups=[("half", use)],
        )
        missed += table.iloc[0]["evidence"] != "no evidence"
    assert missed <= 3


def test_means_average_examples_not_images_or_seeds_apart(tmp_path):
    study = study_of(tmp_path, FakeModel(seed=1), FakeModel(seed=2, mlm=5.6))
    table = effects.means(study, effects.bootstrap_of(study, resamples=100))
    row = table.set_index(["metric", "condition"]).loc[("mlm", "none")]
    assert row["mean"] == pytest.approx((4.6 + 5.6) / 2, abs=1e-5)
    assert row["seeds"] == 2 and row["n"] == study.num_examples


def test_groups_part_the_examples(tmp_path):
    study = study_of(tmp_path, FakeModel())
    bootstrap = effects.bootstrap_of(study, resamples=100)
    for groups in (effects.by_phrase_type(study), effects.by_target_pieces(study)):
        together = sum(use.astype(int) for _, use in groups)
        assert (together == 1).all() and len(groups) > 2
        table = effects.means(study, bootstrap, groups=groups, metrics=["mlm"])
        whole = effects.means(study, bootstrap, metrics=["mlm"])
        for condition, rows in table.groupby("condition"):
            mean = np.average(rows["mean"], weights=rows["n"])
            expected = whole.set_index("condition").loc[condition, "mean"]
            assert mean == pytest.approx(expected, rel=1e-6)
    names = [name for name, _ in effects.by_phrase_type(study)]
    assert names[0] == "people" or "other" in names[:2]


def test_share_of_ablated_regions(tmp_path):
    study = study_of(tmp_path, FakeModel())
    table = effects.thresholds(study, effects.bootstrap_of(study, resamples=100))
    shares = table.set_index("condition")["ablated_share"]
    assert shares["none"] == 0 and shares["all"] == 1
    assert shares["object@0.5"] == pytest.approx(6 / 36)  # round(0.18 * 36) of 36
    assert table["threshold"].tolist()[1:11] == [
        round(0.9 - i / 10, 1) for i in range(10)
    ]
    assert (
        list(table["condition"])[0] == "none" and list(table["condition"])[-1] == "all"
    )


def test_the_papers_study_reads_as_the_paper_does(tmp_path):
    from tests.helpers.fake_results import paper_models

    study = study_of(tmp_path, *paper_models((0,)), num_images=100)
    bootstrap = effects.bootstrap_of(study, resamples=500)
    differences = effects.differences(study, bootstrap)
    text = verdict(asymmetry(study, bootstrap), differences)
    assert text == (
        "In all 5 models with both directions (UNITER, VL-BERT, VisualBERT, ViLBERT "
        "and LXMERT) vision influences language more than language influences vision, "
        "in bits and in percent of the intact loss. This is of the models that were "
        "run (one seed each), not of other seeds. One way of removing was run: the "
        "published one."
    )
    # LXMERT is seed 0 of the published ten; the rest are other seeds.
    table = comparisons.published(study)
    seeds = table.drop_duplicates("model").set_index("model")
    assert "seed" not in seeds.loc["LXMERT", "remark"]
    assert "seed 0, published 73" in seeds.loc["UNITER", "remark"]
    assert "examples, published 14,433" in seeds.loc["BERT-CC", "remark"]
    rows = table.set_index(["model", "metric", "condition"])
    assert rows.loc[("BERT-CC", "mlm", "none"), "published"] == 5.394
    assert rows.loc[("BERT", "mlm", "none"), "published"] == 7.439
    difference = rows.loc[("UNITER", "mrc_kl", "all"), "difference"]
    mean = rows.loc[("UNITER", "mrc_kl", "all"), "mean"]
    assert difference == pytest.approx(mean - 0.6161)
