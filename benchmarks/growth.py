"""How time and memory grow: whole runs of `xabl ablate`, one process each."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.world import World, make_world
from xabl.ablation.keeping import say
from xabl.errors import UserError
from xabl.results.conditions import THRESHOLDS


def measure(
    folder: Path, model: Path, images: int, devices: int
) -> Iterator[dict[str, Any]]:
    """Facts of one run after the other: time by phase, peak memory of the host.

    Args:
        folder: where worlds, results and compiled programs go.
        images: most of a world.
        devices: the most of a run; two are tried in any case.

    Raises:
        UserError: a run fails.
    """
    worlds = {
        size: make_world(folder / f"world_{size}", num_images=size)
        for size in sorted({max(1, images // 4), max(1, images // 2), images})
    }
    half = max(1, images // 2)
    # The second of two equal runs finds its programs compiled.
    runs = [("models", number, half, THRESHOLDS, 1) for number in (1, 2)]
    runs += [("images", size, size, THRESHOLDS, 1) for size in worlds]
    runs += [
        ("conditions", 5 + count, half, THRESHOLDS[:count], 1) for count in (1, 5, 10)
    ]
    runs += [
        ("devices", count, half, THRESHOLDS, count) for count in sorted({1, 2, devices})
    ]
    for grows, size, images, thresholds, devices in runs:
        say(f"a whole run: {grows} {size}")
        facts = {"grows": grows, "size": size, "images": images, "devices": devices}
        flags = [f"--thresholds={','.join(map(str, thresholds))}"]
        flags += [f"--devices={devices}"]
        yield facts | whole_run(folder, model, worlds[images], flags, devices)


def whole_run(
    folder: Path, model: Path, world: World, flags: list[str], devices: int
) -> dict[str, Any]:
    """Seconds, by phase, and peak memory of the host of one `xabl ablate`.

    Args:
        folder: of its results, and of compiled programs.

    Raises:
        UserError: it fails.
    """
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(folder / "cache"),
        # A CPU is one device unless it is told to be more; they share its cores.
        "JAX_NUM_CPU_DEVICES": str(devices),
    }
    results = folder / "results"
    command = [
        *(sys.executable, "-m", "xabl", "ablate", f"--model={model}"),
        *(f"--entities={world.entities}", f"--regions={world.regions}"),
        *(f"--output={results}", "--overwrite", *flags),
    ]
    begin = time.perf_counter()
    root = Path(__file__).parent.parent
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, cwd=root
    )
    peak = _host_peak(process)
    seconds = time.perf_counter() - begin
    if process.returncode:
        raise UserError(f"xabl ablate ended with {process.returncode}")
    manifest = json.loads((results / "manifest.json").read_text())
    return {
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
