"""Reads HDF5 files in a child process first, because the library may crash on them.

The HDF5 library trusts what a file says: a damaged file can end the process that reads
it. So a child process reads, a step ahead, whatever this process is about to read. If
the child dies or hangs, the user is told the file and the image, and this process never
reads them.
"""

import atexit
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from xabl.errors import UserError, from_system

_SECONDS = 120.0  # for one image; it takes milliseconds
AHEAD = 200  # images per request; their ids fit into a pipe
_START = "import sys, json; sys.path[:] = json.loads(sys.argv[1]); " + (
    "from xabl.data.regions import open_regions, scout; scout.serve(open_regions)"
)


class _Scout:
    """The child, started when it is first needed."""

    def __init__(self):
        self._process: subprocess.Popen | None = None
        self._owner = 0
        self._lock = threading.Lock()

    def visit(self, path: Path, image_ids: Sequence[str | None]) -> None:
        """Returns when the child has read all of them, well or not.

        Raises:
            UserError: it died, or did not come back.
        """
        asked = [json.dumps([str(path.absolute()), i]) + "\n" for i in image_ids]
        with self._lock:
            child = self._child()
            try:
                _write(child.stdin.fileno(), "".join(asked).encode())
                for image_id in image_ids:
                    ready = select.select([child.stdout], [], [], _SECONDS)[0]
                    if not ready or not os.read(child.stdout.fileno(), 1):
                        place = "" if image_id is None else f" at image {image_id}"
                        what = "crashes" if ready else "does not come to an end"
                        raise UserError(
                            f"{path}: cannot be read: the HDF5 library {what}{place}; "
                            "the file is damaged: make or fetch it again"
                        )
            except BaseException:  # also Ctrl-C: answers would come to the next asker
                self.end()
                raise

    def end(self) -> None:
        """Ends the child, if there is one."""
        process, self._process = self._process, None
        if process is not None and self._owner == os.getpid():
            process.kill()
            process.communicate()

    def _child(self) -> subprocess.Popen:
        if (
            self._owner != os.getpid()
            or self._process is None
            or self._process.poll() is not None
        ):
            self.end()
            self._owner = os.getpid()
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-c", _START, json.dumps(sys.path)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    bufsize=0,
                    start_new_session=True,  # Ctrl-C is for us
                )
            except OSError as error:
                raise from_system(error, sys.executable) from error
        return self._process


def _write(file: int, content: bytes) -> None:
    """Writes all of it; a reader that died is found by what it does not answer."""
    with contextlib.suppress(BrokenPipeError):
        while content:
            content = content[os.write(file, content) :]


_scout: _Scout | None = _Scout()
atexit.register(lambda: _scout and _scout.end())


def visit(path: Path, image_ids: Sequence[str | None] = (None,)) -> None:
    """Has a file opened, or images read from it, by the other process.

    Args:
        image_ids: None stands for opening the file and nothing more.

    Raises:
        UserError: that process died of it.
    """
    if _scout is None:  # this is that process
        return
    for first in range(0, len(image_ids), AHEAD):
        _scout.visit(path, image_ids[first : first + AHEAD])


def serve(open_regions: Callable[[str], Any]) -> None:
    """Runs in the child: reads, and answers each request with a byte.

    Args:
        open_regions: `recognise.open_regions`; given, because what it opens imports
            this module.
    """
    global _scout
    _scout = None
    source, seen = None, None
    for line in sys.stdin.buffer:
        path, image_id = json.loads(line)
        _end_after(_SECONDS + 10)
        try:
            if image_id is None or seen != path:
                if source is not None:
                    source.close()
                source, seen = None, None
                source, seen = open_regions(path), path
                source.image_ids  # noqa: B018
            if image_id is not None:
                source.read(image_id)
        except Exception:  # the process that asked finds it again, and says so
            pass
        _end_after(0)
        sys.stdout.buffer.write(b".")
        sys.stdout.buffer.flush()


def _end_after(seconds: float) -> None:
    """Ends this process then, wherever it is: its owner may be gone. 0: not at all.

    An alarm that nobody handles ends a process also while the HDF5 library never
    returns to Python.
    """
    if hasattr(signal, "setitimer"):  # not on Windows
        signal.setitimer(signal.ITIMER_REAL, seconds)
