"""Output that is there whole or not at all."""

import contextlib
import ctypes
import errno
import functools
import glob
import hashlib
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from xabl.errors import UserError, from_system
from xabl.support import lease


@contextlib.contextmanager
def new_file(
    path: Path | str, overwrite: bool = False, begins: bytes = b""
) -> Iterator[Path]:
    """Gives a temporary path beside `path`, moved there when the block ends well.

    What a killed process left beside `path` is removed. A link stays one: what it
    leads to is written.

    Args:
        begins: first bytes that tell a file of this kind: one with others, unless it is
            empty, is somebody else's and is not overwritten.

    Raises:
        UserError: `path` exists and is not to be overwritten, or is no file; its folder
            cannot be written to.
        Lost: another process has taken this one's work; see `xabl.support.lease`.
    """
    path = _followed(path)
    other = functools.partial(_other_than_a_file, begins)
    with _new(path, overwrite, other) as temporary:
        yield temporary
        lease.check()
        os.replace(temporary, path)


@contextlib.contextmanager
def new_directory(
    path: Path | str, overwrite: bool = False, holds: str = ""
) -> Iterator[Path]:
    """Gives an empty temporary folder beside `path`, moved there as `new_file` does.

    Args:
        holds: a name that tells a folder of this kind: one without it, unless it is
            empty, is somebody else's and is not overwritten.
    """
    path = _followed(path)
    other = functools.partial(_other_than_a_folder, holds)
    with _new(path, overwrite, other) as temporary:
        temporary.mkdir()
        made = temporary.stat()
        yield temporary
        if not os.path.samestat(made, temporary.stat()):
            # Some libraries make folders anew where they do not find them.
            raise FileNotFoundError(errno.ENOENT, "it was removed meanwhile")
        lease.check()
        if path.exists() and _exchanged(temporary, path):
            return  # the old one goes with the temporary name
        # Where that cannot be: two steps, of which `_tidy` ends the second.
        old = temporary.with_suffix(_OLD)
        if path.exists():
            os.rename(path, old)
        try:
            os.rename(temporary, path)
        except OSError:
            if old.exists():
                os.rename(old, path)
            raise
        _remove(old)


def _exchanged(one: Path, other: Path) -> bool:
    """Swaps two names in one step, if this system and disk can."""
    try:
        exchange = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    here, both = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    if exchange(here, os.fsencode(one), here, os.fsencode(other), both) == 0:
        return True
    error = ctypes.get_errno()
    if error in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
        return False
    raise OSError(error, os.strerror(error), str(other))


# Behind the names of what is not complete, and of what is being replaced.
PARTIAL, _OLD = ".partial", ".old"
_LONGEST_NAME = 140  # bytes; file systems allow 255


def _followed(path: Path | str) -> Path:
    """What a link leads to, also where there is nothing yet."""
    return Path(os.path.realpath(path) if os.path.islink(path) else path)


def _other_than_a_file(begins: bytes, path: Path) -> str | None:
    if not path.is_file():
        return "is no file"
    with open(path, "rb") as file:
        found = file.read(len(begins))
    return "holds something else" if found and found != begins else None


def _other_than_a_folder(holds: str, path: Path) -> str | None:
    if not path.is_dir():
        return "is no folder"
    if any(path.iterdir()) and not os.path.lexists(path / holds):
        return f"holds something else (no {holds} in it)"
    return None


@contextlib.contextmanager
def _new(
    path: Path, overwrite: bool, other: Callable[[Path], str | None]
) -> Iterator[Path]:
    temporary = path.parent / f"{_beginning(path)}{os.getpid()}{PARTIAL}"
    try:
        _tidy(path)
        check_place(path)
        if path.exists() and other(path):
            raise UserError(
                f"{path} {other(path)}, so it is never replaced; choose another path"
            )
        if path.exists() and not overwrite:
            raise UserError(
                f"{path} exists already; choose another path, or --overwrite"
            )
        with folder_for(path):
            _remove(temporary)
            try:
                yield temporary
            except lease.Lost:
                raise
            except (UserError, OSError) as error:
                if not path.parent.is_dir():
                    raise UserError(
                        f"{path} cannot be written: its folder was removed meanwhile; "
                        "give the same command again"
                    ) from error
                said = str(error)
                if isinstance(error, OSError) or str(temporary) not in said:
                    raise
                # Of a file inside, by the name it has for now.
                raise UserError(said.replace(str(temporary), str(path))) from error
            finally:
                with contextlib.suppress(OSError):  # the first error is to be reported
                    _remove(temporary)
    except OSError as error:
        if _is_elsewhere(error, path):  # something that was read meanwhile
            raise from_system(error) from error
        cure = "choose another output"
        if error.errno in (errno.ENOSPC, errno.EDQUOT, None):
            cure += " or make room"
        raise UserError(
            f"{path} cannot be written ({error.strerror or error}); {cure}"
        ) from error


@contextlib.contextmanager
def folder_for(path: Path | str) -> Iterator[None]:
    """Makes the folder that `path` will be in, and those above it.

    Those of them that are empty when the block ends, as after an error, go again.
    """
    path = Path(path)
    made = [folder for folder in path.absolute().parents if not folder.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        for folder in made:
            with contextlib.suppress(OSError):  # it is used, or gone
                folder.rmdir()


def check_place(path: Path | str) -> None:
    """Asks whether something can be moved there, before it is made.

    Raises:
        UserError: a disk is mounted there, or a link leads to itself.
    """
    path = _followed(path)
    if os.path.ismount(path):
        raise UserError(
            f"{path} is where a disk is mounted, which nothing can be moved over; give "
            "a new name in it"
        )
    if os.path.islink(path):
        raise UserError(f"{path} is a link that leads to itself; choose another path")


def check_room(path: Path | str, needed: int) -> None:
    """Asks for free space before a large file is begun.

    Args:
        needed: bytes, of which so many have to be free where `path` will be.

    Raises:
        UserError: there is less.
    """
    folder = Path(path).absolute().parent
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{path} cannot be written (it needs {needed >> 20} MiB, {free >> 20} MiB "
            "are free); make room, or choose another output"
        )


def _is_elsewhere(error: OSError, path: Path) -> bool:
    """Whether an error names a file that is not part of the output."""
    if not isinstance(error.filename, (str, os.PathLike)):
        return False
    folder = os.path.abspath(path.parent)
    named = os.path.abspath(error.filename)
    own = _beginning(path)
    is_output = named == os.path.abspath(path) or named.startswith(
        os.path.join(folder, own)
    )
    return not is_output and not folder.startswith(named)


def _short(name: str) -> str:
    """A name that leaves room for what is put before and behind it."""
    if len(os.fsencode(name)) <= _LONGEST_NAME:
        return name
    return name[:50] + hashlib.sha256(os.fsencode(name)).hexdigest()[:32]


def _beginning(path: Path) -> str:
    """What the names of temporary files for `path` begin with."""
    return f".{_short(path.name)}.{platform.node()[:60]}."


def _tidy(path: Path) -> None:
    """Ends what processes of this machine began at `path` before they were killed."""
    beginning = _beginning(path)
    for name in glob.glob(f"{glob.escape(beginning)}*", root_dir=path.parent):
        process, suffix = os.path.splitext(name.removeprefix(beginning))
        if suffix not in (PARTIAL, _OLD) or not process.isdecimal():
            continue
        if lease.process_exists(int(process)):
            continue
        left = path.parent / name
        if suffix == _OLD and not path.exists():
            os.rename(left, path)  # killed between the two renames
        else:
            _remove(left)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()
