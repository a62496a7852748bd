"""The optimiser and the schedule against steps computed by hand."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from xabl.errors import UserError
from xabl.models.presets import PRESETS
from xabl.pretraining.optimiser import (
    OptimiserConfig,
    is_decayed,
    optimiser,
    warmup_linear,
)


def _constant(rate):
    return lambda step: jnp.asarray(rate, jnp.float32)


def _run(config, gradients, rates, start, decayed=True):
    """The parameter after each update, with `rates` as the schedule."""
    table = jnp.array(rates, jnp.float32)
    rule = optimiser(config, lambda step: table[step], {"p": decayed})
    params = {"p": jnp.array(start, jnp.float32)}
    state = rule.init(params)
    seen = []
    for gradient in gradients:
        updates, state = rule.update({"p": jnp.array(gradient)}, state, params)
        params = optax.apply_updates(params, updates)
        seen.append(np.asarray(params["p"]))
    return seen


def _by_hand(config, gradients, rates, start, decayed=True):
    """pytorch_transformers' AdamW, a line of it a line here, in doubles."""
    p, m, v = np.array(start, np.float64), 0.0, 0.0
    seen = []
    for t, (g, lr) in enumerate(zip(gradients, rates, strict=True), start=1):
        g = np.array(g, np.float64)
        norm = math.sqrt(float((g * g).sum()))
        if config.clip_norm is not None and norm > config.clip_norm:
            g = g * config.clip_norm / norm
        m = config.beta1 * m + (1 - config.beta1) * g
        v = config.beta2 * v + (1 - config.beta2) * g * g
        step_size = lr * math.sqrt(1 - config.beta2**t) / (1 - config.beta1**t)
        p = p - step_size * m / (np.sqrt(v) + config.epsilon)
        if decayed:
            p = p - lr * config.weight_decay * p
        seen.append(p)
    return seen


@pytest.mark.parametrize("decayed", [True, False])
def test_five_updates_by_hand(decayed):
    config = OptimiserConfig(weight_decay=0.3)
    gradients = [[1e-5, 2.0, -30.0], [0.0, 1.0, 40.0], [1e-5, 0.0, 0.1]] * 2
    rates = [0.0, 0.1, 0.2, 0.1, 0.05]
    start = [1.0, -2.0, 3.0]
    found = _run(config, gradients[:5], rates, start, decayed)
    expected = _by_hand(config, gradients[:5], rates, start, decayed)
    np.testing.assert_allclose(found, expected, rtol=2e-6)


def test_first_update_of_a_small_gradient_shows_the_epsilon():
    gradients, rates = [[1e-5]], [1.0]
    published = OptimiserConfig(weight_decay=0.0)
    adamw = dataclasses.replace(published, arithmetic="adamw")
    assert _run(published, gradients, rates, [0.0])[0] == pytest.approx(-0.24, abs=2e-3)
    assert _run(adamw, gradients, rates, [0.0])[0] == pytest.approx(-0.91, abs=2e-3)


def test_decay_is_taken_from_the_updated_parameter():
    config = OptimiserConfig(weight_decay=0.5, epsilon=1e-12)
    # The first update of Adam is one learning rate: 1 - 0.1, then times 1 - 0.1 * 0.5.
    found = _run(config, [[1.0]], [0.1], [1.0])
    assert found[0] == pytest.approx((1 - 0.1) * (1 - 0.05), rel=1e-6)


def test_adamw_is_optax_adamw():
    config = OptimiserConfig(arithmetic="adamw", clip_norm=None)
    mine = optimiser(config, _constant(1e-2), {"a": True, "b": False})
    theirs = optax.adamw(
        1e-2, eps=1e-6, weight_decay=0.01, mask={"a": True, "b": False}
    )
    params = {"a": jnp.ones(3), "b": jnp.ones(2)}
    gradients = {"a": jnp.arange(3.0), "b": jnp.arange(2.0)}
    updates = [
        rule.update(gradients, rule.init(params), params)[0] for rule in (mine, theirs)
    ]
    jax.tree.map(np.testing.assert_array_equal, *updates)


def test_clipping_scales_the_whole_gradient():
    config = OptimiserConfig(clip_norm=5.0, weight_decay=0.0)
    rule = optimiser(config, _constant(1.0), {"a": True, "b": True})
    params = {"a": jnp.zeros(1), "b": jnp.zeros(1)}
    big = {"a": jnp.array([30.0]), "b": jnp.array([40.0])}
    _, state = rule.update(big, rule.init(params), params)
    moments = state[1].mu
    np.testing.assert_allclose(moments["a"], 0.1 * 3.0, rtol=1e-6)
    np.testing.assert_allclose(moments["b"], 0.1 * 4.0, rtol=1e-6)


def test_what_is_decayed_follows_the_reference_names():
    uniter = is_decayed(PRESETS["ctrl_uniter_base"])
    assert uniter["sublayers_0/text/query/kernel"]
    assert not uniter["sublayers_0/text/query/bias"]
    assert not uniter["sublayers_0/text/norm/scale"]
    assert not uniter["region_embeddings/norm/scale"]  # v_LayerNorm.weight
    assert uniter["region_embeddings/feature_norm/scale"]  # image_layer_norm.weight
    assert uniter["region_embeddings/location_norm/scale"]
    assert not uniter["region_embeddings/feature_norm/bias"]
    vl_bert = is_decayed(PRESETS["ctrl_vl-bert_base"])
    assert vl_bert["region_embeddings/text_visual_norm/scale"]  # visual_ln_text.weight
    assert vl_bert["region_embeddings/object_visual_norm/scale"]
    lxmert = is_decayed(PRESETS["ctrl_lxmert"])
    assert not lxmert["region_embeddings/feature_norm/scale"]  # ImgLayerNorm.weight


def test_schedule_starts_at_zero_peaks_after_the_warmup_and_ends_at_zero():
    rate = warmup_linear(1e-4, warmup_steps=10, total_steps=110)
    found = np.array([rate(jnp.int32(step)) for step in (0, 1, 10, 60, 109, 110)])
    np.testing.assert_allclose(found, [0, 1e-5, 1e-4, 5e-5, 1e-6, 0], rtol=1e-5)


def test_published_length_of_the_warmup():
    assert OptimiserConfig().num_warmup_steps(108_500) == 10_850
    assert OptimiserConfig(warmup_steps=8000).num_warmup_steps(108_500) == 8000


def test_warmup_longer_than_the_training_is_refused():
    with pytest.raises(UserError, match="warm-up of 8000 steps does not fit"):
        warmup_linear(1e-4, warmup_steps=8000, total_steps=100)


def test_unknown_arithmetic_is_refused():
    with pytest.raises(UserError, match="optimiser.arithmetic is 'sgd'"):
        OptimiserConfig(arithmetic="sgd")
