"""Output that is there whole or not at all."""

import contextlib
import glob
import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

from xabl.errors import UserError


@contextlib.contextmanager
def new_file(path: Path | str, overwrite: bool = False) -> Iterator[Path]:
    """Gives a temporary path beside `path`, moved there when the block ends well.

    What a killed process left beside `path` is removed.

    Raises:
        UserError: `path` exists and is not to be overwritten, or its folder cannot be
            written to.
    """
    path = Path(path)
    with _new(path, overwrite) as temporary:
        yield temporary
        os.replace(temporary, path)


@contextlib.contextmanager
def new_directory(path: Path | str, overwrite: bool = False) -> Iterator[Path]:
    """Gives an empty temporary folder beside `path`, moved there as `new_file` does."""
    path = Path(path)
    with _new(path, overwrite) as temporary:
        temporary.mkdir()
        yield temporary
        # A folder that holds something cannot be replaced in one step.
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


_PARTIAL, _OLD = ".partial", ".old"


@contextlib.contextmanager
def _new(path: Path, overwrite: bool) -> Iterator[Path]:
    temporary = path.parent / f".{path.name}.{platform.node()}.{os.getpid()}{_PARTIAL}"
    try:
        _tidy(path)
        if path.exists() and not overwrite:
            raise UserError(
                f"{path} exists already; choose another path, or --overwrite"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(temporary)
        yield temporary
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror or error}); choose another "
            "output or make room"
        ) from error
    finally:
        _remove(temporary)


def _tidy(path: Path) -> None:
    """Ends what processes of this machine began at `path` before they were killed."""
    beginning = f".{path.name}.{platform.node()}."
    for name in glob.glob(f"{glob.escape(beginning)}*", root_dir=path.parent):
        process, suffix = os.path.splitext(name.removeprefix(beginning))
        if suffix not in (_PARTIAL, _OLD) or not process.isdecimal():
            continue
        if _is_running(int(process)):
            continue
        left = path.parent / name
        if suffix == _OLD and not path.exists():
            os.rename(left, path)  # killed between the two renames
        else:
            _remove(left)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()
