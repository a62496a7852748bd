"""The machine: what it is, how fast it multiplies matrices; where results go."""

import json
import os
import platform
import resource
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xabl.support import provenance
from xabl.support.atomic import new_file

_RESULTS = Path(__file__).parent / "results"
_CPU_SIZES, _ACCELERATOR_SIZES = (512, 1024, 2048, 4096), (4096, 8192)
_SECONDS_A_SIZE = 0.25


class MatrixProducts:
    """Square matrix products of several sizes, timed in turns with something else.

    A machine is not equally fast all the time. Spread over the same minutes, both
    meet the same good and bad moments.
    """

    def __init__(self, dtype: Any, precision: str = "highest"):
        """Compiles.

        Args:
            dtype: of both factors and the product, e.g. "float32".
            precision: as jax names it; "highest" is float32 throughout.
        """
        on_cpu = jax.local_devices()[0].platform == "cpu"
        # An accelerator would wait for the host between products of milliseconds.
        self._at_once = 1 if on_cpu else 16
        self._product = jax.jit(lambda a, b: jnp.matmul(a, b, precision=precision))
        self._factors, self._count, self._seconds = {}, {}, {}
        self._processor_seconds = {}
        for size in _CPU_SIZES if on_cpu else _ACCELERATOR_SIZES:
            values = jax.random.normal(jax.random.key(0), (2, size, size), jnp.float32)
            self._factors[size] = list(values.astype(dtype))
            self._product(*self._factors[size]).block_until_ready()
            self._count[size], self._seconds[size] = 0, 0.0
            self._processor_seconds[size] = 0.0

    def take_turn(self) -> None:
        """Times a quarter of a second of products of each size."""
        for size, factors in self._factors.items():
            begin, seconds = time.perf_counter(), 0.0
            processor_begin = time.process_time()
            while seconds < _SECONDS_A_SIZE:
                for _ in range(self._at_once):
                    product = self._product(*factors)
                product.block_until_ready()
                self._count[size] += self._at_once
                seconds = time.perf_counter() - begin
            self._seconds[size] += seconds
            self._processor_seconds[size] += time.process_time() - processor_begin

    @property
    def rate(self) -> float:
        """Operations per second over all turns, of the size that is best.

        A product of two n x n matrices counts 2 n^3.
        """
        return self._best(self._seconds)

    @property
    def rate_of_a_core(self) -> float:
        """Likewise, per second of this process on a core.

        Processes on the same cores change it little. Says nothing of an accelerator.
        """
        return self._best(self._processor_seconds)

    def _best(self, seconds: Mapping[int, float]) -> float:
        return max(
            2 * size**3 * count / seconds[size] for size, count in self._count.items()
        )


def matrix_product_rate(dtype: Any, precision: str = "highest") -> float:
    """`MatrixProducts.rate` of four turns, one after the other."""
    products = MatrixProducts(dtype, precision)
    for _ in range(4):
        products.take_turn()
    return products.rate


class OtherProcesses:
    """How much of the processor other processes have had since this was made.

    Rates that are measured beside them are too low.
    """

    def __init__(self):
        self._begin = self._now()

    @property
    def share(self) -> float | None:
        """Of all cores' time, 0 ... 1; None where the system does not say."""
        return self.share_besides(0.0)

    def share_besides(self, core_seconds: float) -> float | None:
        """The share that is left when some seconds of other processes belong to us."""
        if self._begin is None:
            return None
        wall, own, busy = np.subtract(self._now(), self._begin)
        cores = os.cpu_count() or 1
        return float(max(0.0, busy - own - core_seconds) / (wall * cores))

    @staticmethod
    def _now() -> tuple[float, float, float] | None:
        """Seconds: of the clock, of this process, of all processes."""
        try:
            first = Path("/proc/stat").read_text().splitlines()[0].split()
        except OSError:
            return None
        user, nice, system, _, _, *interrupts_and_stolen = map(int, first[1:9])
        ticks = user + nice + system + sum(interrupts_and_stolen)
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return (
            time.perf_counter(),
            usage.ru_utime + usage.ru_stime,
            ticks / os.sysconf("SC_CLK_TCK"),
        )


def device_peak_gb(devices: Iterable[jax.Device]) -> float | None:
    """Most memory in use at once on any device; None where JAX does not know it."""
    peaks = [(d.memory_stats() or {}).get("peak_bytes_in_use") for d in devices]
    return None if None in peaks else max(peaks) / 1e9


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
        "versions": provenance.versions(),
        "git_commit": provenance.git_commit(),
    }


def write_result(name: str, result: Mapping[str, Any], folder: str | None) -> Path:
    """Keeps a measurement as <folder>/<name>_<platform>_<date>.json; gives the path.

    A second one of the same name and day replaces the first.

    Args:
        name: e.g. "ablation_ctrl_uniter_base".
        result: JSON values; "date" and "machine" are added.
        folder: benchmarks/results by default.
    """
    started, about = provenance.now(), machine()
    file = f"{name}_{about['platform']}_{started[:10]}.json"
    path = Path(folder or _RESULTS) / file
    content = {"date": started, "machine": about, **result}
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
