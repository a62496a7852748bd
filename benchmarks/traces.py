"""What a device did while a function ran, as text: kernels by time, and idle time."""

import collections
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

_KERNELS = 25  # listed


def traced(run: Callable[[], None]) -> dict[str, Any]:
    """Runs a function that waits for its results, and sums up the trace of it.

    Returns:
        span_ms: from the first kernel's start to the last one's end. idle_share: of
        it, when nothing ran. kernel_ms: of the most expensive, by name without
        numbers.
    """
    with tempfile.TemporaryDirectory() as folder:
        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = 0
        with jax.profiler.trace(folder, profiler_options=options):
            run()
        (file,) = Path(folder).rglob("*.xplane.pb")
        return _summary(jax.profiler.ProfileData.from_file(str(file)))


def _summary(profile: Any) -> dict[str, Any]:
    events = [
        (event.name, event.start_ns, event.duration_ns)
        for line in _lines(profile)
        for event in line.events
        if event.duration_ns
    ]
    if not events:
        return {"span_ms": 0.0, "idle_share": 1.0}
    milliseconds = collections.Counter()
    for name, _, duration in events:
        name = re.sub(r"[._]?\d+$", "", name)[:120]
        milliseconds[name] += duration / 1e6
    begin = min(start for _, start, _ in events)
    end = max(start + duration for _, start, duration in events)
    busy = _covered([(start, start + duration) for _, start, duration in events])
    return {
        "span_ms": (end - begin) / 1e6,
        "idle_share": 1 - busy / (end - begin),
        "kernel_ms": dict(milliseconds.most_common(_KERNELS)),
    }


def _lines(profile: Any) -> list[Any]:
    """Of the first device: its streams; on a CPU the threads that compute."""
    planes = list(profile.planes)
    for plane in planes:
        if plane.name.startswith("/device:"):
            lines = list(plane.lines)
            streams = [line for line in lines if line.name.startswith("Stream")]
            return streams or lines
    return [
        line
        for plane in planes
        if plane.name == "/host:CPU"
        for line in plane.lines
        if "XLA" in line.name
    ]


def _covered(spans: list[tuple[float, float]]) -> float:
    """Length of the union."""
    total, until = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total
