"""Losses against plain loops, and their gradients against differences."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import tiny_training
from xabl.errors import UserError
from xabl.models.config import GlobalImage
from xabl.models.model import nest
from xabl.models.visual_targets import VISUAL_TARGETS
from xabl.pretraining.inputs.config import InputConfig
from xabl.pretraining.objective import forward, losses, negatives

pytestmark = pytest.mark.usefixtures("quick_compilation")

ALL_TARGETS = tuple((str(target), 0.5 + target) for target in range(7))


def _log_softmax(scores):
    scores = np.asarray(scores, np.float64)
    return scores - math.log(np.exp(scores - scores.max()).sum()) - scores.max()


def _objective_by_loop(target, predictions, expected, place):
    """One region's loss, as the formulas of the seven visual targets say."""
    predicted = np.asarray(predictions[place], np.float64)
    if target == "0":
        p = np.asarray(expected["cls_prob"][place], np.float64)
        q = _log_softmax(predicted)
        return sum(p[c] * (math.log(p[c]) - q[c]) for c in range(1601) if p[c] > 0)
    features = np.asarray(expected["features"][place], np.float64)
    difference = predicted[: len(features)] - features
    if target == "1":
        return (difference**2).mean()
    if target == "5":
        size = np.abs(difference)
        return np.where(size < 1, 0.5 * size**2, size - 0.5).mean()
    logs = _log_softmax(predicted)
    if target == "4":
        confidence = expected["attrs_conf"][place]
        return -logs[int(expected["attrs_id"][place])] * confidence
    loss = -logs[int(expected["objects_id"][place])]
    return loss * expected["objects_conf"][place] if target == "3" else loss


@pytest.mark.parametrize("target", ["0", "1", "3", "4", "5", "6"])
def test_visual_targets_by_loop(target):
    config = tiny_training.model()
    batch = tiny_training.batch(config, 4)
    expected = losses.region_labels(jax.tree.map(jnp.asarray, batch))
    outputs = {"0": 1601, "1": 2048, "3": 1600, "4": 400, "5": 2048, "6": 1601}[target]
    random = np.random.default_rng(1)
    predictions = 2 * random.standard_normal((4, 3, outputs)).astype(np.float32)
    found = losses.region_losses(
        VISUAL_TARGETS[target], jnp.asarray(predictions), expected
    )
    for place in zip(*np.nonzero(batch.target_rows >= 0), strict=True):
        by_loop = float(_objective_by_loop(target, predictions, expected, place))
        assert found[place] == pytest.approx(by_loop, rel=2e-5), place


def test_contrastive_loss_by_loop():
    random = np.random.default_rng(2)
    predictions = random.standard_normal((2, 3, 2048)).astype(np.float32)
    features = random.standard_normal((2, 3, 16)).astype(np.float32)
    pool = random.standard_normal((20, 16)).astype(np.float32)
    drawn = random.integers(-1, 20, (2, 3, 5)).astype(np.int32)
    found = losses.contrast(*map(jnp.asarray, (predictions, features, pool, drawn)))
    for place in np.ndindex(2, 3):
        output = predictions[place][:16].astype(np.float64)
        scores = [output @ features[place]]
        scores += [output @ pool[number] for number in drawn[place] if number >= 0]
        by_loop = -_log_softmax(scores)[0]
        assert found[place] == pytest.approx(by_loop, rel=2e-5, abs=1e-6)


def test_region_targets_are_the_unmasked_features():
    config = tiny_training.model()
    batch = tiny_training.batch(config, 4)
    features = losses.region_labels(jax.tree.map(jnp.asarray, batch))["features"]
    for example, slot in zip(*np.nonzero(batch.target_rows >= 0), strict=True):
        row = batch.target_rows[example, slot]
        np.testing.assert_array_equal(
            features[example, slot], batch.unmasked_features[example, row]
        )


