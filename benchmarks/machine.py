"""What was measured on, how fast it multiplies matrices, and where results go."""

import json
import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xabl.ablation import manifest
from xabl.atomic import new_file

RESULTS = Path(__file__).parent / "results"
_CPU_SIZES, _ACCELERATOR_SIZES = (512, 1024, 2048, 4096), (4096, 8192, 16384)
_SECONDS_A_SIZE = 1.0


def matrix_product_rate(dtype: Any, precision: str = "highest") -> float:
    """Operations per second of the best square matrix product on the first device.

    A product of two n x n matrices counts 2 n^3. The best of several sizes, each the
    mean over about a second of products one after the other: what is compared with it
    cannot pick its luckiest moments either.

    Args:
        dtype: of both factors and the product, e.g. `jnp.float32`.
        precision: as jax names it; "highest" is float32 throughout.
    """
    on_cpu = jax.local_devices()[0].platform == "cpu"
    sizes = _CPU_SIZES if on_cpu else _ACCELERATOR_SIZES
    return max(square_product_rate(size, dtype, precision) for size in sizes)


def square_product_rate(size: int, dtype: Any, precision: str = "highest") -> float:
    """Operations per second of `size` x `size` products, one after the other."""
    product = jax.jit(lambda a, b: jnp.matmul(a, b, precision=precision))
    values = np.random.default_rng(0).standard_normal((2, size, size), np.float32)
    factors = [jax.device_put(value.astype(dtype)) for value in values]
    product(*factors).block_until_ready()
    count, begin = 0, time.perf_counter()
    while (seconds := time.perf_counter() - begin) < _SECONDS_A_SIZE:
        product(*factors).block_until_ready()
        count += 1
    return 2 * size**3 * count / seconds


def machine() -> dict[str, Any]:
    """What numbers were measured on, and by which code."""
    device = jax.local_devices()[0]
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory / 1e9, 1),
        "device": f"{jax.local_device_count()} x {device.device_kind}",
        "platform": device.platform,
        "versions": manifest.versions(),
        "git_commit": manifest.git_commit(),
    }


def write_result(name: str, result: Mapping[str, Any]) -> Path:
    """Keeps a measurement as results/<name>_<date>.json; gives the path.

    A second one of the same name and day replaces the first.

    Args:
        name: e.g. "ablation_ctrl_uniter_base_cpu".
        result: JSON values; "date" and "machine" are added.
    """
    started = manifest.now()
    path = RESULTS / f"{name}_{started[:10]}.json"
    content = {"date": started, "machine": machine(), **result}
    with new_file(path, overwrite=True) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")
    return path


def _processor() -> str:
    """The name of the processor, as the system has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
