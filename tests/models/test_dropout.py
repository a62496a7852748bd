"""Our dropout against that of flax, our bits against those of JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from xabl.models.dropout import Dropout, keep

pytestmark = pytest.mark.usefixtures("quick_compilation")

KEYS = jax.random.split(jax.random.key(5), 3)


@pytest.mark.parametrize("rate", [0.9, 0.5, 1 / 3, 0.999999])
def test_bits_are_those_of_jax(rate):
    found = keep(KEYS, rate, (3, 5, 400))
    for key, kept in zip(KEYS, found, strict=True):
        expected = jax.random.bernoulli(key, rate, (5, 400))
        np.testing.assert_array_equal(kept, expected)
        np.testing.assert_array_equal(keep(key, rate, (5, 400)), expected)


def test_one_key_drops_what_flax_drops():
    values = jnp.arange(1.0, 401.0).reshape(4, 100)
    for rate in (0.1, 0.7):
        rngs = {"dropout": KEYS[0]}
        ours = Dropout(rate).apply({}, values, deterministic=False, rngs=rngs)
        theirs = nn.Dropout(rate).apply({}, values, deterministic=False, rngs=rngs)
        np.testing.assert_array_equal(ours, theirs)
        assert 0 < jnp.sum(ours == 0) < values.size
