"""Workers as jobs of a SLURM cluster, in arrays submitted by submitit.

A job is a worker like those of one machine: it takes runs from the study's folder,
which all nodes see, until none is to be had. So it does not matter which job comes to
which run, and a job that was preempted, or killed, leaves its run to the others.
"""

import dataclasses
import getpass
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xabl.errors import UserError
from xabl.pretraining.launch import START_AGAIN
from xabl.studies.jobs import Board, State
from xabl.studies.worker import Stopped, work
from xabl.support.atomic import new_file
from xabl.support.compilation_cache import use_compilation_cache

_SECONDS_BETWEEN_LOOKS = 5.0
_MOST_IN_ARRAY = 1000  # SLURM's own limit is 1001 unless it was raised
# Jobs submitted in place of ended ones while nothing gets done.
_MOST_IN_VAIN = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resources:
    """What to ask the cluster for.

    jobs: at the same time. minutes: of one job, which is queued again when they are
        over. more: other options of sbatch by name, such as {"account": "vision"}.
    """

    jobs: int = 8
    partition: str | None = None
    gpus: int = 1
    cpus: int = 4
    memory_gb: float = 32.0
    minutes: int = 720
    more: tuple[tuple[str, str], ...] = ()


class SlurmPool:
    """Jobs that do what is on a board; leaves them alone when it ends early."""

    def __init__(self, board: Board, resources: Resources):
        """Submits nothing yet.

        Raises:
            UserError: there is no SLURM here.
        """
        self._board, self._resources = board, resources
        self._folder = board.folder / "slurm"
        for command in ("squeue", "sbatch", "srun", "scancel"):
            if shutil.which(command) is None:
                raise UserError(
                    f"--launcher=slurm: there is no {command} here; start this on a "
                    "login node of the cluster"
                )
        self._listed()  # does the cluster answer?

    def run(self) -> Iterator[dict[str, State]]:
        """Waits until no run is left, and sees to it that there are jobs.

        Jobs that an earlier sweep submitted are taken up.

        Raises:
            UserError: jobs end without anything being done.
        """
        vain, done_before = -1, -1
        while True:
            states = self._board.states()
            yield states
            values = list(states.values())
            left = len(values) - values.count(State.DONE) - values.count(State.FAILED)
            ours = self._ours()
            if not left:
                self._cancel(ours)
                return
            missing = min(self._resources.jobs, left) - len(ours)
            if missing > 0:
                done = len(values) - left
                vain = vain + 1 if done == done_before and not ours else 0
                done_before = done
                if vain > _MOST_IN_VAIN:
                    raise UserError(
                        f"jobs end and nothing gets done; see {self._folder} for what "
                        "they say"
                    )
                self._submit(missing)
            time.sleep(_SECONDS_BETWEEN_LOOKS)

    def _submit(self, count: int) -> None:
        import submitit  # half a second, and an extra

        folder = self._folder / "%j"
        executor = submitit.SlurmExecutor(folder=folder, max_num_timeout=99)
        asked = self._resources
        executor.update_parameters(
            job_name="xabl",
            partition=asked.partition,
            gpus_per_node=asked.gpus or None,
            cpus_per_task=asked.cpus,
            mem=f"{round(1024 * asked.memory_gb)}M",
            time=asked.minutes,
            array_parallelism=asked.jobs,
            additional_parameters={"requeue": True, **dict(asked.more)},
        )
        for start in range(0, count, _MOST_IN_ARRAY):
            size = min(_MOST_IN_ARRAY, count - start)
            try:
                jobs = executor.map_array(_Worker(), [self._board] * size)
            except submitit.core.utils.FailedJobError as error:
                raise UserError(f"--launcher=slurm: {str(error).strip()}") from error
            self._note([job.job_id for job in jobs])

    @property
    def _ids(self) -> Path:
        return self._folder / "jobs.json"

    def _noted(self) -> list[str]:
        try:
            return json.loads(self._ids.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []

    def _note(self, new: list[str]) -> None:
        text = json.dumps([*self._noted(), *new])
        with new_file(self._ids, overwrite=True) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def _ours(self) -> set[str]:
        """Jobs of this study that are queued or running."""
        return self._listed() & set(self._noted())

    def _listed(self) -> set[str]:
        """All jobs of this user, elements of arrays one by one."""
        command = ["squeue", "--noheader", "--array", "--format=%i"]
        found = _run([*command, f"--user={getpass.getuser()}"])
        return set(found.split())

    def _cancel(self, jobs: set[str]) -> None:
        """Those that are still queued have nothing to do."""
        if jobs:
            _run(["scancel", *sorted(jobs)])


class _Worker:
    """What a job does; submitit submits it again when the job's time is over."""

    def __call__(self, board: Board) -> int:
        use_compilation_cache()
        try:
            return work(board)
        except Stopped:
            sys.exit(START_AGAIN)

    def checkpoint(self, board: Board) -> Any:
        """Everything is on disk; the job begins again with what is left."""
        import submitit

        return submitit.helpers.DelayedSubmission(self, board)


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except subprocess.CalledProcessError as error:
        raise UserError(f"--launcher=slurm: {error.stderr.strip()}") from error
    return done.stdout
