"""A lock that a dead process does not keep, on shared file systems too.

A lock is a folder. Whoever wants it first puts a file of its own there, then looks who
else has one: if nobody alive has, the lock is its own; otherwise it takes its file away
again. Names are never used twice, so a dead process's file can be removed by anyone at
any time, and no two processes can find themselves alone: the later of two files was
made before its owner looked. That needs nothing of a file system but that a new file
is seen by whoever lists the folder next.

A process of the same machine is dead when its number is no longer that of a process
started at the same moment. One of another machine is dead when it has not renewed its
file for `EXPIRES_AFTER` seconds by the file system's own clock.

A process that was suspended for so long may find its file gone, and somebody else at
work. So nothing is put in place (`xabl.support.atomic`), and no scores or checkpoints
are kept, before `check` has renewed all that this process holds, or refused.
"""

import contextlib
import dataclasses
import errno
import functools
import hashlib
import json
import os
import platform
import random
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

from xabl.errors import UserError
from xabl.support.files import read_bytes

RENEWED_EVERY = 15.0
EXPIRES_AFTER = 120.0
# As long as a process that died a moment ago may seem to hold what it took.
UNTIL_FREE = EXPIRES_AFTER + 2 * RENEWED_EVERY
_SEPARATOR = "-"  # of the parts of a file's name
_ATTEMPTS = 8  # when several want a lock at the same moment
_SECONDS_BETWEEN_LOOKS = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Holder:
    """The process that has a lock.

    machine: its name, this start of it, and the container; within one the number of
        a process says which it is.
    process_start: as the system counts; None where it does not tell.
    since: UTC seconds. purpose: in words, for messages.
    """

    host: str
    machine: str
    process: int
    process_start: str | None
    since: float
    purpose: str = ""

    @property
    def is_here(self) -> bool:
        """Whether it is of this machine, which knows who is alive."""
        return self.machine == _machine()

    def __str__(self) -> str:
        since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(self.since))
        doing = f", {self.purpose}" if self.purpose else ""
        return f"process {self.process} on {self.host}, since {since}{doing}"


class Held(UserError):
    """Somebody else has the lock.

    holder: who.
    """

    def __init__(self, message: str, holder: Holder):
        super().__init__(message)
        self.holder = holder


class Lost(UserError):
    """This process had a lock, and another has taken it for abandoned."""


class Lease:
    """A lock held by this process; a context manager that gives it back.

    It is renewed in the background. A process that was stopped for longer than
    `EXPIRES_AFTER` may have lost it: see `check`.
    """

    def __init__(self, folder: Path, file: Path):
        self._folder, self._file = folder, file
        _renewal.add(folder, file)

    @property
    def is_mine(self) -> bool:
        """Whether nobody has taken the lock for abandoned; if so, it is renewed."""
        return _renewed(self._file)

    def release(self) -> None:
        """Gives the lock back; once or more often."""
        _renewal.remove(self._file)
        _take_away(self._folder, self._file)

    def __enter__(self) -> "Lease":
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()


def check() -> None:
    """Renews all locks of this process; to be called before anything is put in place.

    Asks the file system, so that no cache of it answers. Nobody takes the locks for
    abandoned in the `EXPIRES_AFTER` seconds that follow.

    Raises:
        Lost: another process has one of them, or had it.
        OSError: the file system does not answer.
    """
    _renewal.renew()


def acquire(folder: Path | str, purpose: str = "", patience: float = 0.0) -> Lease:
    """Takes the lock, or says who has it.

    Args:
        folder: of the lock; made and removed again.
        purpose: what for, in words.
        patience: seconds to wait for it, which is said.

    Raises:
        Held: a process that is alive, or may be, has it.
        OSError: the folder cannot be written.
    """
    deadline, has_said = time.monotonic() + patience, False
    while True:
        try:
            return _acquired(Path(folder), purpose)
        except Held as error:
            if time.monotonic() >= deadline:
                raise
            if not has_said:
                print(f"{error}; waiting, {patience:.0f} s at most", file=sys.stderr)
                has_said = True
            time.sleep(min(_SECONDS_BETWEEN_LOOKS, patience))


def _acquired(folder: Path, purpose: str) -> Lease:
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(random.uniform(0.02, 0.1) * 2**attempt / 4)
        others = holders(folder)
        if not others:
            file = _announce(folder, purpose)
            others = holders(folder, but=file)
            if not others:
                return Lease(folder, file)
            _take_away(folder, file)
        if any(time.time() - other.since > 1 for other in others):
            break  # it has been there; nobody withdraws
    raise Held(f"{folder}: held by {others[0]}", others[0])


