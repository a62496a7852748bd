"""Processes that share an accelerator: all compile at once, then take turns.

Compiling takes most of the time and hardly any of the device. Where a folder is named
in the environment, a process says there that it is ready, waits until all others are
(or have ended), and then holds a lock while it measures.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

FOLDER = "XABL_BENCHMARK_TURNS"


@contextlib.contextmanager
def alone(part: str) -> Iterator[None]:
    """While this is held nobody else measures; at once where nobody shares."""
    folder = os.environ.get(FOLDER)
    if folder is None:
        yield
        return
    is_ready(Path(folder), part)
    while any(Path(folder).glob("*.waited_for")):
        time.sleep(0.2)
    with open(Path(folder) / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def is_ready(folder: Path, part: str) -> None:
    """Nobody waits for this part any more."""
    _flag(folder, part).unlink(missing_ok=True)


def wait_for(folder: Path, part: str) -> None:
    """Others wait until this part is ready."""
    _flag(folder, part).touch()


def _flag(folder: Path, part: str) -> Path:
    return folder / f"{part.replace(':', '_').replace('/', '_')}.waited_for"
