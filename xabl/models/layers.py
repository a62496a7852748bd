"""The dense layer, LayerNorm and activations every part of the models is made of."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.experimental.layout import Layout, with_layout_constraint
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from xabl.models.config import ModelConfig


def _exact_gelu(x: jax.Array) -> jax.Array:
    # The tanh approximation, JAX's default, is off by 4.7e-4 per activation. Its exact
    # one, with erfc, takes twice as long as PyTorch's formula, which this is. In
    # bfloat16 the sum would lose what is near -1.
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return (wide * 0.5 * (1 + jax.lax.erf(wide * math.sqrt(0.5)))).astype(x.dtype)


ACTIVATION: dict[str, Callable[[jax.Array], jax.Array]] = {
    "gelu": _exact_gelu,
    "relu": jax.nn.relu,
    "swish": jax.nn.swish,
    "tanh": jnp.tanh,
}


class Numerics(nn.Module):
    """Base of all modules: the configuration and how to compute with it.

    Attributes:
        config: which model this is a part of.
        dtype: type of activations and matrix products; parameters, softmax and the
            statistics of LayerNorm are float32 whatever it is.
        precision: of matrix products, as `jax.lax.Precision` names them. "highest"
            is needed for parity on accelerators, whose default is TF32 or bfloat16.
    """

    config: ModelConfig
    dtype: DTypeLike = jnp.float32
    precision: str = "highest"

    @property
    def wide_dtype(self) -> jnp.dtype:
        """Of softmax and logits: float32, or float64 in a model of float64."""
        return jnp.promote_types(self.dtype, jnp.float32)

    @property
    def product_dtype(self) -> jnp.dtype | None:
        """Type in which products are summed and returned; None: that of their factors.

        For bfloat16 on CPUs it is float32: their bfloat16 instructions return float32,
        and are not used for a product that is to return bfloat16. Accelerators sum in
        float32 in any case; returning float32 makes a layer take 1.26 times as long on
        an H100.
        """
        narrow = jnp.dtype(self.dtype) == jnp.bfloat16
        on_cpu = jax.default_backend() == "cpu"
        return jnp.dtype(jnp.float32) if narrow and on_cpu else None

    def product(self, left: jax.Array, right: jax.Array) -> jax.Array:
        """`jnp.matmul`, of `product_dtype`; a matrix times all rows of an array."""
        if right.ndim == 2 and left.ndim != 2:
            # As one matrix: its gradient is then one product too. Of rows on several
            # axes XLA would first copy a factor on a CPU.
            product = self.product(left.reshape(-1, left.shape[-1]), right)
            return product.reshape(*left.shape[:-1], -1)
        return jnp.matmul(
            left,
            right,
            precision=self.precision,
            preferred_element_type=self.product_dtype,
        )

    def dense(self, width: int) -> nn.Dense:
        return nn.Dense(
            width,
            dtype=self.dtype,
            dot_general=lambda states, kernel, *_, **__: self.product(
                states, kernel
            ).astype(self.dtype),
            kernel_init=nn.initializers.normal(self.config.initializer_range),
        )

    def layer_norm(self) -> nn.LayerNorm:
        # Linen's own defaults (1e-6, one-pass variance) are off by up to 0.11.
        return nn.LayerNorm(
            epsilon=self.config.layer_norm_eps,
            use_fast_variance=False,
            dtype=self.dtype,
        )

    def embed_table(self, rows: int, width: int) -> nn.Embed:
        # Summed in bfloat16, gradients of rows that are looked up thousands of times
        # ([PAD], token types) would lose most of their small terms. So rows are looked
        # up in float32 and rounded afterwards: gradients are then summed in float32.
        narrow = jnp.dtype(self.dtype) == jnp.bfloat16
        return nn.Embed(
            rows,
            width,
            dtype=None if narrow else self.dtype,
            embedding_init=nn.initializers.normal(self.config.initializer_range),
        )

    def part(self, module: type["Numerics"], **attributes) -> "Numerics":
        """A submodule that computes as this one does."""
        return module(
            self.config, dtype=self.dtype, precision=self.precision, **attributes
        )


def split_heads(
    projected: Float[Array, "batch positions width"], heads: int
) -> Float[Array, "batch positions heads head_size"]:
    return projected.reshape(*projected.shape[:-1], heads, -1)


def row_major(array: jax.Array) -> jax.Array:
    """The array in row-major layout, which it always has on a CPU.

    On an H100, XLA chose the positions as the innermost axis of all hidden states: two
    transpositions per sublayer, and LayerNorm in five kernels instead of one.
    """
    if jax.default_backend() == "cpu":
        return array
    return with_layout_constraint(array, Layout(tuple(range(array.ndim))))