def holders(folder: Path | str, but: Path | None = None) -> list[Holder]:
    """Processes with a file in a lock's folder; those of dead ones are removed."""
    found = []
    for path in sorted(Path(folder).glob("*.json")):
        if path == but:
            continue
        try:
            holder = _read(path)
            alive = _is_alive(holder, path)
        except (FileNotFoundError, NotADirectoryError):
            continue  # given back meanwhile
        if alive:
            found.append(holder)
        else:
            with contextlib.suppress(OSError):  # gone, or not ours to remove
                path.unlink()
    return found


def _announce(folder: Path, purpose: str) -> Path:
    me = Holder(
        host=platform.node(),
        machine=_machine(),
        process=os.getpid(),
        process_start=_process_start(os.getpid()),
        since=time.time(),
        purpose=purpose,
    )
    content = json.dumps(dataclasses.asdict(me)).encode()
    own = _SEPARATOR.join([_short(me.machine), str(me.process), me.process_start or ""])
    file = folder / f"{own}{_SEPARATOR}{uuid.uuid4().hex}.json"
    for _ in range(_ATTEMPTS):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            number = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileNotFoundError:
            continue  # the last holder has just removed the folder
        try:
            os.write(number, content)
        except OSError:
            _take_away(folder, file)
            raise
        finally:
            os.close(number)
        return file
    raise OSError(f"{folder}: is removed again and again")


def _take_away(folder: Path, file: Path) -> None:
    with contextlib.suppress(OSError):
        file.unlink()
    with contextlib.suppress(OSError):  # somebody else's file is there
        folder.rmdir()


def _read(file: Path) -> Holder:
    """Whose a file is, by what it says, or by its name while it is half written.

    A process may be killed just then, or its disk be full.
    """
    try:
        return Holder(**json.loads(read_bytes(file)))
    except (ValueError, TypeError):
        since = file.stat().st_mtime
    machine, process, start, *_ = [*file.stem.split(_SEPARATOR), "", ""]
    is_here = machine == _short(_machine()) and process.isdecimal()
    return Holder(
        host=platform.node() if is_here else "another machine",
        machine=_machine() if is_here else "?",
        process=int(process) if process.isdecimal() else 0,
        process_start=start or None,
        since=since,
    )


def _short(machine: str) -> str:
    return hashlib.sha256(machine.encode()).hexdigest()[:16]


def _is_alive(holder: Holder, file: Path) -> bool:
    if not holder.is_here:
        return _age(file) < EXPIRES_AFTER
    if not process_exists(holder.process):
        return False
    start = _process_start(holder.process)
    if start is None:  # ended just now, or not shown to other users
        return process_exists(holder.process)
    return start == holder.process_start


def process_exists(process: int) -> bool:
    """Whether this machine has a process of that number, whoever's it is."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):  # or no process can have that number
        return False
    except PermissionError:
        pass  # another user's
    return True


def _age(file: Path) -> float:
    """Seconds since a file was renewed, by the clock of the file system.

    Clocks of machines differ; a file made now in the same folder has the time that
    renewals are measured in. Who may only read has but the own clock.
    """
    try:
        with tempfile.TemporaryFile(dir=file.parent) as new:
            now = os.fstat(new.fileno()).st_mtime
    except OSError:
        now = time.time()
    return now - file.stat().st_mtime


@functools.cache
def _machine() -> str:
    """This machine since it was started, and the container on it."""
    parts = [platform.node()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with contextlib.suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _process_start(process: int) -> str | None:
    """When a process was started, in the system's count; None if it does not say."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    # A process that has ended, but was not waited for, holds nothing.
    return "ended" if fields[0] in "ZX" else fields[19]


def _renewed(file: Path) -> bool:
    """Whether a file was still there, to be renewed."""
    try:
        os.utime(file)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ESTALE):
            return False
        raise
    return True


class _Renewal:
    """The locks of this process, which a thread renews."""

    def __init__(self):
        # Steps on a dict are whole; a lock would stay locked in a forked process.
        self._folders: dict[Path, Path] = {}
        self._has_thread = False

    def add(self, folder: Path, file: Path) -> None:
        self._folders[file] = folder
        if not self._has_thread:
            self._has_thread = True
            threading.Thread(target=self._run, name="leases", daemon=True).start()

    def remove(self, file: Path) -> None:
        self._folders.pop(file, None)

    def renew(self) -> None:
        for file, folder in list(self._folders.items()):
            # Given back by another thread meanwhile, it is not lost.
            if not _renewed(file) and file in self._folders:
                raise Lost(
                    f"{folder}: the lock of this process is gone: the folder was "
                    "removed meanwhile, or this process was stopped for more than "
                    f"{EXPIRES_AFTER:.0f} s, and another took it for dead and does its "
                    "work now; nothing more is written here; if no other does the "
                    "work, give the same command again"
                )

    def _run(self) -> None:
        while True:
            time.sleep(RENEWED_EVERY)
            # Who has lost one hears of it before the next thing is written.
            with contextlib.suppress(OSError, Lost):
                self.renew()


_renewal = _Renewal()
