"""What a run reports: lines on the terminal, metrics.jsonl, TensorBoard."""

import contextlib
import json
import math
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import jax

from xabl.errors import UserError
from xabl.pretraining.train_step import Metrics
from xabl.support.atomic import new_file
from xabl.support.files import read_bytes

_STEPS_AHEAD = 2  # more would hold more batches on the devices and gain nothing


class Reports:
    """Collects the metrics of every update; reads them without stopping the devices.

    A context manager. Kinds of lines in metrics.jsonl, by their "kind": "train" (every
    update), "speed" (every report), "validation" and "ablation". "step" is the number
    of updates made. Only the first host writes; all hosts check for NaN.
    """

    def __init__(
        self,
        workdir: Path,
        *,
        first_step: int,
        total_steps: int,
        batch_size: int,
        flops: float,
    ):
        """Opens the files; drops lines of updates after the last checkpoint.

        Args:
            workdir: folder of the run.
            first_step: updates made before.
            total_steps: updates of the whole run.
            batch_size: examples of an update, over all hosts.
            flops: arithmetic of an update's matrix products, over all devices.
        """
        self._total_steps, self._batch_size = total_steps, batch_size
        self._flops = flops
        self._waiting: deque[tuple[int, Metrics]] = deque()
        self._since = (first_step, time.monotonic())
        self._last: dict[str, float] = {}
        self._lines = self._events = None
        if jax.process_index() == 0:
            from tensorboardX import SummaryWriter  # a third of a second

            path = workdir / "metrics.jsonl"
            _keep_lines_until(path, first_step)
            self._lines = path.open("a", encoding="utf-8")
            folder = str(workdir / "tensorboard")
            self._events = SummaryWriter(folder, purge_step=first_step + 1)

    def __enter__(self) -> "Reports":
        return self

    def __exit__(self, kind: type | None, *exception: object) -> None:
        if self._lines is None:
            return
        # On a full disk the first error is the one to report.
        with contextlib.suppress(OSError) if kind else contextlib.nullcontext():
            try:
                self._lines.close()
            finally:
                self._events.close()

    def add(self, step: int, metrics: Metrics) -> None:
        """Takes the metrics of an update; waits while too many are unfinished."""
        self._waiting.append((step, metrics))
        if len(self._waiting) > _STEPS_AHEAD:
            self._waiting[-1 - _STEPS_AHEAD][1].loss.block_until_ready()

    def flush(self) -> None:
        """Reads the metrics that were added, and writes their lines.

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
        """Flushes; writes the speed and the time left, to the terminal too."""
        self.flush()
        now = time.monotonic()
        before, then = self._since
        self._since = (step, now)
        per_second = (step - before) / max(now - then, 1e-9)
        speed = {
            "steps_per_second": per_second,
            "examples_per_second": per_second * self._batch_size,
            "gflops_per_second": per_second * self._flops / 1e9,
        }
        self.write("speed", step, speed)
        self._draw("train", step, self._last)
        left = round((self._total_steps - step) / max(per_second, 1e-9))
        parts = [
            f"{name} {value:.4f}"
            for name, value in self._last.items()
            if name not in ("loss", "gradient_norm", "learning_rate")
        ]
        self.say(
            f"step {step}/{self._total_steps}  loss {self._last['loss']:.4f} "
            f"({', '.join(parts)})  {per_second:.3g} steps/s  "
            f"{speed['gflops_per_second']:.3g} GFLOP/s  {timedelta(seconds=left)} left"
        )

    def write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Writes numbers to metrics.jsonl and to TensorBoard."""
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
        """Prints a line on the first host."""
        if jax.process_index() == 0:
            print(line, file=sys.stderr, flush=True)

    def sync(self) -> None:
        """Writes the lines to disk, before the checkpoint that they belong to."""
        if self._lines is not None:
            self._lines.flush()
            self._events.flush()

    @contextlib.contextmanager
    def not_training(self) -> Iterator[None]:
        """Leaves the time of the block (validation, export) out of the speed."""
        start = time.monotonic()
        yield
        step, since = self._since
        self._since = (step, since + time.monotonic() - start)


def _keep_lines_until(path: Path, step: int) -> None:
    """Drops the lines of later steps, and a last line that was cut."""
    if not path.exists():
        return
    kept = []
    for line in read_bytes(path).splitlines(keepends=True):
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, KeyError, TypeError):
            continue
    with new_file(path, overwrite=True) as temporary:
        temporary.write_bytes(b"".join(kept))


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
