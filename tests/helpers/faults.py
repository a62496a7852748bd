"""Runs a job once for every place where a write, sync, rename or mkdir can fail.

    python -m tests.helpers.faults import [--repeats=0] [--modes=ENOSPC,EIO,KILL,GONE]
    python -m tests.helpers.faults import --places=40:90    those of a long list
    python -m tests.helpers.faults import --kills=10    at random moments instead

What fails is any such call of the process below its output's folder, whatever library
makes it (faults.c, which is loaded before the others). Each attempt is a copy of one
process that has imported everything. Afterwards the output is the old or the new one;
the same job, given again, finishes with the result of one that nothing disturbed; and
nothing is left beside it. GONE takes the folder away that the output is in: then the
job says so, or has made the new one.

Many places are alike: a table is written by a hundred calls. With --repeats=N, N of
each kind are tried, from its first to its last (faults.c says what a kind is). What a
fault left is gone on from once: where another leaves the same files with the same
bytes, that is known.
"""

import argparse
import collections
import ctypes
import errno
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.helpers.binaries import ROOT
from tests.helpers.fault_jobs import JOBS, Job

# Negative: from then on every call that needs room fails, as on a full disk.
MODES = {"ENOSPC": -errno.ENOSPC, "EIO": errno.EIO, "KILL": 0, "GONE": -1}
_REFUSED, _BUG = 1, 99
_SECONDS = 300  # for one attempt: what hangs is ended by a signal
_SOURCE = Path(__file__).with_suffix(".c")


def library(folder: Path) -> Path:
    """Compiles what is preloaded."""
    path = folder / "faults.so"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-O1", "-o", path, _SOURCE, "-ldl"], check=True
    )
    return path


def command(job: str, folder: Path, **flags: object) -> tuple[list[str], dict]:
    """What to run, with which environment, to try a job in a folder."""
    root = folder / "root"
    environment = os.environ | {
        "LD_PRELOAD": str(library(folder)),
        "FAULT_ROOT": str(root),
        "FAULT_LIBRARY": str(folder / "faults.so"),
        "JAX_PLATFORMS": "cpu",
    }
    arguments = [f"--{name}={value}" for name, value in flags.items()]
    program = [sys.executable, "-m", "tests.helpers.faults", job, "--run", *arguments]
    return program, environment


