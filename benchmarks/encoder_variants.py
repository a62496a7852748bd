"""Ways to compute an encoder layer, each timed and compared with float32.

What the models' own code does is the first of them; the others change one thing each,
so that a choice in `xabl/models` rests on a number. Layers are BERT's, of the width of
the base models; parameters and inputs are drawn at random.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xabl.models.layers import ACTIVATION

_LAYERS = 3  # as many as are compiled quickly; all are alike
_REPEATS = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """One way. The defaults are those of `xabl.models` in bfloat16 on accelerators.

    wide: products give float32, rounded after the bias.
    attention: "moved" (keys and values laid out for products, as the models have it),
        "einsum" (left as they come), "cudnn".
    joined: queries, keys and values by one product.
    gelu: "gelu" (exact), "tanh" (approximated; for the cost alone).
    scan: layers as a loop.
    options: of the compiler.
    """

    name: str
    dtype: str = "bfloat16"
    precision: str = "default"
    wide: bool = False
    attention: str = "moved"
    joined: bool = False
    gelu: str = "gelu"
    one_pass_norm: bool = False
    scan: bool = False
    batch: int = 512
    positions: int = 52
    layers: int = _LAYERS
    options: tuple[tuple[str, Any], ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Width:
    """Of a layer."""

    hidden: int = 768
    inner: int = 3072
    heads: int = 12


_NO_TRITON = (("xla_gpu_enable_triton_gemm", False),)
_NO_TUNING = (*_NO_TRITON, ("xla_gpu_autotune_level", 0))

VARIANTS = (
    Variant(name="as the models"),
    Variant(name="cudnn attention", attention="cudnn"),
    Variant(name="cudnn, joined", attention="cudnn", joined=True),
    Variant(name="wide products", wide=True),
    Variant(name="einsum attention", attention="einsum"),
    Variant(name="joined", joined=True),
    Variant(name="tanh gelu", gelu="tanh"),
    Variant(name="one-pass norm", one_pass_norm=True),
    Variant(name="no triton", options=_NO_TRITON),
    Variant(name="no tuning", options=_NO_TUNING),
    Variant(name="batch 256", batch=256),
    Variant(name="batch 1024", batch=1024),
    Variant(name="batch 2048", batch=2048),
    Variant(name="51 positions, cudnn", positions=51, attention="cudnn"),
    Variant(name="64 positions", positions=64),
    Variant(name="highest", dtype="float32", precision="highest"),
    Variant(name="default", dtype="float32"),
    *(
        Variant(name=name, dtype="float32", precision=name)
        for name in ("TF32_TF32_F32_X3", "BF16_BF16_F32_X6", "BF16_BF16_F32_X9")
    ),
    Variant(name="12 layers", layers=12),
    Variant(name="12 layers, no triton", layers=12, options=_NO_TRITON),
    Variant(name="12 layers, no tuning", layers=12, options=_NO_TUNING),
    Variant(name="12 layers, scan", layers=12, scan=True),
    Variant(name="12 layers, cudnn", layers=12, attention="cudnn"),
    Variant(name="12 layers, cudnn, 50", layers=12, attention="cudnn", positions=50),
)


def measure(width: Width, variants: tuple[Variant, ...]) -> Iterator[dict[str, Any]]:
    """Facts of one variant after the other; a failure is a fact too."""
    exact: dict[tuple, np.ndarray] = {}
    for variant in variants:
        try:
            yield _measured(width, variant, exact)
        except Exception as error:  # of the compiler, the library, or for memory
            yield {"name": variant.name, "error": str(error)[:300]}


def _measured(width: Width, variant: Variant, exact: dict) -> dict[str, Any]:
    layers = _layers(width, variant.layers)
    states, mask = _inputs(width, variant)
    size = (variant.layers, variant.batch, variant.positions)
    # A reference of every size would take longer than what it is for.
    if not exact:
        reference = dataclasses.replace(
            VARIANTS[0], dtype="float32", precision="highest"
        )
        run = jax.jit(_stack(width, reference))
        exact[size] = np.asarray(run(_cast(layers, "float32"), states, mask)[:16])
    arguments = _cast(layers, variant.dtype), states.astype(variant.dtype), mask
    begin = time.perf_counter()
    lowered = jax.jit(_stack(width, variant)).lower(*arguments)
    program = lowered.compile(compiler_options=dict(variant.options))
    compiling = time.perf_counter() - begin
    result = jax.block_until_ready(program(*arguments))
    seconds = _seconds(program, arguments)
    operations = _operations(width, variant)
    memory = program.memory_analysis()
    difference = None
    if size in exact:
        ours = np.asarray(result[:16].astype(jnp.float32))
        difference = float(np.sqrt(np.mean((ours - exact[size]) ** 2)))
    return {
        "name": variant.name,
        "compile_seconds": compiling,
        "ms_a_layer": seconds * 1e3 / variant.layers,
        "tflop_per_second": operations / seconds / 1e12,
        "difference": difference,
        "temporary_gb": memory and memory.temp_size_in_bytes / 1e9,
    }


def _seconds(program: Callable, arguments: tuple) -> float:
    """Of one call, the best of three rounds."""
    rounds = []
    for _ in range(3):
        begin = time.perf_counter()
        for _ in range(_REPEATS):
            result = program(*arguments)
        result.block_until_ready()
        rounds.append((time.perf_counter() - begin) / _REPEATS)
    return min(rounds)


def _operations(width: Width, variant: Variant) -> float:
    """Of the matrix products."""
    rows = variant.batch * variant.positions
    dense = 8 * width.hidden**2 + 4 * width.hidden * width.inner
    attention = 4 * variant.positions * width.hidden
    return variant.layers * rows * (dense + attention)


def _layers(width: Width, count: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    hidden, inner = width.hidden, width.inner
    shapes = {name: (hidden, hidden) for name in ("query", "key", "value", "output")}
    shapes |= {"up": (hidden, inner), "down": (inner, hidden)}
    return [
        {
            name: (
                0.05 * rng.standard_normal(shape, np.float32),
                0.02 * rng.standard_normal(shape[1], np.float32),
            )
            for name, shape in shapes.items()
        }
        for _ in range(count)
    ]


def _cast(layers: list, dtype: str) -> list:
    return jax.tree.map(lambda x: jnp.asarray(x).astype(dtype), layers)


def _inputs(width: Width, variant: Variant) -> tuple[jax.Array, jax.Array]:
    """States, and which positions are real: the first words are, of 15."""
    shape = (variant.batch, variant.positions, width.hidden)
    states = jax.random.normal(jax.random.key(0), shape, jnp.float32)
    lengths = jax.random.randint(jax.random.key(1), shape[:1], 8, 16)
    numbers = jnp.arange(variant.positions)
    return states, (numbers < lengths[:, None]) | (numbers >= 15)


def _stack(width: Width, variant: Variant) -> Callable:
    def run(layers, states, mask):
        if not variant.scan:
            for layer in layers:
                states = _layer(width, variant, layer, states, mask)
            return states
        stacked = jax.tree.map(lambda *x: jnp.stack(x), *layers)

        def step(states, layer):
            return _layer(width, variant, layer, states, mask), None

        return jax.lax.scan(step, states, stacked)[0]

    return run


def _layer(width: Width, variant: Variant, layer: dict, states, mask) -> jax.Array:
    def dense(x, *names):
        kernels, biases = zip(*(layer[name] for name in names), strict=True)
        kernel = jnp.concatenate(kernels, axis=1) if names[1:] else kernels[0]
        bias = jnp.concatenate(biases) if names[1:] else biases[0]
        wide = jnp.float32 if variant.wide else None
        y = jnp.matmul(
            x, kernel, precision=variant.precision, preferred_element_type=wide
        )
        return (y + bias).astype(variant.dtype)

    heads = (*states.shape[:2], width.heads, -1)
    if variant.joined:
        three = jnp.split(dense(states, "query", "key", "value"), 3, axis=-1)
    else:
        three = (dense(states, name) for name in ("query", "key", "value"))
    query, key, value = (x.reshape(heads) for x in three)
    context = _ATTENTION[variant.attention](query, key, value, mask, variant)
    update = dense(context.reshape(states.shape), "output")
    states = _norm(update + states, variant)
    inner = dense(states, "up")
    inner = jax.nn.gelu(inner) if variant.gelu == "tanh" else ACTIVATION["gelu"](inner)
    return _norm(dense(inner, "down") + states, variant)


def _norm(x, variant: Variant) -> jax.Array:
    wide = x.astype(jnp.float32)
    mean = wide.mean(-1, keepdims=True)
    if variant.one_pass_norm:
        variance = (wide * wide).mean(-1, keepdims=True) - mean * mean
    else:
        variance = ((wide - mean) ** 2).mean(-1, keepdims=True)
    return ((wide - mean) * jax.lax.rsqrt(variance + 1e-12)).astype(x.dtype)


def _moved(query, key, value, mask, variant: Variant):
    wide = jnp.float32 if variant.wide else None
    products = {"precision": variant.precision, "preferred_element_type": wide}
    key, value = jnp.moveaxis(key, 1, 3), jnp.moveaxis(value, 1, 2)
    query = jnp.moveaxis(query, 1, 2) / np.sqrt(query.shape[-1]).astype(query.dtype)
    scores = jnp.matmul(query, key, **products).astype(jnp.float32)
    scores += jnp.where(mask, 0.0, -10000.0)[:, None, None]
    weights = jax.nn.softmax(scores, axis=-1).astype(value.dtype)
    return jnp.moveaxis(jnp.matmul(weights, value, **products), 1, 2).astype(
        value.dtype
    )


def _einsum(query, key, value, mask, variant: Variant):
    options = {"precision": variant.precision}
    query = query / np.sqrt(query.shape[-1]).astype(query.dtype)
    scores = jnp.einsum("bqhd,bkhd->bhqk", query, key, **options).astype(jnp.float32)
    scores += jnp.where(mask, 0.0, -10000.0)[:, None, None]
    weights = jax.nn.softmax(scores, axis=-1).astype(value.dtype)
    return jnp.einsum("bhqk,bkhd->bqhd", weights, value, **options)


def _cudnn(query, key, value, mask, variant: Variant):
    del variant
    bias = jnp.where(mask, 0.0, -10000.0)[:, None, None].astype(query.dtype)
    bias = jnp.broadcast_to(bias, (len(mask), 1, mask.shape[1], mask.shape[1]))
    on_cpu = jax.default_backend() == "cpu"
    return jax.nn.dot_product_attention(
        query, key, value, bias, implementation="xla" if on_cpu else "cudnn"
    )


_ATTENTION = {"moved": _moved, "einsum": _einsum, "cudnn": _cudnn}


def square_products(sizes: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    """Rate and error of the ways to multiply float32 matrices, and of bfloat16."""
    for size in sizes:
        a, b = jax.random.normal(jax.random.key(2), (2, size, size), jnp.float32)
        reference = np.asarray(a[:64], np.float64) @ np.asarray(b[:, :64], np.float64)
        ways = ["highest", "default", "TF32_TF32_F32_X3", "BF16_BF16_F32_X3"]
        ways += ["BF16_BF16_F32_X6", "BF16_BF16_F32_X9", "bfloat16"]
        for way in ways:
            try:
                yield {"size": size, "way": way, **_square(way, a, b, reference)}
            except Exception as error:
                yield {"size": size, "way": way, "error": str(error)[:200]}


def _square(way: str, a, b, reference) -> dict[str, float]:
    if way == "bfloat16":
        a, b, way = a.astype(way), b.astype(way), "default"
    program = jax.jit(lambda a, b: jnp.matmul(a, b, precision=way))
    begin = time.perf_counter()
    result = jax.block_until_ready(program(a, b))
    first = time.perf_counter() - begin
    seconds = _seconds(program, (a, b))
    error = np.asarray(result[:64, :64], np.float64) - reference
    return {
        "first_seconds": first,
        "tflop_per_second": 2 * len(a) ** 3 / seconds / 1e12,
        "relative_error": float(np.linalg.norm(error) / np.linalg.norm(reference)),
    }
