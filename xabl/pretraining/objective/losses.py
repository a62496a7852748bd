"""Losses of pretraining, as sums and counts.

The loss is the weighted sum, over the kinds of targets, of the mean over ALL targets of
the batch (Bugliarello et al., TACL 2021). Devices and parts of an accumulated batch
have different numbers of targets: sums and counts are added up, and divided at the end.
(The reference averages the means of its parts.)

Kinds are named "mlm", "itm" and "regions_0" ... "regions_6", by visual target.
All logarithms are natural, all losses in nats and float32.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from xabl.errors import UserError
from xabl.models.config import ModelConfig
from xabl.models.visual_targets import VISUAL_TARGETS, Loss, VisualTarget
from xabl.pretraining.inputs.batch import PretrainingBatch
from xabl.pretraining.inputs.config import InputConfig

MLM, ITM, REGIONS = "mlm", "itm", "regions_"


def loss_weights(model: ModelConfig, inputs: InputConfig) -> dict[str, float]:
    """The kinds of losses a run has, with their weights.

    Raises:
        UserError: the run would have no loss at all, or a matching loss without a head.
    """
    weights = {}
    if not inputs.vision_only:
        weights[MLM] = 1.0
    for target, weight in model.visual_target_weights:
        if weight > 0:
            weights[REGIONS + target] = weight
    if inputs.objective != 2 and not (inputs.vision_only or model.text_only):
        if not model.has_matching_head:
            raise UserError(
                f"model {model.name} has no matching head (fusion_method "
                f"{model.fusion_method.value!r}); set inputs.objective=2, which has no "
                "matching loss"
            )
        weights[ITM] = 1.0
    if not weights:
        raise UserError(
            "nothing to learn: vision_only leaves no words to predict and model "
            f"{model.name} has no visual target"
        )
    return weights


def visual_targets(weights: dict[str, float]) -> tuple[VisualTarget, ...]:
    """Visual targets among the kinds of losses."""
    return tuple(
        VISUAL_TARGETS[kind.removeprefix(REGIONS)]
        for kind in weights
        if kind.startswith(REGIONS)
    )


def count_targets(
    batch: PretrainingBatch, weights: dict[str, float]
) -> dict[str, Float[Array, ""]]:
    """Number of targets of each kind in a batch of any number of axes."""
    counts = {}
    for kind in weights:
        if kind == MLM:
            targets = batch.mlm_targets
        elif kind == ITM:
            targets = batch.itm_labels
        else:
            targets = batch.target_rows
        counts[kind] = jnp.sum(targets >= 0, dtype=jnp.float32)
    return counts


def weighted_mean(
    sums: dict[str, Float[Array, ""]],
    counts: dict[str, Float[Array, ""]],
    weights: dict[str, float],
) -> Float[Array, ""]:
    """The loss; a kind without any target in the batch adds 0."""
    return sum(
        weight * sums[kind] / jnp.maximum(counts[kind], 1)
        for kind, weight in weights.items()
    )


def cross_entropy(
    logits: Float[Array, "*positions classes"], labels: Int[Array, "*positions"]
) -> Float[Array, "*positions"]:
    """-log q(label). Labels below 0 are read as 0; the caller drops their losses."""
    return optax.softmax_cross_entropy_with_integer_labels(
        logits, jnp.maximum(labels, 0)
    )


def divergence(
    logits: Float[Array, "*positions classes"],
    probabilities: Float[Array, "*positions classes"],
) -> Float[Array, "*positions"]:
    """KL(p || q) of the detector's distribution p and the predicted q ("0")."""
    terms = jax.scipy.special.xlogy(probabilities, probabilities) - (
        probabilities * jax.nn.log_softmax(logits)
    )
    return jnp.sum(terms, axis=-1)


def squared_error(
    predictions: Float[Array, "*positions outputs"],
    features: Float[Array, "*positions features"],
) -> Float[Array, "*positions"]:
    """Mean over the features of a region ("1")."""
    outputs = _first(predictions, features.shape[-1])
    return jnp.mean(jnp.square(outputs - features), axis=-1)


def smooth_l1(
    predictions: Float[Array, "*positions outputs"],
    features: Float[Array, "*positions features"],
) -> Float[Array, "*positions"]:
    """Huber loss with delta 1, mean over the features of a region ("5")."""
    outputs = _first(predictions, features.shape[-1])
    return jnp.mean(optax.huber_loss(outputs, features, delta=1.0), axis=-1)


