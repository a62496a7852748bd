"""The binaries as a user runs them."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


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
    arguments = [
        f"--{name}={one}"
        for name, value in flags.items()
        for one in (value if isinstance(value, list) else [value])
        if one is not None
    ]
    return [sys.executable, "-m", module, *arguments]


def environment(cache: Path | None = None) -> dict[str, str]:
    """For a process that keeps compiled programs in `cache`."""
    return os.environ | ({} if cache is None else {"XDG_CACHE_HOME": str(cache)})


def run(module: str, *, cache: Path | None = None, **flags: object) -> Finished:
    """Runs a binary to its end, which is never a stack trace."""
    done = subprocess.run(
        command(module, **flags),
        cwd=ROOT,
        env=environment(cache),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return Finished(status=done.returncode, out=done.stdout, err=done.stderr)
