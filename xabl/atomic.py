"""Output that is there whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from xabl.errors import UserError


@contextlib.contextmanager
def new_file(path: Path | str, overwrite: bool = False) -> Iterator[Path]:
    """Gives a temporary path beside `path`, moved there when the block ends well.

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
        old = temporary.with_suffix(".old")
        if path.exists():
            os.rename(path, old)
        os.rename(temporary, path)
        _remove(old)


@contextlib.contextmanager
def _new(path: Path, overwrite: bool) -> Iterator[Path]:
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists already; choose another path, or --overwrite")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(temporary)
        yield temporary
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error}") from error
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