def contrast(
    predictions: Float[Array, "batch targets outputs"],
    features: Float[Array, "batch targets features"],
    candidates: Float[Array, "candidates features"],
    negatives: Int[Array, "batch targets negatives"],
) -> Float[Array, "batch targets"]:
    """Noise-contrastive loss: the region's own feature among negatives ("2").

    Scores are dot products of prediction and feature. All candidates are scored, then
    the drawn ones are picked: scores are 2048 times smaller than features.

    Args:
        predictions: outputs of the region head at the targets.
        features: the targets' own unmasked features.
        candidates: features of every region of the batch.
        negatives: which candidates are drawn for each target; -1 is none.
    """
    outputs = _first(predictions, features.shape[-1])
    own = jnp.sum(outputs * features, axis=-1)
    scores = jnp.einsum("btf,cf->btc", outputs, candidates)
    drawn = jnp.take_along_axis(scores, jnp.maximum(negatives, 0), axis=-1)
    drawn = jnp.where(negatives >= 0, drawn, -jnp.inf)
    everything = jnp.concatenate([own[..., None], drawn], axis=-1)
    return jax.nn.logsumexp(everything, axis=-1) - own


def region_labels(batch: PretrainingBatch) -> dict[str, Array]:
    """What is known of each target region, by field of `ImageRegions`."""
    if batch.unmasked_features is None:
        return batch.labels
    features = at_rows(batch.unmasked_features, batch.target_rows)
    return {**batch.labels, "features": features}


# Of all but the contrastive loss: see `contrast`.
_LOSSES = {
    Loss.DIVERGENCE: divergence,
    Loss.CROSS_ENTROPY: cross_entropy,
    Loss.SQUARED_ERROR: squared_error,
    Loss.SMOOTH_L1: smooth_l1,
}


def region_losses(
    target: VisualTarget,
    predictions: Float[Array, "*positions outputs"],
    labels: Mapping[str, Array],
) -> Float[Array, "*positions"]:
    """Losses of one visual target, at regions whose labels are given."""
    each = _LOSSES[target.loss](predictions, labels[target.label])
    return each if target.weight is None else each * labels[target.weight]


def at_rows(
    values: Float[Array, "batch regions width"], rows: Int[Array, "batch targets"]
) -> Float[Array, "batch targets width"]:
    """The rows' values; row -1 is read as 0."""
    return jnp.take_along_axis(values, jnp.maximum(rows, 0)[..., None], axis=1)


def sum_where(
    losses: Float[Array, "*positions"], is_target: Bool[Array, "*positions"]
) -> Float[Array, ""]:
    """Sum over the targets; other values, NaN included, do not count."""
    return jnp.sum(jnp.where(is_target, losses, 0.0))


def sum_at_targets(
    losses_of: Callable[..., Array],
    is_target: Bool[Array, "batch positions"],
    capacity: int,
    *arguments: Any,
) -> Float[Array, ""]:
    """Sum of losses at the targets, evaluated at few other positions.

    Targets are a seventh of the positions. The vocabulary's logits at all positions
    would cost an eighth of the update and most of its memory.

    Args:
        losses_of: (arguments [n ...]) -> losses [n].
        is_target: where the targets are.
        capacity: number of positions to evaluate. A batch with more targets is
            evaluated at all positions, so that the result is exact.
        arguments: trees of arrays [batch positions ...].
    """
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), arguments)
    is_target = is_target.reshape(-1)

    def everywhere(is_target: Array, flat: Any) -> Array:
        return sum_where(losses_of(*flat), is_target)

    if capacity >= is_target.size:
        return everywhere(is_target, flat)

    def picked(is_target: Array, flat: Any) -> Array:
        (positions,) = jnp.nonzero(is_target, size=capacity, fill_value=0)
        filled = jnp.arange(capacity) < jnp.sum(is_target)
        return everywhere(filled, jax.tree.map(lambda x: x[positions], flat))

    fits = jnp.sum(is_target) <= capacity
    # What the gradient of the branch not taken would need is filled with zeros, as much
    # as logits at all positions. So that branch keeps nothing, and computes it again.
    return jax.lax.cond(fits, picked, jax.checkpoint(everywhere), is_target, flat)


def _first(predictions: Array, features: int) -> Array:
    """Decoders have the published 2048 outputs; fewer features train the first ones."""
    return predictions[..., :features]