def test_kinds_of_losses_by_objective():
    config = tiny_training.model("ctrl_vilbert_base")
    matching = {"mlm": 1.0, "regions_0": 1.0, "itm": 1.0}
    assert losses.loss_weights(config, InputConfig(objective=0)) == matching
    assert losses.loss_weights(config, InputConfig(objective=1)) == matching
    apart = {"mlm": 1.0, "regions_0": 1.0}
    assert losses.loss_weights(config, InputConfig(objective=2)) == apart
    assert losses.loss_weights(config, InputConfig(vision_only=True)) == {
        "regions_0": 1.0
    }
    bert = tiny_training.model("bert_base")
    assert losses.loss_weights(bert, InputConfig()) == {"mlm": 1.0}
    lxmert = losses.loss_weights(tiny_training.model("lxmert"), InputConfig())
    assert lxmert["regions_5"] == 6.667


def test_losses_that_cannot_be_are_refused():
    without_head = tiny_training.model("vl-bert_base")
    with pytest.raises(UserError, match="no matching head .* set inputs.objective=2"):
        losses.loss_weights(without_head, InputConfig(objective=1))
    blind = tiny_training.model("ctrl_uniter_noviz_base")
    with pytest.raises(UserError, match="nothing to learn"):
        losses.loss_weights(blind, InputConfig(vision_only=True))


def test_means_are_over_all_targets_and_empty_kinds_add_nothing():
    weights = {"mlm": 1.0, "regions_0": 2.0, "itm": 1.0}
    sums = {"mlm": 6.0, "regions_0": 5.0, "itm": 0.0}
    counts = {"mlm": 3.0, "regions_0": 10.0, "itm": 0.0}
    mean = losses.weighted_mean(*_arrays(sums, counts), weights)
    assert mean == pytest.approx(6 / 3 + 2 * 5 / 10)


def _arrays(*dicts):
    return [{k: jnp.asarray(v) for k, v in numbers.items()} for numbers in dicts]


def test_counts_of_any_shape():
    config = tiny_training.model()
    batch = tiny_training.batch(config, 8)
    weights = losses.loss_weights(config, InputConfig())
    counts = losses.count_targets(batch, weights)
    assert counts["mlm"] == (batch.mlm_targets >= 0).sum()
    assert counts["regions_0"] == (batch.target_rows >= 0).sum()
    assert counts["regions_0"] == (batch.target_rows >= 0).sum()
    assert counts["itm"] == 8
    parts = jax.tree.map(lambda x: x.reshape(2, 4, *x.shape[1:]), batch)
    assert losses.count_targets(parts, weights) == counts


@pytest.mark.parametrize("capacity", [8, 16, 48, 1000])
def test_evaluating_at_targets_alone_is_exact_even_beyond_the_capacity(capacity):
    random = np.random.default_rng(0)
    states = jnp.asarray(random.standard_normal((6, 8, 4)), jnp.float32)
    targets = jnp.asarray(random.integers(-1, 3, (6, 8)))

    def squares(states, targets):
        return jnp.sum(states**2, axis=-1) + targets

    found, gradient = jax.value_and_grad(
        lambda states: losses.sum_at_targets(
            squares, targets >= 0, capacity, states, targets
        )
    )(states)
    chosen = np.asarray(targets) >= 0
    each = np.sum(np.asarray(states) ** 2, axis=-1) + np.asarray(targets)
    assert found == pytest.approx(each[chosen].sum(), rel=1e-6)
    expected = np.where(chosen[..., None], 2 * np.asarray(states), 0)
    np.testing.assert_allclose(gradient, expected, rtol=1e-6)


def test_a_loss_that_is_nan_where_nothing_is_a_target_does_not_count():
    found = losses.sum_where(jnp.array([1.0, jnp.nan]), jnp.array([True, False]))
    assert found == 1.0


@functools.cache
def _compiled_sums(config):
    objective = tiny_training.objective(config)

    @jax.jit
    def sums(params, batch):
        keys = tiny_training.keys(len(batch.example_index))
        pool = forward.candidates(objective, batch)
        return forward.sum_losses(objective, params, batch, keys, pool, dropout=False)

    return sums


def _sums(config, batch):
    params = nest(tiny_training.parameters(config))
    return _compiled_sums(config)(params, jax.tree.map(jnp.asarray, batch))


