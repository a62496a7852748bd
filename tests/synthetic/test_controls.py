"""The controls study: its settings, and conclusions from results made up."""

import pandas as pd
import pytest

from tests.helpers import fake_results
from tests.helpers.fake_results import FakeModel
from xabl.synthetic import controls
from xabl.synthetic.controls import BASE, ControlsOptions, Setting


def made_up(folder, setting, *, mlm, kl, noise=0.2):
    """Results of both models, two seeds, with known increases under `all`."""
    models = [
        FakeModel(
            label=label,
            name=f"small_{label.lower()}",
            seed=seed,
            mlm_effect=mlm,
            kl_effect=kl,
            noise=noise,
            thresholds=(0.5,),
        )
        for label in ("UNITER", "ViLBERT")
        for seed in (0, 1)
    ]
    return fake_results.write_study(folder / setting.name, models)


def study(folder, *, knob, silver_kl):
    results = {
        Setting(vision_to_language=share): made_up(
            folder,
            Setting(vision_to_language=share),
            mlm=effect,
            kl=1.5,
            noise=0.2 if effect else 0.0,
        )
        for share, effect in knob.items()
    }
    silver = Setting(labels="silver")
    results[silver] = made_up(folder, silver, mlm=1.0, kl=silver_kl)
    return results


def test_the_study_is_72_trainings_of_12_settings():
    pairs = controls.trials(ControlsOptions())
    assert len(set(controls.settings())) == 12
    names = [trial.name for _, trial in pairs]
    assert len(set(names)) == 72
    for position, (setting, trial) in enumerate(pairs):
        if setting.vision_to_language in (0, 1):
            assert trial.start is None
        else:  # the model of the same seed, trained before
            assert trial.start in names[:position]
            assert trial.start.endswith(f"{trial.architecture}-{trial.seed}")
    # What settings share is made once: overlap is a matter of training.
    assert len({trial.world for _, trial in pairs}) == 8
    assert len({trial.world.name for _, trial in pairs}) == 8


def test_the_quick_study_has_both_ends_and_both_labels():
    pairs = controls.trials(ControlsOptions(quick=True))
    assert [setting for setting, _ in pairs][::2] == [
        BASE,
        Setting(vision_to_language=0.0),
        Setting(labels="silver"),
    ]


def test_known_effects_are_found_and_said(tmp_path):
    results = study(tmp_path, knob={0.0: 0.0, 0.5: 0.4, 1.0: 1.0}, silver_kl=0.5)
    text = controls.write_study(tmp_path / "out", results)
    assert "+0.000 bits (+0.000 to +0.000); the interval contains 0" in text
    assert "grows with every step" in text
    assert "with right labels, masking all words raises MRC-KL" in text
    assert "between intact and all" in text
    assert text.count("less with silver labels, with 2 seeds a side, of these mo") == 2
    table = pd.read_csv(tmp_path / "out" / "controls.tsv", sep="\t")
    whole = table[(table["condition"] == "all") & (table["metric"] == "mlm")]
    expected = [0.0, 0.0, 0.4, 0.4, 1.0, 1.0, 1.0, 1.0]
    assert whole["increase"].tolist() == pytest.approx(expected, abs=0.05)
    assert (whole["low"] <= whole["increase"]).all()
    rounding = 1e-6  # the mean over seeds is taken in float32, example by example
    assert (whole["smallest"] <= whole["increase"] + rounding).all()
    assert (whole["increase"] <= whole["largest"] + rounding).all()
    labels = pd.read_csv(tmp_path / "out" / "controls_labels.tsv", sep="\t")
    assert labels["difference"].tolist() == pytest.approx([1.0, 1.0], abs=0.1)
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"conclusion.md", "controls_figure.png", "controls_figure.svg"} <= files
    assert text in (tmp_path / "out" / "conclusion.md").read_text()


def test_what_the_controls_do_not_show_is_said_as_well(tmp_path):
    results = study(tmp_path, knob={0.0: 0.3, 0.5: 0.2, 1.0: 1.0}, silver_kl=1.5)
    text = controls.write_study(tmp_path / "out", results)
    assert text.count("does not contain 0") == 2
    assert text.count("does not grow with every step") == 2
    assert text.count("no evidence of a difference") == 2
