"""A worker: a process that does one job after another until none is to be had."""

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any

from xabl.errors import DiskFails, UserError
from xabl.pretraining.launch import START_AGAIN
from xabl.studies.events import Events
from xabl.studies.jobs import Board, Job, MayPass
from xabl.support import lease

_SECONDS_BETWEEN_PROGRESS = 2.0
_SECONDS_TO_A_STEP = 5.0


class Stopped(BaseException):
    """SIGTERM: a cluster or the parent wants this process to end soon."""


def work(board: Board, on_job: Callable[[str | None], None] = lambda name: None) -> int:
    """Does jobs until none is ready, or one is done that wanted to be alone.

    Failures are noted on the board and do not end the work.

    Args:
        on_job: is told the name of each job as it begins, None as it ends.

    Returns:
        How many jobs were done.

    Raises:
        Stopped: asked to by SIGTERM; what was done of the job is kept.
    """
    stop = _Stop()
    before = signal.signal(signal.SIGTERM, stop)
    try:
        return _work(board, on_job, stop)
    finally:
        signal.signal(signal.SIGTERM, before)
        stop.was_heard()


def _work(board: Board, on_job: Callable[[str | None], None], stop: "_Stop") -> int:
    events = Events(board.folder)
    desk: dict[str, Any] = {}
    done, taken, following = 0, board.take(), None
    try:
        while taken is not None:
            job, lock = taken
            following = board.take_ahead(job)
            if following is not None:
                threading.Thread(target=_prepare, args=(following[0], desk)).start()
            with lock:
                on_job(job.name)
                done += _do(board, job, desk, events, stop)
            on_job(None)
            stop.check()
            if job.is_alone:
                break
            if following is not None and not following[1].is_mine:
                following[1].release()
                following = None
            taken = following or board.take(job)
        return done
    finally:
        if following is not None:
            following[1].release()


def _prepare(job: Job, desk: dict[str, Any]) -> None:
    # What goes wrong will go wrong again when it is the job's turn.
    with contextlib.suppress(Exception):
        job.ahead(desk)


def _do(
    board: Board, job: Job, desk: dict[str, Any], events: Events, stop: "_Stop"
) -> bool:
    """One job, with its output in its log; whether it was done."""
    events.write("began", run=job.name)
    began = last = time.monotonic()

    def on_progress(count: int, total: int, unit: str) -> None:
        nonlocal last
        if threading.current_thread() is threading.main_thread():
            stop.check()
        if time.monotonic() - last > _SECONDS_BETWEEN_PROGRESS or count == total:
            last = time.monotonic()
            if threading.current_thread() is threading.main_thread():
                lease.check()
            events.write("progress", run=job.name, done=count, total=total, unit=unit)

    with _Output(board, job):
        try:
            job.do(desk, on_progress)
        except lease.Lost as error:
            print(f"error: {error}", file=sys.stderr)
            desk.clear()
            events.write("lost", run=job.name)
            return False  # its failure or success is the other's to note
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            text = str(error)
            may_pass = isinstance(error, MayPass | DiskFails | lease.Held)
        except Exception as error:
            traceback.print_exc()
            text, may_pass = f"{type(error).__name__}: {error}", True
        else:
            board.forget_failure(job)
            seconds = round(time.monotonic() - began, 3)
            events.write("finished", run=job.name, seconds=seconds)
            return True
    # Whatever it left there may be half of something.
    desk.clear()
    failure = board.note_failure(job, text, may_pass=may_pass)
    events.write("failed", run=job.name, error=text, again=not failure.is_final)
    return False


class _Output:
    """Sends what this process and its libraries print to the job's log."""

    def __init__(self, board: Board, job: Job):
        self._path = board.log(job)

    def __enter__(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        sys.stdout.flush()
        sys.stderr.flush()
        self._before = [os.dup(1), os.dup(2)]
        log = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)

    def __exit__(self, *exception: object) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, before in enumerate(self._before, start=1):
            os.dup2(before, number)
            os.close(before)


def stop_with(parent_ends: Callable[[], object], patience: float = 20.0) -> None:
    """Ends this process soon after another: `parent_ends` returns when that has.

    A process that is killed does not end its children.
    """

    def watch() -> None:
        parent_ends()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(patience)
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


class _Stop:
    """Hears SIGTERM, and ends the work where that does no harm.

    An exception out of the blue is taken by some libraries for a damaged file. So it is
    raised between two steps of scoring; where there are none, nothing is lost by
    ending at once. (A training hears the signal itself.)
    """

    def __init__(self):
        self._is_asked, self._timer = False, None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._is_asked = True
        self._timer = threading.Timer(_SECONDS_TO_A_STEP, os._exit, (START_AGAIN,))
        self._timer.daemon = True
        self._timer.start()

    def check(self) -> None:
        """Raises `Stopped` if SIGTERM has come."""
        if self._is_asked:
            self.was_heard()
            raise Stopped

    def was_heard(self) -> None:
        """The process will end by itself."""
        if self._timer is not None:
            self._timer.cancel()
