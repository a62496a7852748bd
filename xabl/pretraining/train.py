"""The training loop: from a configuration and a folder to a model directory.

In the folder:
    config.json          the resolved configuration
    initial_values.json  where each parameter came from
    checkpoints/         training state, by number of updates
    metrics.jsonl        losses of every update, speeds, validation, ablation
    tensorboard/         the same as event files
    epochs/<n>/          the model after epoch n, as a model directory
    model/               the model at the end
"""

import contextlib
import functools
import json
import multiprocessing
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from xabl.errors import UserError
from xabl.models import model_directory
from xabl.pretraining.checkpoints import Checkpoints
from xabl.pretraining.configuration import PretrainingConfig, differences, to_json
from xabl.pretraining.devices import Devices
from xabl.pretraining.inputs.pipeline import validation_batches
from xabl.pretraining.objective import forward
from xabl.pretraining.preemption import Preemption
from xabl.pretraining.reports import Reports, Scale
from xabl.pretraining.run import Run, initial_values, prepare
from xabl.pretraining.train_step import TrainState, evaluation_step, train_step
from xabl.support.atomic import new_file

# Fields that change how a run is watched and kept, not what it learns.
FREE_FIELDS = {
    "ablation",
    "checkpoint_every",
    "keep_last",
    "keep_epochs",
    "report_every",
}


def pretrain(
    config: PretrainingConfig,
    workdir: Path,
    *,
    devices: Devices | None = None,
    num_workers: int = 0,
) -> bool:
    """Trains, or goes on training where an earlier call in `workdir` stopped.

    Whenever it is interrupted, the result is that of an uninterrupted run.

    Args:
        config: the run.
        workdir: its folder; made if it is not there.
        devices: all of all hosts by default.
        num_workers: processes that make batches, on every host.

    Returns:
        True when the run is finished; False when a preemption signal (SIGTERM) ended
        it early, with everything saved: then call again.

    Raises:
        UserError: the configuration, the data or the folder do not fit; a loss is not
            finite; the disk is full.
    """
    run = prepare(config, devices or Devices.all(), num_workers)
    _claim(workdir, config)
    checkpoints = Checkpoints(
        workdir / "checkpoints",
        keep_last=config.keep_last,
        keep_every=run.training.steps_per_epoch if config.keep_epochs else None,
    )
    with run.training, checkpoints, Preemption() as preemption:
        state, step = _first_state(run, workdir, checkpoints)
        reports = Reports(
            workdir,
            Scale(
                first_step=step,
                total_steps=run.total_steps,
                batch_size=config.batch_size,
                flops=run.flops,
            ),
        )
        try:
            loop = _Loop(run, workdir, checkpoints, reports)
            state, step = loop.train(state, step, preemption.requested)
        finally:
            reports.close()
        finished = step == run.total_steps
        if finished and not (workdir / "model").exists():
            _export(run, workdir / "model", state, step)
    return finished


class _Loop:
    """The parts of a run that the loop uses."""

    def __init__(
        self, run: Run, workdir: Path, checkpoints: Checkpoints, reports: Reports
    ):
        self._run, self._workdir = run, workdir
        self._checkpoints, self._reports = checkpoints, reports
        self._evaluate = evaluation_step(run.objective, run.devices)

    def train(
        self, state: TrainState, step: int, stop_requested: Callable[[int], bool]
    ) -> tuple[TrainState, int]:
        """Updates until the run is finished or is to stop; both are saved."""
        run, config = self._run, self._run.config
        update = train_step(
            run.objective, run.optimiser, run.learning_rate, run.devices
        )
        stop = False
        while step < run.total_steps and not stop:
            batch = run.devices.shard(next(run.training), config.accumulation)
            state, metrics = update(state, batch)
            step += 1
            self._reports.add(step, metrics)
            stop = stop_requested(step)
            last = step == run.total_steps
            epoch_ends = step % run.training.steps_per_epoch == 0
            if step % config.report_every == 0 or last:
                self._looks_good(step)
            if run.watch is not None and step % config.ablation.every == 0:
                self._score_ablation(state, step)
            if epoch_ends or last:
                self._end_epoch(state, step, epoch_ends=epoch_ends)
            if stop or last or epoch_ends or step % config.checkpoint_every == 0:
                self._save(state, step)
        if stop:
            self._reports.say(f"asked to stop: saved after update {step}")
        return state, step

    def _looks_good(self, step: int) -> None:
        """Reports; a number that is not finite ends the run."""
        self._checkpoints.settle(wait=False)
        with self._advised():
            self._reports.report(step)

    def _save(self, state: TrainState, step: int) -> None:
        with self._advised():  # what is not finite must never become a checkpoint
            self._reports.flush()
        self._reports.sync()
        self._checkpoints.save(
            step, self._run.devices.globally(state), self._run.training.get_state()
        )

    @contextlib.contextmanager
    def _advised(self) -> Iterator[None]:
        """Adds to an error about the losses what can be done about it."""
        try:
            yield
        except UserError as error:
            self._checkpoints.settle()
            raise UserError(
                f"{error}. {self._checkpoints.advice} Lower optimiser.learning_rate, "
                "or look at the data of this update"
            ) from error

    def _score_ablation(self, state: TrainState, step: int) -> None:
        with self._advised():
            self._reports.flush()
        if jax.process_index() != 0:
            return
        with self._reports.not_training():
            bits = self._run.watch.score(state.parameters)
            self._reports.write("ablation", step, bits)
            parts = (f"{name} {value:.3f}" for name, value in bits.items())
            self._reports.say(
                f"ablation after update {step}, in bits: {', '.join(parts)}"
            )

    def _end_epoch(self, state: TrainState, step: int, *, epoch_ends: bool) -> None:
        """Validates, and exports the model, before the checkpoint that follows.

        Interrupted in between, both are done again.
        """
        run = self._run
        with self._reports.not_training():
            if run.validation is not None:
                values = self._validate(state)
                self._reports.write("validation", step, values)
                parts = (f"{name} {value:.4f}" for name, value in values.items())
                self._reports.say(f"validation after update {step}: {', '.join(parts)}")
            if epoch_ends and run.config.keep_epochs:
                epoch = step // run.training.steps_per_epoch
                _export(run, self._workdir / "epochs" / str(epoch), state, step)
            if step == run.total_steps:
                _export(run, self._workdir / "model", state, step)

    def _validate(self, state: TrainState) -> dict[str, float]:
        """Means of the losses over the whole validation split."""
        run, config = self._run, self._run.config
        weights = run.objective.weights
        sums = dict.fromkeys(weights, 0.0)
        counts = dict.fromkeys(weights, 0.0)
        batches = validation_batches(run.validation, run.share, config.seed)
        under_way = []
        for batch in batches:
            placed = run.devices.shard(batch, config.accumulation)
            under_way.append(self._evaluate(state, placed))
            if len(under_way) > 2:
                _add(sums, counts, under_way.pop(0))
        for result in under_way:
            _add(sums, counts, result)
        means = {kind: sums[kind] / max(counts[kind], 1) for kind in weights}
        loss = sum(weights[kind] * means[kind] for kind in weights)
        return {"loss": loss, **means}


