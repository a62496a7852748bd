"""Trials in parallel, each in its own process, with one line of progress.

Not `concurrent.futures`: its pools cannot end their processes, nor tell which of them
was killed.
"""

import dataclasses
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import wait
from pathlib import Path

from xabl.errors import UserError
from xabl.support.compilation_cache import use_compilation_cache
from xabl.support.progress import Progress
from xabl.synthetic.trials import Trial, TrialFolders, make_small_world, run_trial

_SECONDS_BETWEEN_LOOKS = 2.0


def run_trials(trials: Sequence[Trial], root: Path, processes: int) -> list[Path]:
    """Makes the worlds, then runs the trials that are not finished.

    The processes write to logs/ in `root`. After an interruption, the same call
    continues from each training's last checkpoint.

    Args:
        trials: what to run; one that starts from another's model waits for it.
        root: folder of all trials.
        processes: number of trials at the same time.

    Returns:
        The results directories, in the order of the trials.

    Raises:
        UserError: a trial failed (the message has the last line of its log); `root`
            cannot be written to.
    """
    root = root.absolute()
    try:
        (root / "logs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{root}: cannot be written to ({error})") from error
    # Processes on one GPU share its memory.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    folders = [TrialFolders(root=root, trial=trial) for trial in trials]
    todo = [folder for folder in folders if not folder.results.exists()]
    worlds = {folder.world: folder.trial for folder in todo}.values()
    jobs = [
        _Job(name=f"world_{trial.world.name}", work=make_small_world, trial=trial)
        for trial in worlds
    ]
    _run(jobs, root, processes, "worlds", len(jobs), lambda left: len(worlds) - left)
    jobs = [
        _Job(name=folder.trial.name, work=run_trial, trial=folder.trial)
        for folder in todo
    ]
    total = sum(folder.trial.steps for folder in todo)
    _run(jobs, root, processes, "updates", total, lambda _: sum(map(_updates_of, todo)))
    return [folder.results for folder in folders]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Job:
    """What one process does.

    name: of its log.
    work: called with the trial and the root folder.
    trial: what it works on.
    """

    name: str
    work: Callable[[Trial, Path], None]
    trial: Trial

    def log(self, root: Path) -> Path:
        return root / "logs" / f"{self.name}.log"


def _run(
    jobs: Sequence[_Job],
    root: Path,
    processes: int,
    unit: str,
    total: int,
    done: Callable[[int], int],
) -> None:
    """Runs the jobs and shows progress.

    Args:
        jobs: what to run.
        root: folder of all trials.
        processes: number of jobs at the same time.
        unit: what is counted.
        total: number of units.
        done: units that are done, from the number of jobs left.
    """
    if not jobs:
        return
    shown = done(len(jobs))
    with Progress(total - shown, unit) as progress:
        for left in _jobs_left(jobs, root, processes):
            now = max(shown, done(left))
            progress.update(now - shown)
            shown = now


def _jobs_left(jobs: Sequence[_Job], root: Path, processes: int) -> Iterator[int]:
    """Runs the jobs; yields every few seconds how many are not finished."""
    # A forked process would inherit JAX's threads, in whatever state.
    spawn = multiprocessing.get_context("spawn")
    waiting = list(jobs)
    free_cores = _shares_of_cores(min(processes, len(jobs)))
    running: dict[int, tuple[multiprocessing.process.BaseProcess, _Job, list[int]]] = {}
    try:
        while waiting or running:
            unfinished = {job.name for _, job, _ in running.values()}
            unfinished |= {job.name for job in waiting}
            ready = [job for job in waiting if job.trial.start not in unfinished]
            while ready and free_cores:
                job, cores = ready.pop(0), free_cores.pop(0)
                waiting.remove(job)
                process = spawn.Process(
                    target=_work, args=(job, root, cores), daemon=True
                )
                process.start()
                running[process.sentinel] = (process, job, cores)
            for sentinel in wait(list(running), _SECONDS_BETWEEN_LOOKS):
                process, job, cores = running.pop(sentinel)
                process.join()
                free_cores.append(cores)
                if process.exitcode:
                    raise UserError(_failure(job, root, process.exitcode))
            yield len(waiting) + len(running)
    finally:
        for process, _, _ in running.values():
            process.terminate()  # a training saves its state
        for process, _, _ in running.values():
            process.join()


def _shares_of_cores(processes: int) -> list[list[int]]:
    """The cores of each process; empty where the system has no affinity.

    XLA's threads of several processes on the same cores waste a third of the time.
    """
    if not hasattr(os, "sched_getaffinity"):
        return [[] for _ in range(processes)]
    cores = sorted(os.sched_getaffinity(0))
    if processes > len(cores):
        return [[] for _ in range(processes)]
    return [cores[first::processes] for first in range(processes)]


def _work(job: _Job, root: Path, cores: list[int]) -> None:
    """Runs a job in the new process; the parent handles Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if cores:
        os.sched_setaffinity(0, cores)
    with open(job.log(root), "a", encoding="utf-8") as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
    use_compilation_cache()
    try:
        job.work(job.trial, root)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except Exception:
        traceback.print_exc()
        sys.exit(1)


def _failure(job: _Job, root: Path, status: int) -> str:
    log = job.log(root)
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "nothing printed")
    return f"{job.name} ended with status {status}: {last} (its log: {log})"


def _updates_of(folder: TrialFolders) -> int:
    """Counted in metrics.jsonl, so that updates of earlier calls count too."""
    if folder.results.exists():
        return folder.trial.steps
    try:
        lines = (folder.run / "metrics.jsonl").read_bytes().count(b'"kind": "train"')
    except OSError:
        return 0
    return min(lines, folder.trial.steps)
