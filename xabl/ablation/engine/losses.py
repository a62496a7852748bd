"""What is measured at the targets, in nats.

Every function works on the logits of targets alone and is compiled into the step.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from xabl.models.visual_targets import VisualTarget
from xabl.types import AnyArray, pytree

Scores = dict[str, Array]


def cross_entropy(
    logits: Float[Array, "*batch classes"], labels: Int[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """-log softmax(logits)[label]."""
    chosen = jnp.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
    return jax.nn.logsumexp(logits, axis=-1) - chosen


def mlm_scores(
    logits: Float[Array, "batch targets vocabulary"],
    labels: Int[Array, "batch targets"],
    is_target: Bool[Array, "batch targets"],
    top: int,
) -> Scores:
    """Cross-entropy of each example's target pieces, and its mean over them.

    Returns:
        mlm [batch]; piece_loss, piece_rank (1: the most probable) and predicted [batch
        targets]; with `top` also the most probable pieces, top_classes and
        top_probabilities [batch targets top].
    """
    of_pieces = cross_entropy(logits, labels)
    losses = jnp.where(is_target, of_pieces, 0.0)
    right = jnp.take_along_axis(logits, labels[..., None], axis=-1)
    return {
        "mlm": losses.sum(axis=1) / jnp.maximum(is_target.sum(axis=1), 1),
        "piece_loss": of_pieces,
        "piece_rank": 1 + jnp.sum(logits > right, axis=-1, dtype=jnp.int32),
        "predicted": jnp.argmax(logits, axis=-1).astype(jnp.int32),
        **_top(logits, top),
    }


@pytree
class RegionLabels:
    """The columns of `TargetClasses` that classes of regions are compared to.

    cls_prob: None when the regions have none; no KL then.
    """

    objects_id: Int[AnyArray, " labels"]
    objects_conf: Float[AnyArray, " labels"]
    cls_prob: Float[AnyArray, "labels classes"] | None

    @classmethod
    def of(cls, found: Any) -> "RegionLabels":
        """Those of a struct with such fields among others."""
        return cls(
            objects_id=found.objects_id,
            objects_conf=found.objects_conf,
            cls_prob=found.cls_prob,
        )


def mrc_scores(
    target: VisualTarget,
    logits: Float[Array, "batch classes"],
    labels: RegionLabels,
    gold: Int[Array, " batch"],
    top: int,
) -> Scores:
    """KL and cross-entropies of a region's class.

    Visual target "0" has the background as class 0, then object k as class k + 1; in
    "3" and "6" object k is class k. What the published code computes:

    - mrc_kl: to `cls_prob` as it stands, off by one class for "6"; none for "3", which
      has a class less;
    - mrc_xe: to `objects_id` as it stands, off by one class for "0"; times the
      detector's confidence for "3".

    Beside it, under names of their own:

    - mrc_xe_corrected: to the right class, not weighted;
    - mrc_kl_aligned ("6"): to the detector's distribution over objects (background
      left out, the rest scaled to 1), class by class;
    - mrc_xe_vg, gold_probability, gold_rank (1: the most probable): of `gold`, a class
      of the detector's 1601; NaN, NaN and 0 where it is -1.
    """
    log_q = jax.nn.log_softmax(logits, axis=-1)
    first_object = target.first_object
    xe = -_pick(log_q, labels.objects_id)
    scores = {
        "mrc_xe": xe * labels.objects_conf if target.weight else xe,
        "mrc_xe_corrected": -_pick(log_q, labels.objects_id + first_object),
        "predicted": jnp.argmax(logits, axis=-1).astype(jnp.int32),
        **_gold_scores(log_q, gold - 1 + first_object),
        **_top(logits, top),
    }
    if labels.cls_prob is None or not target.has_kl:
        return scores
    scores["mrc_kl"] = _divergence(labels.cls_prob, log_q)
    if first_object == 0:
        objects = labels.cls_prob[:, 1:]
        objects = objects / jnp.sum(objects, axis=1, keepdims=True)
        scores["mrc_kl_aligned"] = _divergence(objects, log_q[:, :-1])
    return scores


def _pick(
    log_q: Float[Array, "batch classes"], index: Int[Array, " batch"]
) -> Float[Array, " batch"]:
    return jnp.take_along_axis(log_q, index[:, None], axis=1)[:, 0]


def _divergence(
    p: Float[Array, "batch classes"], log_q: Float[Array, "batch classes"]
) -> Float[Array, " batch"]:
    """KL(p, q); classes of probability 0 add nothing."""
    log_p = jnp.log(jnp.where(p > 0, p, 1.0))
    return jnp.sum(jnp.where(p > 0, p * (log_p - log_q), 0.0), axis=1)


def _gold_scores(
    log_q: Float[Array, "batch classes"], gold: Int[Array, " batch"]
) -> Scores:
    known = gold >= 0
    log_gold = _pick(log_q, jnp.maximum(gold, 0))
    return {
        "mrc_xe_vg": jnp.where(known, -log_gold, jnp.nan),
        "gold_probability": jnp.where(known, jnp.exp(log_gold), jnp.nan),
        "gold_rank": jnp.where(
            known, 1 + jnp.sum(log_q > log_gold[:, None], axis=1), 0
        ).astype(jnp.int32),
    }


def _top(logits: Float[Array, "*batch classes"], top: int) -> Scores:
    if not top:
        return {}
    values, classes = jax.lax.top_k(logits, min(top, logits.shape[-1]))
    total = jax.nn.logsumexp(logits, axis=-1, keepdims=True)
    return {"top_classes": classes, "top_probabilities": jnp.exp(values - total)}