def _add(sums: dict[str, float], counts: dict[str, float], result: tuple) -> None:
    more_sums, more_counts = jax.device_get(result)
    for kind in sums:
        sums[kind] += float(more_sums[kind])
        counts[kind] += float(more_counts[kind])


def _first_state(
    run: Run, workdir: Path, checkpoints: Checkpoints
) -> tuple[TrainState, int]:
    """The state to go on from, and the number of updates it has seen."""
    restored = checkpoints.restore(run.state_shapes())
    if restored is not None:
        state, position = restored
        run.training.set_state(position)
        step = int(jax.device_get(state.step))
        _say(f"going on after update {step} of {run.total_steps} in {workdir}")
        return state, step
    initial = initial_values(run.config)
    untrained = len(initial.values) - len(run.trained)
    _say(f"{run.config.name}: {run.total_steps} updates; parameters start as")
    _say("  " + initial.summary().replace("\n", "\n  "))
    if untrained:
        _say(f"  {untrained} of them are frozen or outside the loss, and stay")
    if jax.process_index() == 0:
        _write_json(workdir / "initial_values.json", initial.origin)
    return run.initial_state(initial.values), 0


def _claim(workdir: Path, config: PretrainingConfig) -> None:
    """Makes the folder this run's, or makes sure that it already is.

    Raises:
        UserError: it is another run's, or cannot be written to.
    """
    path = workdir / "config.json"
    resolved = json.loads(json.dumps(to_json(config)))
    if path.exists():
        try:
            there = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{path}: damaged ({error}); take a new workdir") from error
        lines = [
            line
            for line in differences(there, resolved)
            if re.match(r"\w+", line)[0] not in FREE_FIELDS
        ]
        if lines:
            raise UserError(
                f"{workdir} holds a run of another configuration; take another "
                "workdir, or the same configuration:\n  " + "\n  ".join(lines)
            )
    elif workdir.exists() and any(workdir.iterdir()):
        raise UserError(
            f"{workdir} holds something else (no config.json in it); take an empty "
            "folder"
        )
    if jax.process_count() > 1:  # nobody writes before everybody has looked
        multihost_utils.sync_global_devices("workdir checked")
    if jax.process_index() == 0:
        try:
            workdir.mkdir(parents=True, exist_ok=True)
            _remove_leftovers(workdir)
            _write_json(path, resolved)
        except OSError as error:
            raise UserError(f"{workdir}: cannot be written to ({error})") from error


def _remove_leftovers(workdir: Path) -> None:
    """Half-written files and models of a run that was killed."""
    for folder in (workdir, workdir / "epochs"):
        for path in folder.glob(".*"):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def _export(run: Run, directory: Path, state: TrainState, step: int) -> None:
    """Writes the model of one moment as a model directory."""
    if jax.process_index() != 0:
        return
    params = forward.nest(jax.tree.map(np.asarray, state.parameters))
    write = functools.partial(
        model_directory.save,
        directory,
        run.config.model,
        params,
        vocabulary=run.config.vocabulary,
        report={
            "kind": "pretraining",
            "run": run.config.name,
            "seed": run.config.seed,
            "updates": step,
            "of_updates": run.total_steps,
            "configuration": to_json(run.config),
        },
        overwrite=True,
    )
    if jax.process_count() == 1:
        write()
        return
    # Orbax writes with all processes of a run together; a new one is alone.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, initializer=_leave_accelerators) as alone:
        alone.submit(write).result()


def _leave_accelerators() -> None:
    jax.config.update("jax_platforms", "cpu")


def _write_json(path: Path, content: Any) -> None:
    with new_file(path, overwrite=True) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _say(line: str) -> None:
    if jax.process_index() == 0:
        print(line, flush=True)
