"""One update of the parameters, sharded over all devices of all hosts."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, UInt

from xabl.models.model import nest
from xabl.pretraining.inputs.batch import PretrainingBatch
from xabl.pretraining.objective import forward, losses
from xabl.support.devices import AXIS, Devices
from xabl.types import pytree


@pytree
class TrainState:
    """The parameters, and everything else that changes from update to update.

    step: number of updates made.
    key: random state, from which the dropout and negatives of each update follow.
    trained: parameters that are updated, by path.
    fixed: frozen parameters and those outside the loss, by path.
    optimiser: state of the optimiser, for the trained parameters alone.
    """

    step: Int[Array, ""]
    key: UInt[Array, " 2"]
    trained: dict[str, Array]
    fixed: dict[str, Array]
    optimiser: optax.OptState

    @property
    def parameters(self) -> dict[str, Array]:
        """All parameters by path."""
        return self.trained | self.fixed


@pytree
class Metrics:
    """The metrics of an update, on the device.

    loss: see `losses.weighted_mean`.
    sums: of each kind of loss, over the whole batch.
    counts: number of targets of each kind.
    gradient_norm: before clipping.
    learning_rate: of this update.
    """

    loss: Float[Array, ""]
    sums: dict[str, Float[Array, ""]]
    counts: dict[str, Float[Array, ""]]
    gradient_norm: Float[Array, ""]
    learning_rate: Float[Array, ""]


TrainStep = Callable[[TrainState, PretrainingBatch], tuple[TrainState, Metrics]]
EvaluationStep = Callable[[TrainState, PretrainingBatch], tuple[dict, dict]]


def train_step(
    objective: forward.Objective,
    optimiser: optax.GradientTransformation,
    learning_rate: optax.Schedule,
    devices: Devices,
) -> TrainStep:
    """Compiles the update for batches laid out by `Devices.shard`.

    The old state is donated: its memory holds the new one.
    """
    weights = objective.weights

    def step(state: TrainState, batch: PretrainingBatch):
        # A device computes its share of a batch in parts, to save memory. The labels
        # tell the number of targets of the whole batch beforehand. So each part takes
        # the gradient of its share of the batch's mean, and parts add up.
        counts = jax.lax.psum(losses.count_targets(batch, weights), AXIS)
        pool = forward.candidates(objective, batch, _all_devices)
        step_key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)

        def loss(trained, part):
            parameters = nest(trained | state.fixed)
            sums = forward.sum_losses(
                objective,
                parameters,
                part,
                _example_keys(step_key, part),
                pool,
                dropout=True,
            )
            return losses.weighted_mean(sums, counts, weights), sums

        def of_part(part):
            return jax.grad(loss, has_aux=True)(state.trained, part)

        def add_part(total, part):
            return jax.tree.map(jnp.add, total, of_part(part)), None

        # One part, or one device, is its own sum: XLA on CPUs would add it to zeros and
        # copy it, three passes over a gradient of hundreds of megabytes.
        if batch.example_index.shape[0] == 1:
            total = of_part(jax.tree.map(lambda x: x[0], batch))
        else:
            none = dict.fromkeys(weights, jnp.zeros(()))
            zero = jax.tree.map(jnp.zeros_like, state.trained), none
            total, _ = jax.lax.scan(add_part, zero, batch)
        gradients, sums = total if len(devices) == 1 else jax.lax.psum(total, AXIS)
        updates, optimiser_state = optimiser.update(
            gradients, state.optimiser, state.trained
        )
        metrics = Metrics(
            loss=losses.weighted_mean(sums, counts, weights),
            sums=sums,
            counts=counts,
            gradient_norm=optax.tree.norm(gradients),
            learning_rate=learning_rate(state.step),
        )
        new = dataclasses.replace(
            state,
            step=state.step + 1,
            trained=optax.apply_updates(state.trained, updates),
            optimiser=optimiser_state,
        )
        return new, metrics

    return devices.parallel(
        step, replicated=1, sharded=1, donated=(0,), same_results=True
    )


def evaluation_step(objective: forward.Objective, devices: Devices) -> EvaluationStep:
    """Compiles (sums, counts) of the losses of one batch, without dropout."""
    weights = objective.weights

    def step(state: TrainState, batch: PretrainingBatch):
        pool = forward.candidates(objective, batch, _all_devices)
        # The same negatives each time: only the parameters change validation losses.
        key = jax.random.key(0)
        parameters = nest(state.parameters)

        def add_part(sums, part):
            more = forward.sum_losses(
                objective,
                parameters,
                part,
                _example_keys(key, part),
                pool,
                dropout=False,
            )
            return jax.tree.map(jnp.add, sums, more), None

        sums, _ = jax.lax.scan(add_part, dict.fromkeys(weights, jnp.zeros(())), batch)
        return jax.lax.psum((sums, losses.count_targets(batch, weights)), AXIS)

    return devices.parallel(step, replicated=1, sharded=1, same_results=True)


def _all_devices(arrays):
    return jax.lax.all_gather(arrays, AXIS)


def _example_keys(key: Array, batch: PretrainingBatch) -> Array:
    return jax.vmap(lambda index: jax.random.fold_in(key, index))(batch.example_index)
