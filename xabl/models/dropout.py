"""Dropout that draws for every example by a key of its own, and draws quickly."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.core.scope import LazyRng
from jaxtyping import Array, Bool, Key

_COLLECTION = "dropout"


def key_of_each_example(keys: Key[Array, " batch"]) -> dict[str, LazyRng]:
    """As `rngs` of a model: what an example loses depends on its own key alone.

    So it is the same however a batch is divided. (`jax.vmap` over examples would do
    that too, but hides from XLA that their rows are one matrix: on a CPU it then copies
    the factors of every gradient of a kernel.)
    """
    return {_COLLECTION: LazyRng.create(keys)}


class Dropout(nn.Module):
    """`nn.Dropout`: the same entries for the same key, and keys of examples."""

    rate: float

    def __call__(self, values: jax.Array, *, deterministic: bool) -> jax.Array:
        if deterministic or self.rate == 0:
            return values
        kept = keep(self._keys(), 1 - self.rate, values.shape)
        return jnp.where(kept, values / (1 - self.rate), jnp.zeros_like(values))

    def _keys(self) -> Key[Array, "*batch"]:
        """Of this call: one, or one for each example."""
        scope = self.scope
        if scope.has_rng(_COLLECTION) and scope.rngs[_COLLECTION].rng.shape:
            scope.rng_counters[_COLLECTION] += 1
            rng = LazyRng.create(
                scope.rngs[_COLLECTION], scope.rng_counters[_COLLECTION]
            )
            return jax.vmap(LazyRng.as_jax_rng)(rng)
        return self.make_rng(_COLLECTION)


def keep(
    keys: Key[Array, "*batch"], rate: float, shape: tuple[int, ...]
) -> Bool[Array, "..."]:
    """Which entries stay: `jax.random.bernoulli(key, rate, rest)` of every key.

    Args:
        keys: one, or one for each entry of the first axis.
        rate: probability of staying.
        shape: of the result; begins with that of `keys`.
    """
    words = jnp.moveaxis(jax.random.key_data(keys), -1, 0)[..., None]
    rest = math.prod(shape[keys.ndim :])
    bits = _threefry(words[0], words[1], jnp.arange(rest, dtype=jnp.uint32))
    # A float32 of 23 random bits is compared with the rate; these are the same numbers.
    kept = (bits >> 9) < math.ceil(float(np.float32(rate)) * 2**23)
    # Without the barrier every kernel that needs it would draw it again.
    return jax.lax.optimization_barrier(kept.reshape(shape))


def _threefry(first: jax.Array, second: jax.Array, count: jax.Array) -> jax.Array:
    """32 bits a count, as `jax.random.bits` draws them (Salmon et al., SC 2011).

    On a CPU JAX makes the rounds a loop, whose state is written to memory five times;
    written out, they are one kernel.
    """
    words = (first, second, first ^ second ^ np.uint32(0x1BD11BDA))
    left, right = first, count + second
    for number in range(5):
        for rotation in ((13, 15, 26, 6), (17, 29, 16, 24))[number % 2]:
            left = left + right
            right = left ^ (right << rotation | right >> (32 - rotation))
        left = left + words[(number + 1) % 3]
        right = right + words[(number + 2) % 3] + np.uint32(number + 1)
    return left ^ right
