"""Measures the rate and the error of the ways to multiply float32 matrices.

Example:

  python -m benchmarks.products --size=8192
"""

import time

from absl import flags

from xabl.support import binary

_SIZE = flags.DEFINE_integer("size", 8192, "rows and columns", lower_bound=64)
# As JAX names them; bfloat16 rounds the factors first.
_WAYS = (
    "highest",
    "default",
    "TF32_TF32_F32_X3",
    "BF16_BF16_F32_X3",
    "BF16_BF16_F32_X6",
    "BF16_BF16_F32_X9",
    "bfloat16",
)
_REPEATS = 20


def main() -> None:
    import jax
    import jax.numpy as jnp
    import numpy as np

    from benchmarks.report import text

    size = _SIZE.value
    factors = jax.random.normal(jax.random.key(0), (2, size, size), jnp.float32)
    some = np.asarray(factors[0, :64], np.float64), np.asarray(factors[1, :, :64])
    exact = some[0] @ some[1].astype(np.float64)
    found = []
    for way in _WAYS:
        in_bfloat16 = way == "bfloat16"
        a, b = factors.astype(way) if in_bfloat16 else factors
        precision = "default" if in_bfloat16 else way
        product = jax.jit(lambda a, b, p=precision: jnp.matmul(a, b, precision=p))
        try:
            result = product(a, b).block_until_ready()
        except (ValueError, jax.errors.JaxRuntimeError):
            found.append({"way": way})  # not every device has every algorithm
            continue
        begin = time.perf_counter()
        for _ in range(_REPEATS):
            result = product(a, b)
        result.block_until_ready()
        seconds = (time.perf_counter() - begin) / _REPEATS
        difference = np.asarray(result[:64, :64], np.float64) - exact
        relative = float(np.linalg.norm(difference) / np.linalg.norm(exact))
        rate = 2 * size**3 / seconds / 1e12
        found.append({"way": way, "tflop_per_second": rate, "relative_error": relative})
    print(text({"size": size, "ways": found}))


if __name__ == "__main__":
    binary.run(main)
