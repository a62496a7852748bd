"""Workers on this machine: a few processes, renewed as long as there are jobs."""

import contextlib
import dataclasses
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from xabl.errors import UserError, from_system
from xabl.pretraining.launch import START_AGAIN
from xabl.studies.events import Events
from xabl.studies.jobs import Board, State
from xabl.studies.worker import Stopped, stop_with, work
from xabl.support.compilation_cache import use_compilation_cache

_SECONDS_BETWEEN_LOOKS = 0.5
_SECONDS_TO_STOP = 30.0
_MOST_IN_VAIN = 3
_LONGEST_PAUSE = 60.0  # seconds


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """What one worker has of the machine.

    cores: numbers of its processor cores; empty for all.
    environment: variables that show it its accelerator.
    """

    cores: tuple[int, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


def places(count: int, accelerators: Sequence[str] = ()) -> list[Place]:
    """Divides the machine.

    XLA's threads of several processes on the same cores cost a third of the time.

    Args:
        count: of workers.
        accelerators: what CUDA_VISIBLE_DEVICES is for each; of fewer, several workers
            share one.
    """
    cores: list[int] = []
    if hasattr(os, "sched_getaffinity"):
        cores = sorted(os.sched_getaffinity(0))
    if count > len(cores) or count == 1:
        cores = []
    found = []
    for number in range(count):
        environment: dict[str, str] = {}
        if accelerators:
            mine = accelerators[number % len(accelerators)]
            environment["CUDA_VISIBLE_DEVICES"] = mine
        if 0 < len(accelerators) < count:
            # Each plans with all that it is told there is, so it is told its share.
            sharing = -(-count // len(accelerators))
            environment["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{0.9 / sharing:.3f}"
            environment["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
        found.append(
            Place(
                cores=tuple(cores[number::count]),
                environment=tuple(environment.items()),
            )
        )
    return found


@dataclasses.dataclass(kw_only=True, eq=False)
class _Worker:
    """A process; `tells` is what it says about its jobs, `job` what it said last."""

    process: BaseProcess
    tells: Connection
    place: Place
    job: str | None = None
    had_job: bool = False

    def listen(self) -> None:
        try:
            while self.tells.poll():
                self.job = self.tells.recv()
                self.had_job = True
        except (EOFError, OSError):
            pass  # it has ended


@dataclasses.dataclass(kw_only=True)
class Patience:
    """With workers that end before they begin a job, as in too little memory.

    in_vain: how many did, one after the other.
    until: when the next may be started, by the clock of those who ask.
    """

    in_vain: int = 0
    until: float = 0.0

    def ended(
        self, status: int, now: float, *, had_job: bool, others_work: bool
    ) -> None:
        """Takes in that a worker ended; each one in vain makes the next one wait.

        Raises:
            UserError: too many were in vain, and no other worker has come to a job.
        """
        self.in_vain = 0 if had_job or not status else self.in_vain + 1
        pause = 2.0 ** (self.in_vain - 1) if self.in_vain else 0.0
        self.until = now + min(pause, _LONGEST_PAUSE)
        if self.in_vain > _MOST_IN_VAIN and not others_work:
            raise UserError(
                f"{self.in_vain} workers ended, the last with status {status}, before "
                "they began a job; what they said is above"
            )


class Pool:
    """Processes that do the jobs of a board; a context manager that ends them."""

    def __init__(self, board: Board, where: Sequence[Place]):
        """Starts nothing yet.

        Args:
            where: a place for each worker.
        """
        self._board, self._events = board, Events(board.folder)
        self._free = list(where)
        self._workers: list[_Worker] = []
        self._patience = Patience()
        # A forked process would inherit JAX's threads in whatever state they are.
        self._spawn = multiprocessing.get_context("spawn")

    def run(self) -> Iterator[dict[str, State]]:
        """Works until no job is left; gives the states of all now and then.

        Jobs that another process has are waited for.

        Raises:
            UserError: worker after worker ends before it comes to a job.
        """
        while True:
            states = self._board.states()
            ready = list(states.values()).count(State.READY)
            # A worker that is between two jobs takes the next one itself.
            idle = sum(1 for worker in self._workers if worker.job is None)
            for _ in range(min(ready - idle, len(self._free))):
                if time.monotonic() >= self._patience.until:
                    self._start()
            yield states
            settled = {State.DONE, State.FAILED}
            if not self._workers and settled.issuperset(states.values()):
                return
            self._look()

    def _start(self) -> None:
        place = self._free.pop(0)
        ours, theirs = self._spawn.Pipe(duplex=False)
        process = self._spawn.Process(
            target=_main, args=(self._board, place, theirs), daemon=True
        )
        process.start()
        theirs.close()
        self._workers.append(_Worker(process=process, tells=ours, place=place))

    def _look(self) -> None:
        ended = wait(
            [worker.process.sentinel for worker in self._workers],
            _SECONDS_BETWEEN_LOOKS,
        )
        if not self._workers:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        for worker in list(self._workers):
            worker.listen()
            if worker.process.sentinel in ended:
                worker.process.join()
                worker.tells.close()
                self._workers.remove(worker)
                self._free.append(worker.place)
                self._ended(worker)

    def _ended(self, worker: _Worker) -> None:
        """A worker that ends badly takes its job with it, and nothing else."""
        status = worker.process.exitcode
        self._patience.ended(
            status,
            time.monotonic(),
            had_job=worker.had_job,
            others_work=any(other.had_job for other in self._workers),
        )
        job = next((job for job in self._board.jobs if job.name == worker.job), None)
        if job is None or status in (0, START_AGAIN) or self._board.is_done(job):
            return
        how = f"signal {-status}" if status < 0 else f"status {status}"
        error = f"its process ended with {how}"
        again = not self._board.note_failure(job, error, may_pass=True).is_final
        self._events.write("died", run=job.name, error=error, again=again)

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in self._workers:
            worker.process.terminate()  # what is half done is kept
        for worker in self._workers:
            worker.process.join(_SECONDS_TO_STOP)
            if worker.process.exitcode is None:
                worker.process.kill()
                worker.process.join()
            worker.tells.close()
        self._workers.clear()


def _main(board: Board, place: Place, tell: Connection) -> None:
    """In the new process. Ctrl-C is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stop_with(multiprocessing.parent_process().join)
    os.environ.update(place.environment)  # before JAX looks for devices
    if place.cores:
        os.sched_setaffinity(0, place.cores)
    use_compilation_cache()

    def on_job(name: str | None) -> None:
        with contextlib.suppress(OSError):  # the parent was killed
            tell.send(name)

    try:
        work(board, on_job)
    except Stopped:
        sys.exit(START_AGAIN)
    except UserError as error:  # of the study's folder, which cannot be read
        sys.exit(f"error: {error}")
    except OSError as error:  # such as a full disk
        sys.exit(f"error: {from_system(error, board.folder)}")
