"""The training loop: from a configuration to a model, in a folder (`workdir`)."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
from jax.experimental import multihost_utils

from xabl.errors import UserError
from xabl.pretraining.checkpoints import Checkpoints
from xabl.pretraining.configuration import PretrainingConfig
from xabl.pretraining.inputs.pipeline import validation_batches
from xabl.pretraining.reports import Reports
from xabl.pretraining.run import Run, initial_values, prepare
from xabl.pretraining.train_step import TrainState, evaluation_step, train_step
from xabl.pretraining.workdir import check_there, claim, export, write_json
from xabl.support.devices import Devices

# Of training. Who changes what parameters come out of a configuration and a corpus
# counts on, and a study trains again.
METHOD = 1


def pretrain(
    config: PretrainingConfig,
    workdir: Path,
    *,
    devices: Devices | None = None,
    num_workers: int = 0,
    may_move: bool = False,
) -> bool:
    """Trains, or continues where an earlier call in `workdir` stopped.

    An interrupted run ends with the same parameters as an uninterrupted one.

    Args:
        config: the run.
        workdir: its folder; made if it does not exist.
        devices: default: all of all hosts.
        num_workers: processes that make batches, on every host; 0 uses a thread.
        may_move: see `claim`.

    Returns:
        True when the run is finished; False when a preemption signal (SIGTERM) ended
        it early, with everything saved: then call again.

    Raises:
        UserError: the configuration, the data or the folder do not fit; a loss is not
            finite; the disk is full.
    """
    run = prepare(config, devices or Devices.all(), num_workers)
    claim(workdir, config, may_move=may_move)
    checkpoints = Checkpoints(
        workdir / "checkpoints",
        keep_last=config.keep_last,
        keep_every=run.training.steps_per_epoch if config.keep_epochs else None,
    )
    with run.training, checkpoints, _stop_requests() as stop_requested:
        state, step = _first_state(run, workdir, checkpoints)
        with Reports(
            workdir,
            first_step=step,
            total_steps=run.total_steps,
            batch_size=config.batch_size,
            flops=run.flops,
        ) as reports:
            loop = _Loop(run, workdir, checkpoints, reports)
            state, step = loop.train(state, step, stop_requested)
        finished = step == run.total_steps
        check_there(workdir)
        if finished and not (workdir / "model").exists():
            _export(run, workdir / "model", state, step)
    return finished


class _Loop:
    """Updates, and after some of them reports, scores, validation, checkpoints."""

    def __init__(
        self, run: Run, workdir: Path, checkpoints: Checkpoints, reports: Reports
    ):
        self._run, self._workdir = run, workdir
        self._checkpoints, self._reports = checkpoints, reports
        self._evaluate = evaluation_step(run.objective, run.devices)

    def train(
        self, state: TrainState, step: int, stop_requested: Callable[[int], bool]
    ) -> tuple[TrainState, int]:
        """Updates until the run is finished or asked to stop, and saves the state."""
        run, config = self._run, self._run.config
        update = train_step(
            run.objective, run.optimiser, run.learning_rate, run.devices
        )
        stop = False
        while step < run.total_steps and not stop:
            batch = run.devices.spread(next(run.training), config.accumulation)
            state, metrics = update(state, batch)
            step += 1
            self._reports.add(step, metrics)
            stop = stop_requested(step)
            last = step == run.total_steps
            epoch_ends = step % run.training.steps_per_epoch == 0
            if step % config.report_every == 0 or last:
                self._report(step)
            if run.watch is not None and step % config.ablation.every == 0:
                self._score_ablation(state, step)
            if epoch_ends or last:
                self._end_epoch(state, step, epoch_ends=epoch_ends)
            if stop or last or epoch_ends or step % config.checkpoint_every == 0:
                self._save(state, step)
        if stop:
            self._reports.say(f"asked to stop: saved after update {step}")
        return state, step

    def _report(self, step: int) -> None:
        """Writes the losses and the speed; a number that is not finite ends the run."""
        self._checkpoints.settle(wait=False)
        with self._advised():
            self._reports.report(step)

    def _save(self, state: TrainState, step: int) -> None:
        with self._advised():  # a loss that is not finite never becomes a checkpoint
            self._reports.flush()
        self._reports.sync()
        check_there(self._workdir)
        self._checkpoints.save(
            step, self._run.devices.globally(state), self._run.training.get_state()
        )

    @contextlib.contextmanager
    def _advised(self) -> Iterator[None]:
        """Adds the last good checkpoint and a cure to an error about the losses."""
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
        """Validates and exports the model, before the checkpoint of the same update.

        A run that is killed in between does both again.
        """
        run = self._run
        check_there(self._workdir)
        with self._reports.not_training():
            if run.validation is not None:
                values = self._validate(state)
                self._reports.write("validation", step, values)
                parts = (f"{name} {value:.4f}" for name, value in values.items())
                self._reports.say(f"validation after update {step}: {', '.join(parts)}")
            if epoch_ends and run.config.keep_epochs:
                epoch = step // run.training.steps_per_epoch
                _export(run, self._workdir / "epochs" / str(epoch), state, step)

    def _validate(self, state: TrainState) -> dict[str, float]:
        """Means of the losses over the whole validation split."""
        run, config = self._run, self._run.config
        weights = run.objective.weights
        sums = dict.fromkeys(weights, 0.0)
        counts = dict.fromkeys(weights, 0.0)
        batches = validation_batches(run.validation, run.share, config.seed)
        under_way = []
        for batch in batches:
            placed = run.devices.spread(batch, config.accumulation)
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


@contextlib.contextmanager
def _stop_requests() -> Iterator[Callable[[int], bool]]:
    """Notices SIGTERM, by which a cluster takes a machine back.

    Yields a function: whether to stop after an update, the same answer on every host.
    Several hosts do not receive the signal at once; JAX's coordination service agrees
    on an update that all of them reach. One host has to be on its main thread.
    """
    if jax.process_count() > 1:
        yield multihost_utils.reached_preemption_sync_point
        return
    received = []
    previous = signal.signal(signal.SIGTERM, lambda *_: received.append(True))
    try:
        yield lambda step: bool(received)
    finally:
        signal.signal(signal.SIGTERM, previous)


def _first_state(
    run: Run, workdir: Path, checkpoints: Checkpoints
) -> tuple[TrainState, int]:
    """The state to continue from, and how many updates it has had."""
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
    if run.config.compute == "bfloat16" and run.devices.are_the_host:
        _say("  compute=bfloat16: on processors an update takes as long as in float32")
    if untrained:
        _say(f"  {untrained} of them are frozen or outside the loss, and stay")
    if jax.process_index() == 0:
        write_json(workdir / "initial_values.json", initial.origin)
    return run.initial_state(initial.values), 0


def _export(run: Run, directory: Path, state: TrainState, step: int) -> None:
    parameters, total = state.parameters, run.total_steps
    export(
        run.config,
        directory,
        parameters,
        updates=step,
        of_updates=total,
        regions=lambda: run.regions,
    )


def _say(line: str) -> None:
    if jax.process_index() == 0:
        print(line, flush=True)
