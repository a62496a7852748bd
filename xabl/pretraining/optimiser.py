"""The learning rate of each update, and Adam with the arithmetic of the published runs.

The published runs used pytorch_transformers' AdamW, which differs from `optax.adamw`
twice. Epsilon is added to the root of the UNCORRECTED second moment: in the first
update, a gradient of 1e-5 moves a parameter by 0.24 learning rates, with optax by 0.91.
And weight decay applies to the parameter after the update.
"""

import dataclasses
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
import optax

from xabl.errors import UserError, check_choice, check_range
from xabl.models.config import ModelConfig
from xabl.models.reference_names import reference_names

_SMALLEST, _LARGEST = np.finfo(np.float32).tiny.item(), np.finfo(np.float32).max.item()
_BELOW_ONE = 1 - np.finfo(np.float32).epsneg.item()
# Parameters whose name in the reference contains one of these are not decayed. So the
# scales of LayerNorms with other names (UNITER's image_layer_norm, VL-BERT's
# visual_ln_*) are.
_NOT_DECAYED = ("bias", "LayerNorm.weight")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimiserConfig:
    """Defaults are the controlled models' recipe (Bugliarello et al., TACL 2021).

    arithmetic: "published" (see the module) or "adamw", which is `optax.adamw`.
    learning_rate: the peak, at the end of the warm-up.
    beta1, beta2: decay rates of the moments.
    epsilon: added to the root of the second moment.
    weight_decay: per update, in learning rates.
    clip_norm: largest norm of the whole gradient; None does not clip.
    warmup_fraction: share of all updates, without `warmup_steps`.
    warmup_steps: updates of the warm-up; None: `warmup_fraction`.
    """

    arithmetic: str = "published"
    learning_rate: float = 1e-4
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-6
    weight_decay: float = 0.01
    clip_norm: float | None = 5.0
    warmup_fraction: float = 0.1
    warmup_steps: int | None = None

    def __post_init__(self) -> None:
        check_choice("optimiser.arithmetic", self.arithmetic, ("published", "adamw"))
        for name in ("learning_rate", "epsilon", "weight_decay"):
            check_range(f"optimiser.{name}", getattr(self, name), 0, _LARGEST)
        for name in ("beta1", "beta2"):
            check_range(f"optimiser.{name}", getattr(self, name), _SMALLEST, _BELOW_ONE)
        check_range("optimiser.warmup_fraction", self.warmup_fraction, 0, 1)
        if self.warmup_steps is not None:
            check_range("optimiser.warmup_steps", self.warmup_steps, 0)
        if self.clip_norm is not None:
            check_range("optimiser.clip_norm", self.clip_norm, _SMALLEST, _LARGEST)

    def num_warmup_steps(self, total_steps: int) -> int:
        if self.warmup_steps is not None:
            return self.warmup_steps
        return int(self.warmup_fraction * total_steps)


def warmup_linear(
    peak: float, *, warmup_steps: int, total_steps: int
) -> optax.Schedule:
    """Linear from 0 to `peak` over the warm-up, then linear to 0 at `total_steps`.

    Update k (from 0) has peak * k / warmup_steps: the first update changes nothing,
    as in the published runs (Bugliarello et al., TACL 2021).

    Raises:
        UserError: the warm-up does not end before the training does.
    """
    if not 0 <= warmup_steps < total_steps:
        raise UserError(
            f"a warm-up of {warmup_steps} steps does not fit into a training of "
            f"{total_steps}; change warmup_steps, warmup_fraction or the length"
        )

    def learning_rate(update: jax.Array) -> jax.Array:
        rising = update / max(1, warmup_steps)
        falling = (total_steps - update) / (total_steps - warmup_steps)
        return peak * jnp.clip(jnp.where(update < warmup_steps, rising, falling), 0, 1)

    return learning_rate


def optimiser(
    config: OptimiserConfig,
    learning_rate: optax.Schedule,
    decayed: Mapping[str, bool],
) -> optax.GradientTransformation:
    """The update rule for a flat dict of parameters.

    Args:
        config: rates and arithmetic.
        learning_rate: by number of the update, from 0.
        decayed: by parameter path, whether weight decay applies (`is_decayed`).
    """
    clip = (
        optax.identity()
        if config.clip_norm is None
        else _clip_by_global_norm(config.clip_norm)
    )
    if config.arithmetic == "adamw":
        return optax.chain(
            clip,
            optax.adamw(
                learning_rate,
                b1=config.beta1,
                b2=config.beta2,
                eps=config.epsilon,
                weight_decay=config.weight_decay,
                mask=dict(decayed),
            ),
        )
    return optax.chain(
        clip,
        _scale_by_uncorrected_adam(config.beta1, config.beta2, config.epsilon),
        optax.scale_by_learning_rate(learning_rate),
        _decay_updated_parameters(learning_rate, config.weight_decay, decayed),
    )


def is_decayed(config: ModelConfig) -> dict[str, bool]:
    """By parameter path, whether the published recipe decays it."""
    return {
        path: not any(part in tensor.name for part in _NOT_DECAYED)
        for path, tensor in reference_names(config).items()
    }


def _clip_by_global_norm(largest: float) -> optax.GradientTransformation:
    """As in optax, by one factor: dividing each entry takes a pass over memory."""

    def update(gradients, state, params=None):
        del params
        norm = optax.tree.norm(gradients)
        factor = jnp.where(norm < largest, 1.0, largest / norm)
        return jax.tree.map(lambda g: factor * g, gradients), state

    return optax.GradientTransformation(optax.identity().init, update)


def _scale_by_uncorrected_adam(
    beta1: float, beta2: float, epsilon: float
) -> optax.GradientTransformation:
    """sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + epsilon), t from 1."""

    def init(params):
        zeros = jax.tree.map(jnp.zeros_like, params)
        return optax.ScaleByAdamState(
            count=jnp.zeros([], jnp.int32), mu=zeros, nu=zeros
        )

    def update(gradients, state, params=None):
        del params
        mu = optax.tree.update_moment(gradients, state.mu, beta1, 1)
        nu = optax.tree.update_moment(gradients, state.nu, beta2, 2)
        count = state.count + 1
        correction = jnp.sqrt(_bias(beta2, count)) / _bias(beta1, count)
        updates = jax.tree.map(
            lambda m, v: correction * m / (jnp.sqrt(v) + epsilon), mu, nu
        )
        return updates, optax.ScaleByAdamState(count=count, mu=mu, nu=nu)

    return optax.GradientTransformation(init, update)


def _bias(beta: float, count: jax.Array) -> jax.Array:
    """1 - beta^count; the difference itself loses 1e-5 of its value in float32."""
    return -jnp.expm1(count * math.log(beta))


def _decay_updated_parameters(
    learning_rate: optax.Schedule, weight_decay: float, decayed: Mapping[str, bool]
) -> optax.GradientTransformation:
    """p + u becomes (p + u) * (1 - learning rate * weight decay)."""

    def init(params):
        del params
        return optax.ScaleByScheduleState(count=jnp.zeros([], jnp.int32))

    def update(updates, state, params):
        shrink = learning_rate(state.count) * weight_decay
        updates = {
            path: u - shrink * (params[path] + u) if decayed[path] else u
            for path, u in updates.items()
        }
        return updates, optax.ScaleByScheduleState(count=state.count + 1)

    return optax.GradientTransformation(init, update)
