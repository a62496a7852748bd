"""Trials in parallel, each in its own process, with one line of progress."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from xabl.errors import UserError, reason
from xabl.studies.jobs import Board, Job, OnProgress, State
from xabl.studies.pool import Pool, places
from xabl.studies.sources import updates_made
from xabl.support.progress import Progress
from xabl.synthetic.trials import Trial, TrialFolders, make_small_world, run_trial


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
        UserError: trials failed, once all others have ended (the message has what the
            first one said); `root` cannot be written to.
    """
    root = root.absolute()
    try:
        (root / "logs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{root}: cannot be written to ({reason(error)}); choose another folder"
        ) from error
    folders = [TrialFolders(root=root, trial=trial) for trial in trials]
    todo = [folder for folder in folders if not folder.results.exists()]
    worlds = {folder.world: _WorldJob(folders=folder) for folder in todo}
    jobs = [job for job in worlds.values() if not job.is_done()]
    _run(
        Board(root, jobs),
        processes,
        "worlds",
        len(jobs),
        lambda done: done,
        first="drawing images and writing captions",
    )
    total = sum(folder.trial.steps for folder in todo)
    trial_jobs = [_TrialJob(folders=folder) for folder in todo]
    _run(
        Board(root, trial_jobs),
        processes,
        "updates",
        total,
        lambda _: sum(map(_updates_of, todo)),
        first="compiling the training step",
    )
    return [folder.results for folder in folders]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _WorldJob(Job):
    """The world a trial needs, and the corpus made of it."""

    folders: TrialFolders
    is_alone = True

    @property
    def name(self) -> str:
        return f"world_{self.folders.trial.world.name}"

    def is_done(self) -> bool:
        return self.folders.has_world

    def do(self, desk: dict[str, Any], on_progress: OnProgress) -> None:
        make_small_world(self.folders.trial, self.folders.root)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _TrialJob(Job):
    """A trial whose world is there."""

    folders: TrialFolders
    is_alone = True

    @property
    def name(self) -> str:
        return self.folders.trial.name

    @property
    def after(self) -> tuple[str, ...]:
        start = self.folders.trial.start
        return () if start is None else (start,)

    def is_done(self) -> bool:
        return self.folders.results.exists()

    def do(self, desk: dict[str, Any], on_progress: OnProgress) -> None:
        run_trial(self.folders.trial, self.folders.root)


def _run(
    board: Board,
    processes: int,
    unit: str,
    total: int,
    done: Callable[[int], int],
    first: str,
) -> None:
    """Does the jobs; `done` tells the units done from the number of jobs done.

    Args:
        first: what goes on until the first unit is done.
    """
    if not board.jobs:
        return
    board.forget_failures()
    shown = done(0)
    count = min(processes, len(board.jobs))
    with (
        Progress(total - shown, unit, first=first) as progress,
        Pool(board, places(count)) as pool,
    ):
        for states in pool.run():
            now = max(shown, done(list(states.values()).count(State.DONE)))
            progress.update(now - shown)
            shown = now
    for job in board.jobs:
        if board.state(job) is State.FAILED:
            raise UserError(
                f"{job.name}: {board.reason(job)} (its log: {board.log(job)})"
            )


def _updates_of(folder: TrialFolders) -> int:
    """Counted in what the training writes, whichever process made them."""
    if folder.results.exists():
        return folder.trial.steps
    return min(updates_made(folder.run), folder.trial.steps)