def test_sums_of_a_model_by_loop():
    config = tiny_training.model(visual_target_weights=(("0", 1.0), ("6", 1.0)))
    batch = tiny_training.batch(config, 5)
    sums = _sums(config, batch)
    objective = tiny_training.objective(config)
    params = nest(tiny_training.parameters(config))
    placed = jax.tree.map(jnp.asarray, batch)
    apply = jax.jit(objective.model.apply)
    output = apply({"params": params}, placed.text, placed.regions)
    mlm = itm = kl = entropy = 0.0
    for b in range(5):
        itm -= _log_softmax(output.itm_logits[b])[batch.itm_labels[b]]
        for t in np.flatnonzero(batch.mlm_targets[b] >= 0):
            mlm -= _log_softmax(output.mlm_logits[b, t])[batch.mlm_targets[b, t]]
        for slot in np.flatnonzero(batch.target_rows[b] >= 0):
            row = batch.target_rows[b, slot]
            p = batch.labels["cls_prob"][b, slot].astype(np.float64)
            q = _log_softmax(output.region_logits["0"][b, row])
            kl += (p[p > 0] * (np.log(p[p > 0]) - q[p > 0])).sum()
            logs = _log_softmax(output.region_logits["6"][b, row])
            entropy -= logs[batch.labels["objects_id"][b, slot]]
    assert sums["mlm"] == pytest.approx(mlm, rel=1e-5)
    assert sums["itm"] == pytest.approx(itm, rel=1e-5)
    assert sums["regions_0"] == pytest.approx(kl, rel=1e-5)
    assert sums["regions_6"] == pytest.approx(entropy, rel=1e-5)


def test_pairs_without_labels_give_no_loss():
    """A replaced caption under objective 1 has the matching label alone."""
    config = tiny_training.model()
    batch = tiny_training.batch(config, 4)
    silent = dataclasses.replace(
        batch,
        mlm_targets=np.full_like(batch.mlm_targets, -1),
        target_rows=np.full_like(batch.target_rows, -1),
    )
    sums = _sums(config, silent)
    assert sums["mlm"] == 0
    assert sums["regions_0"] == 0
    assert sums["itm"] == _sums(config, batch)["itm"]


@pytest.mark.slow
def test_gradients_are_those_of_finite_differences():
    """All seven visual targets, MLM and ITM at once, in doubles."""
    with jax.enable_x64(True):
        config = tiny_training.model(
            visual_target_weights=ALL_TARGETS,
            hidden_size=16,
            v_hidden_size=16,
            hidden_act="gelu",
        )
        batch = tiny_training.batch(config, 3)
        objective = tiny_training.objective(config, dtype=jnp.float64)
        batch = jax.tree.map(
            lambda x: jnp.asarray(x, jnp.float64 if x.dtype.kind == "f" else x.dtype),
            batch,
        )
        params = {
            path: jnp.asarray(value, jnp.float64)
            for path, value in tiny_training.parameters(config).items()
        }

        @jax.jit
        def loss(params):
            sums = forward.sum_losses(
                objective,
                nest(params),
                batch,
                tiny_training.keys(3),
                forward.candidates(objective, batch),
                dropout=False,
            )
            counts = losses.count_targets(batch, objective.weights)
            return losses.weighted_mean(sums, counts, objective.weights)

        gradient = jax.grad(loss)(params)
        random = np.random.default_rng(0)
        for _ in range(4):
            direction = {
                path: jnp.asarray(random.standard_normal(value.shape))
                for path, value in params.items()
            }
            slope = sum(jnp.vdot(gradient[path], direction[path]) for path in params)
            step = 1e-6
            ahead, behind = (
                loss({path: params[path] + s * direction[path] for path in params})
                for s in (step, -step)
            )
            difference = float(ahead - behind) / (2 * step)
            assert slope == pytest.approx(difference, rel=1e-6)


def _candidates(sizes, image=GlobalImage.FIRST, seed=0):
    """Examples with so many boxes each, [IMG] in front."""
    rows = max(sizes) + 1
    mask = np.arange(rows) < 1 + np.array(sizes)[:, None]
    index = np.random.default_rng(seed).permutation(len(sizes)).astype(np.int32)
    features = np.arange(len(sizes) * rows, dtype=np.float32).reshape(-1, rows, 1)
    arrays = map(jnp.asarray, (index, features, mask))
    return index, mask, negatives.candidates(*arrays, image)


