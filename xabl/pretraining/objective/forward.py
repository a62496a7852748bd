"""From a masked batch to the sums of its losses."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from xabl.models.dropout import key_of_each_example
from xabl.models.model import VisionLanguageBert, nest
from xabl.models.structs import Streams
from xabl.models.visual_targets import Loss
from xabl.pretraining.inputs.batch import PretrainingBatch
from xabl.pretraining.objective import losses, negatives
from xabl.support.arithmetic import needed_equations


@dataclasses.dataclass(frozen=True, kw_only=True)
class Objective:
    """What is computed for a batch.

    model: with its precision.
    weights: of the kinds of losses (`losses.loss_weights`).
    word_rate: expected share of words that are targets; with `region_rate`, it sets the
        number of positions that the heads are compiled for.
    region_rate: expected share of regions that are targets.
    rematerialise: keeps only the hidden states between sublayers for the backward pass,
        and computes the rest again: less memory, more time.
    """

    model: VisionLanguageBert
    weights: dict[str, float]
    word_rate: float
    region_rate: float
    rematerialise: bool = False


def sum_losses(
    objective: Objective,
    parameters: dict,
    batch: PretrainingBatch,
    keys: Key[Array, " batch"],
    pool: negatives.Candidates | None,
    *,
    dropout: bool,
) -> dict[str, Float[Array, ""]]:
    """Sums of each kind of loss over one batch (one axis).

    Args:
        objective: model and losses.
        parameters: the model's parameter tree.
        batch: inputs and targets.
        keys: of each example, for dropout and negatives.
        pool: what negatives are drawn from; None without a contrastive loss.
        dropout: whether this is training.
    """
    model, weights = objective.model, objective.weights
    streams, matching = _encode(objective, parameters, batch, keys, dropout)
    head = functools.partial(model.apply, {"params": parameters})
    sums = {}
    if losses.MLM in weights:
        sums[losses.MLM] = losses.sum_at_targets(
            lambda states, pieces: losses.cross_entropy(
                head(states, method="mlm_logits"), pieces
            ),
            batch.mlm_targets >= 0,
            _capacity(batch.mlm_targets.size, objective.word_rate),
            streams.words,
            batch.mlm_targets,
        )
    if losses.ITM in weights:
        sums[losses.ITM] = losses.sum_where(
            losses.cross_entropy(matching, batch.itm_labels), batch.itm_labels >= 0
        )
    for target in losses.visual_targets(weights):
        states = losses.at_rows(streams.regions, batch.target_rows)
        is_target = batch.target_rows >= 0
        labels = losses.region_labels(batch)
        outputs = functools.partial(head, method="region_logits")
        if target.loss is Loss.CONTRAST:
            each = losses.contrast(
                outputs(states, target.name),
                labels["features"],
                pool.features.reshape(-1, pool.features.shape[-1]),
                negatives.draw(keys, batch, pool),
            )
            total = losses.sum_where(each, is_target)
        else:
            total = losses.sum_at_targets(
                lambda states, labels, target=target, outputs=outputs: (
                    losses.region_losses(target, outputs(states, target.name), labels)
                ),
                is_target,
                _capacity(batch.region_mask.size, objective.region_rate),
                states,
                labels,
            )
        sums[losses.REGIONS + target.name] = total
    return sums


def _encode(
    objective: Objective,
    parameters: dict,
    batch: PretrainingBatch,
    keys: Key[Array, " batch"],
    dropout: bool,
) -> tuple[Streams, Array | None]:
    """Last hidden states and, if there is a matching loss, its logits."""
    model, text, regions = objective.model, batch.text, batch.regions

    def apply(*arguments, method, parameters):
        return model.apply(
            {"params": parameters},
            *arguments,
            deterministic=not dropout,
            method=method,
            rngs=key_of_each_example(keys) if dropout else None,
        )

    def sublayer(parameters, number, streams):
        region_mask = None if regions is None else regions.mask
        return apply(
            number,
            streams,
            streams,
            text.mask,
            region_mask,
            method="run_sublayer",
            parameters=parameters,
        )

    if objective.rematerialise:
        sublayer = jax.checkpoint(sublayer, static_argnums=1)
    streams = apply(text, regions, method="embed", parameters=parameters)
    for number in range(model.config.num_sublayers):
        streams = sublayer(parameters, number, streams)
    if losses.ITM not in objective.weights:
        return streams, None
    pooled = model.apply({"params": parameters}, streams, text.mask, method="pool")
    return streams, apply(pooled, method="itm_logits", parameters=parameters)


def _capacity(positions: int, rate: float) -> int:
    """Positions to evaluate a head at: the expected number and six deviations."""
    mean = positions * rate
    deviation = np.sqrt(positions * rate * (1 - rate))
    return min(positions, int(np.ceil((mean + 6 * deviation) / 8)) * 8)


def plain_loss(
    objective: Objective, parameters: dict[str, Array], batch: PretrainingBatch
) -> Float[Array, ""]:
    """Sum of all sums without dropout, to be traced.

    Args:
        objective: model and losses.
        parameters: by path.
        batch: of one axis.
    """
    keys = jax.vmap(jax.random.key)(jnp.zeros(batch.example_index.shape, jnp.int32))
    pool = candidates(objective, batch)
    sums = sum_losses(objective, nest(parameters), batch, keys, pool, dropout=False)
    return sum(sums.values())


def parameters_in_loss(
    objective: Objective, parameters: dict[str, Any], batch: PretrainingBatch
) -> frozenset[str]:
    """Paths of the parameters that the loss depends on, whatever their values.

    Found in the traced computation. The others have no gradient (in PyTorch None, not
    zero), and are neither updated nor decayed.

    Args:
        objective: model and losses.
        parameters: arrays or shapes (`jax.ShapeDtypeStruct`), by path.
        batch: likewise, of one axis.
    """
    # Rematerialised, a sublayer is one equation, which seems to need all its inputs.
    plain = dataclasses.replace(objective, rematerialise=False)
    loss = functools.partial(plain_loss, plain)
    traced = jax.make_jaxpr(loss)(parameters, batch).jaxpr
    needed: set = set()
    for _ in needed_equations(traced, needed):
        pass
    paths = jax.tree.leaves({path: path for path in parameters})
    return frozenset(
        path
        for path, variable in zip(paths, traced.invars[: len(paths)], strict=True)
        if variable in needed
    )


def candidates(
    objective: Objective,
    batch: PretrainingBatch,
    gather: Callable[[Any], Any] = lambda arrays: arrays,
) -> negatives.Candidates | None:
    """What a batch's negatives are drawn from; None without a contrastive loss.

    Args:
        objective: model and losses.
        batch: of any number of axes.
        gather: adds the other devices' arrays along new axes in front.
    """
    targets = losses.visual_targets(objective.weights)
    if all(target.loss is not Loss.CONTRAST for target in targets):
        return None
    index, features, mask = gather(
        (batch.example_index, batch.unmasked_features, batch.region_mask)
    )
    return negatives.candidates(
        index.reshape(-1),
        features.reshape(-1, *features.shape[-2:]),
        mask.reshape(-1, mask.shape[-1]),
        objective.model.config.add_global_imgfeat,
    )
