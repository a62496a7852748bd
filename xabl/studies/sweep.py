"""A study from its file to its table and report, or as far as it can be done."""

import contextlib
import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from xabl.errors import UserError, reason
from xabl.studies import outcome, status
from xabl.studies.contents import Contents
from xabl.studies.estimate import plan_text, with_work
from xabl.studies.events import Events
from xabl.studies.jobs import Board
from xabl.studies.pool import Pool, places
from xabl.studies.record import Recorded, write_record
from xabl.studies.runs import Run, identified, runs_of
from xabl.studies.slurm import Resources, SlurmPool
from xabl.studies.study_file import Report, StudyFile, read_study
from xabl.studies.yaml_lines import Lines
from xabl.support import lease
from xabl.support.atomic import folder_for


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """See the flags of the sweep.

    workers: processes side by side on this machine; by default one for each GPU, and
        one where there is none.
    slurm: what to ask a cluster for, in place of processes on this machine.
    retries: in place of the study's own.
    joins: helps another sweep of the same folder, on another machine.
    """

    study: Path
    output: Path
    workers: int | None = None
    slurm: Resources | None = None
    retries: int | None = None
    joins: bool = False


def plan(options: SweepOptions) -> str:
    """The table of runs, and what there is to do; makes no folder and no results."""
    _, runs, _ = _read(options)
    return plan_text(runs)


def sweep(options: SweepOptions) -> bool:
    """Does what is left of a study; whether all of it is done.

    Raises:
        UserError: the file is wrong, or somebody else is at it.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(folder_for(options.output / outcome.TABLE))
        except OSError as error:
            raise UserError(
                f"--output={options.output}: cannot be written to ({reason(error)}); "
                "choose another"
            ) from error
        return _swept(options)


def _swept(options: SweepOptions) -> bool:
    study, runs, lines = _read(options)
    folder = options.output
    retries = study.retries if options.retries is None else options.retries
    if all(run.is_done() for run in runs) and outcome.is_current(
        folder, runs, study.report
    ):
        _say(f"nothing to do: all {len(runs)} runs are done")
        _say("\n".join(str(folder / x) for x in (outcome.TABLE, outcome.REPORT)))
        return True
    _check_report(study.report, lines)
    board = Board(folder, [with_work(run) for run in runs], retries)
    with _lead(options, board) as leads:
        watch = status.Watch(board)
        for _ in _work(options, board):
            lease.check()  # whoever removed the folder is told at once
            watch.look()
        watch.look(at_once=True)
        if not leads:
            return all(run.is_done() for run in runs)
        return _end(board, study, runs)


def _read(options: SweepOptions) -> tuple[StudyFile, list[Run], Lines]:
    study, lines = read_study(options.study)
    runs = runs_of(study, lines, options.output.absolute())
    return study, identified(runs, Contents(options.output / ".contents.json")), lines


def _check_report(report: Report, lines: Lines) -> None:
    """Before the days of work that it comes after."""
    paths = {name: getattr(report, name) for name in ("images", "class_names")}
    missing = [
        (("report", name), f"{path} does not exist")
        for name, path in paths.items()
        if path is not None and not path.exists()
    ]
    if missing:
        raise lines.error(missing)


@contextlib.contextmanager
def _lead(options: SweepOptions, board: Board) -> Iterator[bool]:
    """Makes this process the one that ends the study; False if it only helps."""
    if options.joins:
        yield False
        return
    lock = board.folder / "locks" / ".sweep"
    # A machine that was taken away, or started again, seems to hold it for a while.
    is_here = all(holder.is_here for holder in lease.holders(lock))
    patience = 0.0 if is_here else lease.UNTIL_FREE
    try:
        lead = lease.acquire(lock, "sweeps the study", patience)
    except lease.Held as error:
        raise UserError(
            f"{board.folder}: another sweep is at it ({error.holder}); watch it with "
            "--status, or help it from another machine with --join"
        ) from error
    with lead:
        outcome.check_folder(board.folder)
        board.forget_failures()
        write_record(board.folder, map(_recorded, board.jobs))
        Events(board.folder).write(
            "study",
            study=str(options.study),
            work={job.name: round(job.work, 1) for job in board.jobs},
            work_done=status.work_done(board),
        )
        yield True


def _recorded(run: Run) -> Recorded:
    return Recorded(
        name=run.name,
        key=run.key,
        finished=run.manifest,
        after=run.after,
        is_alone=run.is_alone,
        work=run.work,
    )


def _work(options: SweepOptions, board: Board) -> Iterator[object]:
    """Has the jobs done; yields now and then until none is left."""
    if options.slurm is not None:
        yield from SlurmPool(board, options.slurm).run()
        return
    gpus = _gpus()
    count = options.workers or len(gpus) or 1
    with Pool(board, places(count, gpus)) as pool:
        yield from pool.run()


def _gpus() -> list[str]:
    """What CUDA_VISIBLE_DEVICES is for each; JAX is not asked, or it would take all."""
    if os.environ.get("JAX_PLATFORMS", "").startswith("cpu"):
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name]
    try:
        command = ["nvidia-smi", "--list-gpus"]
        listed = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return [str(number) for number in range(len(listed.stdout.splitlines()))]


def _end(board: Board, study: StudyFile, runs: Sequence[Run]) -> bool:
    """Table, report, and what went wrong."""
    for path in outcome.write_outcome(board.folder, runs, study.report):
        print(path)
    failed = [run for run in runs if not run.is_done()]
    Events(board.folder).write("ended", done=len(runs) - len(failed), of=len(runs))
    for run in failed:
        log = board.log(run)
        where = f" (its log: {log})" if log.exists() else ""
        _say(f"failed: {run.name}: {board.reason(run)}{where}")
    _say(f"{len(runs) - len(failed)} of {len(runs)} runs are done")
    return not failed


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