def test_negatives_are_other_boxes_most_of_other_examples():
    config = tiny_training.model()
    sizes = [5, 3, 1, 4, 5, 2]
    index, mask, pool = _candidates(sizes)
    rows = np.full((6, 3), -1, np.int32)
    rows[:, 0] = 1  # the first box of each
    batch = dataclasses.replace(
        tiny_training.batch(config, 6), example_index=index, target_rows=rows
    )
    drawn = np.asarray(jax.jit(negatives.draw)(tiny_training.keys(6), batch, pool))
    assert drawn.shape == (6, 3, 128)
    order = np.argsort(index)
    for example in range(6):
        chosen = drawn[example, 0]
        across, inside = chosen[:90], chosen[90:]
        place, row = np.divmod(across, mask.shape[1])
        others = order[place]
        assert example not in others
        assert set(others) == set(range(6)) - {example}  # 90 draws of 5
        assert mask[others, row].all()
        assert (row > 0).all()  # never [IMG]
        if sizes[example] == 1:
            assert (inside == -1).all()  # there is no other box
            continue
        place, row = np.divmod(inside, mask.shape[1])
        assert (order[place] == example).all()
        assert set(row) == set(range(2, sizes[example] + 1))  # never the target


def test_a_single_example_has_negatives_of_its_own_alone():
    config = tiny_training.model()
    index, _, pool = _candidates([4])
    batch = dataclasses.replace(
        tiny_training.batch(config, 1),
        example_index=index,
        target_rows=np.array([[2, -1, -1]], np.int32),
    )
    drawn = np.asarray(jax.jit(negatives.draw)(tiny_training.keys(1), batch, pool))
    assert (drawn[0, 0, :90] == -1).all()
    assert (drawn[0, 0, 90:] >= 0).all()


def test_rows_that_fill_up_a_batch_are_no_candidates():
    mask = np.ones((3, 4), bool)
    index = np.array([7, -1, 5], np.int32)
    pool = negatives.candidates(
        jnp.asarray(index),
        jnp.zeros((3, 4, 1)),
        jnp.asarray(mask),
        GlobalImage.LAST,
    )
    np.testing.assert_array_equal(pool.example_index, [-1, 5, 7])
    np.testing.assert_array_equal(pool.num_boxes, [0, 3, 3])
    assert (np.asarray(pool.box_rows)[:, -1] == 3).all()  # [IMG] after the boxes


def _in_loss(config, **inputs):
    objective = tiny_training.objective(config, InputConfig(**inputs))
    batch = tiny_training.batch(config, 2)
    if inputs.get("vision_only"):
        batch = dataclasses.replace(
            batch,
            token_ids=batch.token_ids[:, :1],
            text_mask=batch.text_mask[:, :1],
            token_type_ids=batch.token_type_ids[:, :1],
            mlm_targets=batch.mlm_targets[:, :1],
        )
    params = tiny_training.parameters(config)
    return set(params), forward.parameters_in_loss(objective, params, batch)


def test_parameters_outside_the_loss():
    everything, in_loss = _in_loss(tiny_training.model())
    assert in_loss == everything
    everything, in_loss = _in_loss(tiny_training.model(), objective=2)
    outside = everything - in_loss
    assert {path.split("/")[0] for path in outside} == {"poolers", "itm_head"}
    _, in_loss = _in_loss(tiny_training.model("ctrl_uniter_noviz_base"))
    assert not any(path.startswith("region_head") for path in in_loss)


def test_two_streams_without_region_loss_end_earlier_for_regions():
    """Nothing reads the regions after the last co-attention: nothing trains there."""
    config = tiny_training.model("ctrl_vilbert_base", visual_target_weights=())
    everything, in_loss = _in_loss(config, objective=2)
    last_co = max(config.tv_attn_sublayers)
    for path in everything:
        parts = path.split("/")
        if parts[0].startswith("sublayers_") and parts[1] == "regions":
            number = int(parts[0].removeprefix("sublayers_"))
            late = number > last_co or (number == last_co and parts[2] != "key")
            if number != last_co:
                assert (path in in_loss) == (not late), path


def test_vision_only_leaves_out_the_word_head():
    everything, in_loss = _in_loss(tiny_training.model(), vision_only=True)
    outside = {path.split("/")[0] for path in everything - in_loss}
    assert outside == {"mlm_head", "poolers", "itm_head"}
    # Words are attended to (they are all padding), so the reference decays these.
    assert "text_embeddings/word/embedding" in in_loss
