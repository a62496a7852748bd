"""Jobs that share a folder: whose turn it is, and what became of those before.

The folder is all that workers have in common, so a job's state is what can be read
there: its result, who has its lock, the failure that was noted.
"""

import abc
import dataclasses
import enum
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from xabl.errors import UserError
from xabl.support import lease
from xabl.support.atomic import new_file

# Called with how much of a job is done, of how much, and the unit.
OnProgress = Callable[[int, int, str], None]


class Job(abc.ABC):
    """Something to be done once, in whichever process comes to it.

    name: of its lock, log and failure. after: names of jobs to be done before.
    is_alone: whether it gets a process of its own, which ends with it.
    work: how much there is to do, in any unit that jobs can be compared in.
    alike: jobs for which this is equal are done in one process after each other.
    """

    name: str
    after: tuple[str, ...] = ()
    is_alone: bool = False
    work: float = 1.0
    alike: str = ""

    @abc.abstractmethod
    def is_done(self) -> bool:
        """Whether its result is there; quick."""

    @abc.abstractmethod
    def do(self, desk: dict[str, Any], on_progress: OnProgress) -> None:
        """Does what is missing of it.

        Args:
            desk: what an earlier job of the same process left there for later ones.

        Raises:
            UserError: something that trying again does not mend.
        """

    def ahead(self, desk: dict[str, Any]) -> None:
        """Prepares in a thread, while an alike job is being done; need not."""
        del desk


class MayPass(UserError):
    """A failure that may not happen again: the job is tried a few times."""


class State(enum.StrEnum):
    """Of a job, as its study's folder shows it."""

    DONE = "done"
    FAILED = "failed"
    RUNNING = "running"
    WAITING = "waiting"  # for another job
    READY = "ready"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Failure:
    """What was noted when a job failed.

    attempts: how often it did. is_final: whether it is not tried again.
    """

    error: str
    attempts: int
    is_final: bool
    time: float


class Board:
    """The jobs of one folder, and their states."""

    def __init__(self, folder: Path, jobs: Sequence[Job], retries: int = 0):
        """Reads and writes nothing yet.

        Args:
            retries: how often a job is done again that failed in a way that may pass.
        """
        self.folder, self.jobs, self.retries = folder, tuple(jobs), retries
        self._done: set[str] = set()

    def states(self) -> dict[str, State]:
        """By name; in the order of the jobs."""
        return {job.name: self.state(job) for job in self.jobs}

    def state(self, job: Job) -> State:
        """Of one job; what is done is not looked at again."""
        if self.is_done(job):
            return State.DONE
        failure = self.failure(job)
        if failure is not None and failure.is_final:
            return State.FAILED
        if lease.holders(self._lock(job)):
            return State.RUNNING
        for name in job.after:
            before = self._named(name)
            if before is not None and not self.is_done(before):
                failed = self.state(before) is State.FAILED
                return State.FAILED if failed else State.WAITING
        return State.READY

    def is_done(self, job: Job) -> bool:
        """Whether the job's result is there."""
        if job.name not in self._done and job.is_done():
            self._done.add(job.name)
        return job.name in self._done

    def holder(self, job: Job) -> lease.Holder | None:
        """Who does the job at the moment."""
        found = lease.holders(self._lock(job))
        return found[0] if found else None

    def take(self, previous: Job | None = None) -> tuple[Job, lease.Lease] | None:
        """The next job and its lock; None when there is none to be had now.

        Args:
            previous: what this process did before. Jobs alike come first, those of
                which others have begun some last.
        """
        states = self.states()
        busy = {j.alike for j in self.jobs if states[j.name] is State.RUNNING}

        def order(job: Job) -> int:
            if previous is not None and job.alike == previous.alike:
                return 0
            return 2 if job.alike in busy else 1

        ready = [job for job in self.jobs if states[job.name] is State.READY]
        ready.sort(key=order)
        for job in ready:
            try:
                taken = lease.acquire(self._lock(job), job.name)
            except lease.Held:
                continue
            # Somebody may have finished it, or failed, since we looked.
            if self.is_done(job) or self._is_final(job):
                taken.release()
                continue
            return job, taken
        return None

    def take_ahead(self, current: Job) -> tuple[Job, lease.Lease] | None:
        """The job after the current one, if it is alike and others have enough."""
        states = list(self.states().values())
        others = states.count(State.RUNNING) - 1
        if current.is_alone or states.count(State.READY) <= others:
            return None
        taken = self.take(current)
        if taken is not None and taken[0].alike != current.alike:
            taken[1].release()
            return None
        return taken

    def failure(self, job: Job) -> Failure | None:
        """What was noted last."""
        try:
            text = self._failure_file(job).read_text(encoding="utf-8")
            return Failure(**json.loads(text))
        except (OSError, ValueError, TypeError):
            return None

    def reason(self, job: Job) -> str:
        """Why a job failed, or is not done though it was."""
        failure = self.failure(job)
        if failure is not None:
            return failure.error
        if self.state(job) is State.DONE:
            return "its results were removed meanwhile; give the same command again"
        return f"needs {' and '.join(job.after)}, which failed"

    def note_failure(self, job: Job, error: str, *, may_pass: bool) -> Failure:
        """Notes that a job failed; it is final if it will fail again, or often did."""
        before = self.failure(job)
        attempts = 1 + (before.attempts if before else 0)
        failure = Failure(
            error=error,
            attempts=attempts,
            is_final=not may_pass or attempts > self.retries,
            time=time.time(),
        )
        path = self._failure_file(job)
        path.parent.mkdir(parents=True, exist_ok=True)
        with new_file(path, overwrite=True) as temporary:
            text = json.dumps(dataclasses.asdict(failure), indent=1)
            temporary.write_text(text, encoding="utf-8")
        return failure

    def forget_failures(self) -> None:
        """Lets all that failed be tried again."""
        for job in self.jobs:
            self._failure_file(job).unlink(missing_ok=True)

    def forget_failure(self, job: Job) -> None:
        """Once it is done after all."""
        self._failure_file(job).unlink(missing_ok=True)

    def log(self, job: Job) -> Path:
        """Where what the job prints goes."""
        return self.folder / "logs" / f"{job.name}.log"

    def left(self) -> Iterator[Job]:
        """Jobs that are neither done nor failed for good."""
        for job in self.jobs:
            if self.state(job) not in (State.DONE, State.FAILED):
                yield job

    def _named(self, name: str) -> Job | None:
        return next((job for job in self.jobs if job.name == name), None)

    def _is_final(self, job: Job) -> bool:
        failure = self.failure(job)
        return failure is not None and failure.is_final

    def _lock(self, job: Job) -> Path:
        return self.folder / "locks" / job.name

    def _failure_file(self, job: Job) -> Path:
        return self.folder / "failures" / f"{job.name}.json"
