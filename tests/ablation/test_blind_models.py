"""Models that cannot see the other modality show no influence of it, exactly."""

import dataclasses

import numpy as np
import pytest

from tests.helpers import ablation
from xabl.results.conditions import Direction, Level, all_conditions

WAYS = ("zero", "other_image", "drop", "other_caption")
# Every condition in the published way, and the main ones in all others.
CONDITIONS = (
    *ablation.ALL_CONDITIONS,
    *(c for c in all_conditions(Direction, [0.5], WAYS) if c.way),
)
PRESETS = ("ctrl_vilbert_base", "ctrl_uniter_base", "ctrl_lxmert")
MODELS = (
    "two-stream",
    *(pytest.param(preset, marks=pytest.mark.slow) for preset in PRESETS),
)
pytestmark = pytest.mark.usefixtures("quick_unless_slow")


def _without(name, sublayers):
    """Golden-rule parameters, but no attention across in one direction."""
    whole = ablation.small(name) if name in PRESETS else ablation.shallow(name)
    return dataclasses.replace(whole, **{sublayers: ()})


def _scored(config):
    return ablation.scored(config, ablation.ruled_params(config), conditions=CONDITIONS)


@pytest.mark.parametrize("name", MODELS)
def test_words_that_see_no_regions_score_the_same_without_them(name):
    """A text-only model, as far as words go: equal bits under every condition."""
    scores = _scored(_without(name, "tv_attn_sublayers"))
    mlm = scores.loss("mlm")[:, scores.plan.columns(Direction.VIS4LANG)]
    scored = ~np.isnan(mlm).any(1)
    assert scored.sum() > 50
    np.testing.assert_array_equal(mlm[scored], mlm[scored][:, :1].repeat(18, 1))


@pytest.mark.parametrize("name", MODELS)
def test_regions_that_see_no_words_score_the_same_without_them(name):
    scores = _scored(_without(name, "vt_attn_sublayers"))
    for loss in ("mrc_kl", "mrc_xe"):
        found = scores.loss(loss)[:, scores.plan.columns(Direction.LANG4VIS)]
        scored = ~np.isnan(found).any(1)
        assert scored.sum() > 50
        np.testing.assert_array_equal(found[scored], found[scored][:, :1].repeat(7, 1))


@pytest.mark.slow
def test_the_whole_model_is_not_blind():
    """What the tests above would miss."""
    scores = _scored(ablation.small("ctrl_uniter_base"))
    mlm, kl = scores.loss("mlm"), scores.loss("mrc_kl")
    for column in scores.plan.columns(Direction.VIS4LANG):
        if CONDITIONS[column].level is Level.ALL:
            assert np.nanmax(np.abs(mlm[:, column] - mlm[:, 0])) > 1e-3
    for column in scores.plan.columns(Direction.LANG4VIS):
        if CONDITIONS[column].level is Level.ALL:
            assert np.nanmax(np.abs(kl[:, column] - kl[:, 12])) > 1e-3
