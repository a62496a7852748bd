"""Runs a job once for every place where a write, sync, rename or mkdir can fail.

    python -m tests.helpers.faults import [--every=1] [--modes=ENOSPC,EIO,KILL]
    python -m tests.helpers.faults import --kills=10    at random moments instead

What fails is any such call of the process below its output's folder, whatever library
makes it (faults.c, which is loaded before the others). Each attempt is a copy of one
process that has imported everything. Afterwards the output is the old or the new one;
the same job, given again, finishes; and nothing is left beside its result.
"""

import argparse
import ctypes
import errno
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
MODES = {"ENOSPC": -errno.ENOSPC, "EIO": errno.EIO, "KILL": 0}
_REFUSED, _BUG = 1, 99
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
    """Tries one job at every place.

    job: `prepare` makes what it reads and an old output, `run` runs it, `state` says
        whether the output is "old" or "new", or raises.
    """

    def __init__(self, job: "Job", folder: Path):
        self._job, self._folder = job, folder
        self._shim = ctypes.CDLL(os.environ["FAULT_LIBRARY"])
        self._shim.fault_arm.argtypes = ctypes.c_long, ctypes.c_int
        self._shim.fault_count.restype = ctypes.c_long
        self._root = Path(os.environ["FAULT_ROOT"])

        self._inputs, self._pristine = folder / "inputs", folder / "pristine"

    def prepare(self) -> int:
        """Makes the files; returns the number of places where the job can fail."""
        self._inputs.mkdir()
        assert self._child(lambda: self._job.prepare(self._inputs, self._root)) == 0
        shutil.copytree(self._root, self._pristine)
        return self._count()

    def try_all(self, total: int, modes: list[str], every: int) -> dict[str, int]:
        """Places tried, by mode; raises at the first that loses something."""
        tried = {"places": total}
        for mode in modes:
            numbers = range(0, total, every)
            for number in numbers:
                self._reset()
                self._try(number, mode)
            tried[mode] = len(numbers)
            print(f"{mode}: {len(numbers)} places", file=sys.stderr, flush=True)
        return tried

    def kill(self, times: int) -> dict[str, int]:
        """Kills the job at random moments of the time that it takes."""
        self._reset()
        start = time.monotonic()
        assert self._child(lambda: self._job.run(self._inputs, self._root)) == 0
        seconds = time.monotonic() - start
        drawn, killed = random.Random(0), 0
        for number in range(times):
            self._reset()
            moment = drawn.uniform(0, seconds)
            run = lambda: self._job.run(self._inputs, self._root)  # noqa: E731
            killed += self._child(run, kill_after=moment) == -9
            assert self._child(self._afterwards) == 0, f"kill {number} at {moment:.2f}"
        return {"kills": times, "before_the_end": killed}

    def _reset(self) -> None:
        shutil.rmtree(self._root)
        shutil.copytree(self._pristine, self._root)

    def _count(self) -> int:
        reached = self._folder / "count"

        def counted() -> None:
            self._shim.fault_arm(2**31, 0)
            self._job.run(self._inputs, self._root)
            reached.write_text(str(self._shim.fault_count()))

        assert self._child(counted) == 0
        return int(reached.read_text())

    def _try(self, number: int, mode: str) -> None:
        def with_fault() -> None:
            self._shim.fault_arm(number, MODES[mode])
            self._job.run(self._inputs, self._root)

        status = self._child(with_fault)
        # Some calls fail without harm, as those for a cache or a last message.
        expected = (0, _REFUSED) if mode != "KILL" else (0, _REFUSED, -9)
        assert status in expected, f"{mode} at call {number}: ended with {status}"
        assert self._child(self._afterwards) == 0, f"{mode} at call {number}"

    def _afterwards(self) -> None:
        state = self._job.state(self._root)
        assert state in ("old", "new"), state
        self._job.run(self._inputs, self._root)
        assert self._job.state(self._root) == "new", "not finished the second time"
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
        try:
            work()
            status = 0
        except UserError as error:
            message = str(error)
            if work == self._afterwards:
                print(message, file=sys.stderr)
            if len(message.splitlines()[0]) > 20:
                status = _REFUSED
        except OSError:  # which the commands say in a line (`from_system`)
            status = _REFUSED
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(status)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", choices=JOBS)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--run", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if not given.run:
        with tempfile.TemporaryDirectory() as folder:
            flags = {name: vars(given)[name] for name in ("every", "modes", "kills")}
            program, environment = command(given.job, Path(folder), **flags)
            sys.exit(subprocess.run(program, env=environment, cwd=ROOT).returncode)
    # Imported once, for all the copies to come; none of them starts JAX here.
    import xabl.ablation.run
    import xabl.analysis.report
    import xabl.pretraining.train  # noqa: F401
    from xabl.data.regions import scout

    scout._scout = None  # a process more for each of them

    folder = Path(os.environ["FAULT_ROOT"]).parent
    attempts = Attempts(JOBS[given.job](), folder)
    total = attempts.prepare()
    if given.kills:
        tried = attempts.kill(given.kills)
    else:
        tried = attempts.try_all(total, given.modes.split(","), given.every)
    print(given.job, *(f"{name}={count}" for name, count in tried.items()))


if __name__ == "__main__":
    main()
