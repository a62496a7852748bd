"""What a run says while it goes on: a terminal line, metrics.jsonl, TensorBoard."""

import contextlib
import dataclasses
import json
import math
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path

import jax

from xabl.errors import UserError
from xabl.pretraining.train_step import Metrics
from xabl.support.atomic import new_file

METRICS_FILE = "metrics.jsonl"
_STEPS_AHEAD = 2  # more would hold more batches on the devices, and gain nothing


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scale:
    """What turns steps into speeds.

    first_step, total_steps: of this process.
    batch_size: over all hosts.
    flops: arithmetic operations of the matrix products of one update, all devices.
    """

    first_step: int
    total_steps: int
    batch_size: int
    flops: float


class Reports:
    """Takes every step's metrics, and reads them when it costs no waiting.

    Line kinds of metrics.jsonl, by their "kind": "train" (every update), "speed" (every
    report), "validation" and "ablation". "step" is the number of updates made.
    """

    def __init__(self, workdir: Path, scale: Scale):
        """Drops the lines of updates that were made after the last checkpoint.

        Only the first host writes; the others check for NaN all the same.
        """
        self._scale = scale
        self._waiting: deque[tuple[int, Metrics]] = deque()
        self._since = (scale.first_step, time.monotonic())
        self._last: dict[str, float] = {}
        self._lines = self._events = None
        if jax.process_index() == 0:
            from tensorboardX import SummaryWriter  # a third of a second

            path = workdir / METRICS_FILE
            keep_lines_until(path, scale.first_step)
            self._lines = path.open("a", encoding="utf-8")
            self._events = SummaryWriter(
                str(workdir / "tensorboard"), purge_step=scale.first_step + 1
            )

    def add(self, step: int, metrics: Metrics) -> None:
        """One more update has been started; waits until few are unfinished."""
        self._waiting.append((step, metrics))
        if len(self._waiting) > _STEPS_AHEAD:
            self._waiting[-1 - _STEPS_AHEAD][1].loss.block_until_ready()

    def flush(self) -> None:
        """Reads and writes what was added.

        Raises:
            UserError: a loss or a gradient is not a finite number.
        """
        for step, metrics in jax.device_get(list(self._waiting)):
            values = _flat(metrics)
            self._last = values
            if not all(math.isfinite(value) for value in values.values()):
                raise UserError(
                    f"not a finite number in update {step}: "
                    + ", ".join(f"{name} {value:g}" for name, value in values.items())
                )
            self._line("train", step, values)
        self._waiting.clear()

    def report(self, step: int) -> None:
        """Also says how fast it goes and how long it still takes."""
        self.flush()
        now = time.monotonic()
        before, then = self._since
        self._since = (step, now)
        per_second = (step - before) / max(now - then, 1e-9)
        speed = {
            "steps_per_second": per_second,
            "examples_per_second": per_second * self._scale.batch_size,
            "gflops_per_second": per_second * self._scale.flops / 1e9,
        }
        self.write("speed", step, speed)
        self._draw("train", step, self._last)
        left = (self._scale.total_steps - step) / max(per_second, 1e-9)
        parts = [
            f"{name} {value:.4f}"
            for name, value in self._last.items()
            if name not in ("loss", "gradient_norm", "learning_rate")
        ]
        self.say(
            f"step {step}/{self._scale.total_steps}  loss {self._last['loss']:.4f} "
            f"({', '.join(parts)})  {per_second:.3g} steps/s  "
            f"{speed['gflops_per_second']:.3g} GFLOP/s  {_duration(left)} left"
        )

    def write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """A line of metrics.jsonl, and the numbers to TensorBoard."""
        self._line(kind, step, values)
        self._draw(kind, step, values)

    def _line(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        if self._lines is not None:
            line = json.dumps({"kind": kind, "step": step, **values})
            self._lines.write(line + "\n")

    def _draw(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        if self._events is not None:
            for name, value in values.items():
                self._events.add_scalar(f"{kind}/{name}", value, step)

    def say(self, line: str) -> None:
        """A line on the terminal of the first host."""
        if jax.process_index() == 0:
            print(line, file=sys.stderr, flush=True)

    def sync(self) -> None:
        """Lines reach the disk, before the checkpoint that they belong to."""
        if self._lines is not None:
            self._lines.flush()
            self._events.flush()

    @contextlib.contextmanager
    def not_training(self) -> Iterator[None]:
        """The time in the block (validation, export) counts for no speed."""
        start = time.monotonic()
        yield
        step, since = self._since
        self._since = (step, since + time.monotonic() - start)

    def close(self) -> None:
        if self._lines is not None:
            self._lines.close()
            self._events.close()


def keep_lines_until(path: Path, step: int) -> None:
    """Drops lines of later steps, and a last line that was cut off."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, KeyError, TypeError):
            continue
    with new_file(path, overwrite=True) as temporary:
        temporary.write_text("".join(kept), encoding="utf-8")


def _flat(metrics: Metrics) -> dict[str, float]:
    """The loss, its parts as means, and the rest, by name."""
    parts = {
        kind: float(metrics.sums[kind]) / max(1.0, float(metrics.counts[kind]))
        for kind in metrics.sums
    }
    return {
        "loss": float(metrics.loss),
        **parts,
        "gradient_norm": float(metrics.gradient_norm),
        "learning_rate": float(metrics.learning_rate),
    }


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
