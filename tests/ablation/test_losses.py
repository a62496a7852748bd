"""Losses against sums written out, for every objective that is scored."""

import jax.numpy as jnp
import numpy as np
import pytest

from xabl.ablation.engine.losses import RegionLabels, mlm_scores, mrc_scores
from xabl.models.visual_targets import VISUAL_TARGETS

pytestmark = pytest.mark.usefixtures("quick_compilation")

RNG = np.random.default_rng(0)
ID, CONFIDENCE = np.array([3, 1599]), np.array([0.5, 0.25], np.float32)


def softmax(logits):
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def region_scores(objective, classes, gold=(-1, -1), cls_prob=None, top=0):
    logits = RNG.standard_normal((2, classes)).astype(np.float32)
    labels = RegionLabels(
        objects_id=jnp.asarray(ID),
        objects_conf=jnp.asarray(CONFIDENCE),
        cls_prob=None if cls_prob is None else jnp.asarray(cls_prob),
    )
    scores = mrc_scores(
        VISUAL_TARGETS[objective], jnp.asarray(logits), labels, jnp.asarray(gold), top
    )
    return softmax(logits.astype(np.float64)), {
        name: np.asarray(value) for name, value in scores.items()
    }


def distributions():
    p = softmax(2.5 * RNG.standard_normal((2, 1601)))
    p[0, 10:20] = 0  # classes the detector rules out add nothing
    return (p / p.sum(axis=1, keepdims=True)).astype(np.float32)


def test_mlm_is_the_mean_over_targets():
    logits = RNG.standard_normal((2, 3, 50)).astype(np.float32)
    labels = np.array([[4, 7, 0], [49, 0, 0]])
    is_target = np.array([[True, True, False], [True, False, False]])
    scores = mlm_scores(
        jnp.asarray(logits), jnp.asarray(labels), jnp.asarray(is_target), top=2
    )
    q = softmax(logits.astype(np.float64))
    expected = [-(np.log(q[0, 0, 4]) + np.log(q[0, 1, 7])) / 2, -np.log(q[1, 0, 49])]
    np.testing.assert_allclose(scores["mlm"], expected, rtol=1e-6)
    np.testing.assert_array_equal(scores["predicted"], logits.argmax(axis=-1))
    np.testing.assert_array_equal(
        scores["top_classes"], np.argsort(-logits, axis=-1)[..., :2]
    )
    np.testing.assert_allclose(
        scores["top_probabilities"], np.sort(q, axis=-1)[..., :-3:-1], rtol=1e-5
    )


def test_objective_0_has_background_first():
    p = distributions()
    q, scores = region_scores("0", 1601, cls_prob=p)
    rows = np.arange(2)
    np.testing.assert_allclose(scores["mrc_xe"], -np.log(q[rows, ID]), rtol=1e-5)
    np.testing.assert_allclose(
        scores["mrc_xe_corrected"], -np.log(q[rows, ID + 1]), rtol=1e-5
    )
    terms = np.where(p > 0, p * (np.log(np.maximum(p, 1e-30)) - np.log(q)), 0)
    np.testing.assert_allclose(scores["mrc_kl"], terms.sum(axis=1), rtol=1e-5)
    assert "mrc_kl_aligned" not in scores


def test_objective_3_weighs_by_confidence_and_has_no_kl():
    q, scores = region_scores("3", 1600, cls_prob=distributions())
    plain = -np.log(q[np.arange(2), ID])
    np.testing.assert_allclose(scores["mrc_xe"], plain * CONFIDENCE, rtol=1e-5)
    np.testing.assert_allclose(scores["mrc_xe_corrected"], plain, rtol=1e-5)
    assert "mrc_kl" not in scores


def test_objective_6_needs_no_correction_but_its_kl_does():
    p = distributions()
    q, scores = region_scores("6", 1601, cls_prob=p)
    expected = -np.log(q[np.arange(2), ID])
    np.testing.assert_allclose(scores["mrc_xe"], expected, rtol=1e-5)
    np.testing.assert_allclose(scores["mrc_xe_corrected"], expected, rtol=1e-5)
    objects = p[:, 1:] / p[:, 1:].sum(axis=1, keepdims=True)
    logs = np.log(np.maximum(objects, 1e-30)) - np.log(q[:, :1600])
    aligned = np.where(objects > 0, objects * logs, 0).sum(axis=1)
    np.testing.assert_allclose(scores["mrc_kl_aligned"], aligned, rtol=1e-5)
    assert not np.allclose(scores["mrc_kl"], aligned, rtol=1e-3)


def test_a_model_that_agrees_with_the_detector_has_no_divergence():
    """The right model by construction, for both layouts of classes."""
    p = distributions()
    labels = RegionLabels(
        objects_id=jnp.asarray(ID),
        objects_conf=jnp.asarray(CONFIDENCE),
        cls_prob=jnp.asarray(p),
    )
    agreeing, nothing = np.log(np.maximum(p, 1e-30)), jnp.asarray([-1, -1])
    scores = mrc_scores(VISUAL_TARGETS["0"], jnp.asarray(agreeing), labels, nothing, 0)
    np.testing.assert_allclose(scores["mrc_kl"], 0, atol=2e-6)
    unused = np.full((2, 1), -100.0, np.float32)
    shifted = np.concatenate([agreeing[:, 1:], unused], axis=1)
    scores = mrc_scores(VISUAL_TARGETS["6"], jnp.asarray(shifted), labels, nothing, 0)
    np.testing.assert_allclose(scores["mrc_kl_aligned"], 0, atol=2e-6)
    assert (scores["mrc_kl"] > 0.1).all()


@pytest.mark.parametrize("objective, classes, first", [("0", 1601, 0), ("3", 1600, 1)])
def test_gold_labels_are_in_the_detectors_classes(objective, classes, first):
    q, scores = region_scores(objective, classes, gold=(42, -1))
    gold = q[0, 42 - first]
    np.testing.assert_allclose(scores["mrc_xe_vg"][0], -np.log(gold), rtol=1e-5)
    np.testing.assert_allclose(scores["gold_probability"][0], gold, rtol=1e-5)
    assert scores["gold_rank"][0] == 1 + (q[0] > gold).sum()
    assert np.isnan(scores["mrc_xe_vg"][1]) and scores["gold_rank"][1] == 0


def test_no_distribution_no_kl():
    _, scores = region_scores("0", 1601)
    assert "mrc_kl" not in scores and np.isfinite(scores["mrc_xe"]).all()
