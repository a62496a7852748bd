"""The binaries as a user runs them."""

import atexit
import dataclasses
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]

# A binary spends two seconds on importing JAX before it refuses a flag. These are
# forked from a server that has imported the libraries and begun nothing: processes
# with flags, devices, signals and an exit status of their own, as if just started.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.helpers.imported_before"])


_QUICK = "JAX_DISABLE_MOST_OPTIMIZATIONS"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finished:
    """How a binary ended: exit status, standard output, standard error."""

    status: int
    out: str
    err: str


def command(module: str, **flags: object) -> list[str]:
    """`python -m module --flag=value ...`.

    Flags that are None are left out; those with a list are repeated.
    """
    return [sys.executable, "-m", module, *_arguments(flags)]


def environment(cache: Path | None = None, *, quick: bool = False) -> dict[str, str]:
    """Of a process.

    Args:
        cache: where it keeps compiled programs.
        quick: it compiles in a third of the time; what is computed is the same.
    """
    return (
        os.environ
        | ({} if cache is None else {"XDG_CACHE_HOME": str(cache)})
        | ({_QUICK: "1"} if quick else {})
    )


def run(
    module: str, *, cache: Path | None = None, quick: bool = False, **flags: object
) -> Finished:
    """Runs a binary to its end, which is never a stack trace."""
    words = _arguments(flags)
    return run_words(module, *words, environment=environment(cache, quick=quick))


def run_words(
    module: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> Finished:
    """The same, with arguments as they stand on a command line.

    What JAX reads when it is imported (`JAX_...`) is as it was at the first call, but
    for how it compiles.
    """
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = _FORKS.Process(
            target=_run_module,
            args=(module, arguments, dict(environment or os.environ), out, err),
        )
        process.start()
        process.join(timeout=300)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"{module} {arguments}: {err.read_text()}")
        done = Finished(
            status=process.exitcode, out=out.read_text(), err=err.read_text()
        )
    assert "Traceback" not in done.out + done.err, done.err
    return done


_WAITS = """
import os, runpy, time
from xabl.support import files
def wait(*given):
    os.write({writing}, b".")
    time.sleep(60)
files.read_text = wait
runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
"""


def interrupted(module: str, **flags: object) -> Finished:
    """Runs a binary, and sends it Ctrl-C while it reads its first text."""
    reading, writing = os.pipe()
    script = _WAITS.format(module=module, writing=writing)
    process = subprocess.Popen(
        [sys.executable, "-c", script, *_arguments(flags)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=[writing],
    )
    os.close(writing)
    with open(reading, "rb") as began:
        assert began.read(1) == b"."
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return Finished(status=process.returncode, out=out, err=err)


def _arguments(flags: Mapping[str, object]) -> list[str]:
    return [
        f"--{name}={one}"
        for name, value in flags.items()
        for one in (value if isinstance(value, list) else [value])
        if one is not None
    ]


def _run_module(
    module: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    out: Path,
    err: Path,
) -> None:
    """`python -m module arguments > out 2> err`, in a process made for it."""
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    for descriptor, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    sys.stdout = open(1, "w", closefd=False)
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    sys.argv = [module, *arguments]
    import jax

    jax.config.update("jax_disable_most_optimizations", _QUICK in environment)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        # A fork leaves them out, since they are its parent's. Here, it has taken over.
        atexit._run_exitfuncs()
