"""The learning rate of each update."""

import jax
import jax.numpy as jnp
import optax

from xabl.errors import UserError


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