class Attempts:
    """Tries one job at every place: at the n-th call of a kind."""

    def __init__(self, job: type[Job], folder: Path):
        self._folder = folder
        self._shim = ctypes.CDLL(os.environ["FAULT_LIBRARY"])
        self._shim.fault_arm.argtypes = ctypes.c_char_p, ctypes.c_long, ctypes.c_int
        self._root = Path(os.environ["FAULT_ROOT"])
        self._inputs, self._pristine = folder / "inputs", folder / "pristine"
        self._job = job(self._inputs, self._root / "output")
        self._gone_on_from: set[str] = set()

    def prepare(self) -> None:
        """Makes the files."""
        self._inputs.mkdir()
        self._root.mkdir()
        assert self._child(self._job.prepare) == 0
        shutil.copytree(self._root, self._pristine)

    def places(self) -> collections.Counter[str]:
        """The calls of an undisturbed run, by kind."""
        log = self._folder / "calls"

        def logged() -> None:
            with log.open("w") as file:
                self._shim.fault_log(file.fileno())
                self._job.run()

        assert self._child(logged) == 0
        return collections.Counter(log.read_text().splitlines())

    def try_all(
        self, modes: list[str], repeats: int, part: slice = slice(None)
    ) -> dict[str, int]:
        """Places tried, by mode, and how many of them lost something.

        Those that a later run does not reach are counted as missed: writers at work
        together are not always equally far, and random names need not have a digit.
        """
        kinds = self.places()
        places = [
            (kind, number)
            for kind, count in kinds.items()
            for number in _spread(count, repeats or count)
        ][part]
        tried = {"places": kinds.total(), "kinds": len(kinds), "missed": 0, "lost": 0}
        for mode in modes:
            tried[mode] = 0
            for kind, number in places:
                try:
                    reached = self._try(kind, number, mode)
                except AssertionError as error:
                    reached = True
                    tried["lost"] += 1
                    print(f"LOST: {error}", file=sys.stderr, flush=True)
                tried[mode if reached else "missed"] += 1
            print(f"{mode}: {tried[mode]} places", file=sys.stderr, flush=True)
        return tried

    def kill(self, times: int) -> dict[str, int]:
        """Kills the job at random moments of the time that it takes."""
        self._reset()
        start = time.monotonic()
        assert self._child(self._job.run) == 0
        seconds = time.monotonic() - start
        drawn, killed = random.Random(0), 0
        for number in range(times):
            self._reset()
            moment = drawn.uniform(0, seconds)
            killed += self._child(self._job.run, kill_after=moment) == -signal.SIGKILL
            assert self._child(self._afterwards) == 0, f"kill {number} at {moment:.2f}"
        return {"kills": times, "before_the_end": killed}

    def _reset(self) -> None:
        for folder in (self._root, self._root.with_name("root.gone")):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self._pristine, self._root)

    def _try(self, kind: str, number: int, mode: str) -> bool:
        """Whether the place was reached."""
        struck = self._folder / "struck"

        def with_fault() -> None:
            self._shim.fault_arm(kind.encode(), number, MODES[mode])
            try:
                self._job.run()
            finally:
                if self._shim.fault_struck():
                    struck.touch()

        self._reset()
        struck.unlink(missing_ok=True)
        place = f"{mode} at call {number} of the kind {kind}"
        status = self._child(with_fault)
        # Some calls fail without harm, as those for a cache or a last message.
        expected = (0, _REFUSED) if mode != "KILL" else (0, _REFUSED, -signal.SIGKILL)
        assert status in expected, f"{place}: ended with {status}"
        if mode == "GONE":
            if status == 0:
                assert self._child(self._is_new) == 0, f"{place}: said to be there"
            # What a library has made anew since then is the user's to remove.
            shutil.rmtree(self._root, ignore_errors=True)
            self._root.mkdir()
        left = self._left()
        if left not in self._gone_on_from:
            afterwards = self._again if mode == "GONE" else self._afterwards
            assert self._child(afterwards) == 0, place
            self._gone_on_from.add(left)
        return struck.exists() or status == -signal.SIGKILL

    def _left(self) -> str:
        """A digest of the files that there are now."""
        found = hashlib.sha256()
        for path in sorted(self._root.rglob("*")):
            found.update(f"{path} {path.is_file()}\n".encode())
            if path.is_file():
                found.update(hashlib.sha256(path.read_bytes()).digest())
        return found.hexdigest()

    def _is_new(self) -> None:
        assert self._job.state() == "new"

    def _afterwards(self) -> None:
        state = self._job.state()
        assert state in ("old", "new"), state
        self._again()

    def _again(self) -> None:
        self._job.run()
        assert self._job.state() == "new", "not finished the second time"
        self._job.check()
        left = set(os.listdir(self._root)) - {"output"}
        assert not left, f"left behind: {left}"

    def _child(self, work: Callable[[], None], kill_after: float | None = None) -> int:
        """Exit status of a copy of this process that does the work."""
        from xabl.errors import UserError

        sys.stdout.flush(), sys.stderr.flush()
        process = os.fork()
        if process:
            if kill_after is not None:
                time.sleep(kill_after)
                os.kill(process, signal.SIGKILL)
            return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        status = _BUG
        os.dup2(2, 1)  # standard output is for what was found
        signal.alarm(_SECONDS)
        try:
            work()
            status = 0
        except UserError as error:
            message = str(error)
            if work.__name__ != "with_fault":  # where nothing was to fail
                print(message, file=sys.stderr)
            if len(message.splitlines()[0]) > 20:
                status = _REFUSED
        except OSError:  # which the commands say in a line (`from_system`)
            status = _REFUSED
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(status)


def _spread(count: int, repeats: int) -> list[int]:
    """As many numbers below `count`, evenly from the first to the last."""
    step = (count - 1) / max(repeats - 1, 1)
    return sorted({round(number * step) for number in range(repeats)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", choices=JOBS)
    parser.add_argument("--repeats", type=int, default=0)
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument("--places", default=":", help="such as 40:90, of all")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--run", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if not given.run:
        with tempfile.TemporaryDirectory() as folder:
            flags = {name: value for name, value in vars(given).items() if value}
            program, environment = command(flags.pop("job"), Path(folder), **flags)
            sys.exit(subprocess.run(program, env=environment, cwd=ROOT).returncode)
    # Imported once, for all the copies to come; none of them starts JAX here.
    import tensorboardX  # noqa: F401

    import xabl.ablation.run
    import xabl.analysis.report
    import xabl.pretraining.train  # noqa: F401
    from tests.helpers import ablation_binaries, tiny_runs  # noqa: F401
    from xabl.data.regions import scout

    scout._scout = None  # a process more for each of them

    folder = Path(os.environ["FAULT_ROOT"]).parent
    attempts = Attempts(JOBS[given.job], folder)
    attempts.prepare()
    if given.kills:
        tried = attempts.kill(given.kills)
    else:
        ends = [int(end) if end else None for end in given.places.split(":")]
        tried = attempts.try_all(given.modes.split(","), given.repeats, slice(*ends))
    print(given.job, *(f"{name}={count}" for name, count in tried.items()))
    sys.exit(tried.get("lost", 0) > 0)


if __name__ == "__main__":
    main()
