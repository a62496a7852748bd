"""How time and memory grow: whole runs of `xabl ablate`, one process each."""

import dataclasses
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jax

from benchmarks.world import World
from xabl.errors import UserError
from xabl.results.conditions import THRESHOLDS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """One run to measure.

    grows: what differs among the runs it belongs to, e.g. "images"; size: how many.
    images: of the world; thresholds: of vis4lang.
    """

    grows: str
    size: int
    images: int
    thresholds: tuple[float, ...] = THRESHOLDS
    devices: int = 1


def runs(images: int, devices: int) -> list[Run]:
    """What to measure, with worlds of at most `images` images."""
    half = max(1, images // 2)
    return [
        # The second of two equal runs finds its programs compiled.
        *(Run(grows="models", size=number, images=half) for number in (1, 2)),
        *(
            Run(grows="images", size=size, images=size)
            for size in sorted({max(1, images // 4), half, images})
        ),
        *(
            Run(
                grows="conditions",
                size=5 + count,
                images=half,
                thresholds=THRESHOLDS[:count],
            )
            for count in (1, 5, 10)
        ),
        *(
            Run(grows="devices", size=count, images=half, devices=count)
            for count in sorted({1, 2, devices})
        ),
    ]


def measure(
    run: Run, model: Path, world: World, cache: Path, *flags: str
) -> dict[str, Any]:
    """Time by phase and peak memory of the host of one run.

    Args:
        world: of `run.images` images.
        cache: a folder for what the user's cache folder holds otherwise.
        flags: more of them for `experiments.ablate`.

    Raises:
        UserError: the run fails.
    """
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(cache),
        # A CPU is one device unless it is told to be more; they share its cores.
        "JAX_NUM_CPU_DEVICES": str(run.devices),
    }
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        command = [
            sys.executable,
            "-m",
            "experiments.ablate",
            f"--model={model}",
            f"--entities={world.entities}",
            f"--regions={world.regions}",
            f"--thresholds={','.join(map(str, run.thresholds))}",
            f"--devices={run.devices}",
            f"--output={results}",
            *flags,
        ]
        begin = time.perf_counter()
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.DEVNULL,
            cwd=Path(__file__).parent.parent,
        )
        peak = _host_peak(process)
        seconds = time.perf_counter() - begin
        if process.returncode:
            raise UserError(f"xabl ablate ended with {process.returncode}")
        manifest = json.loads((results / "manifest.json").read_text())
    return {
        **dataclasses.asdict(run),
        "conditions": 5 + len(run.thresholds),
        "scored_inputs": manifest["scored"],
        "distinct_pairs": manifest["distinct"],
        "seconds": seconds,
        "seconds_by_phase": manifest["seconds_by_phase"],
        "host_peak_gb": peak,
    }


def _host_peak(process: subprocess.Popen) -> float | None:
    """Waits for a process; the most memory it had, None where the system is silent.

    (Not what `wait4` tells: that includes what this process had at the start.)
    """
    peak = None
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            status = ""
        # A peak so far: of the last look what counts. None after the process ended.
        found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
        peak = int(found[1]) * 1024 / 1e9 if found else peak
        time.sleep(0.05)
    return peak


def local_devices() -> int:
    """Accelerators here; 1 where there are none."""
    return 1 if jax.default_backend() == "cpu" else jax.local_device_count()
