"""Files as they were written: their sizes and digests, kept beside them."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from xabl.errors import naming
from xabl.support.files import stand_in


def listed(
    folder: Path, counts: Callable[[Path], bool] = lambda path: True
) -> dict[str, list]:
    """[size, SHA-256] of every file in a folder, by its path there (for JSON).

    Args:
        counts: whether a file is part of the list.
    """
    return {
        str(path.relative_to(folder)): [path.stat().st_size, file_sha256(path)]
        for path in sorted(folder.rglob("*"))
        if path.is_file() and counts(path)
    }


def problem(folder: Path, expected: Mapping[str, Any]) -> str | None:
    """What is not as it was listed, the first of it; None if all is.

    Args:
        expected: as `listed` gives it; sizes alone are what earlier versions kept.

    Raises:
        UserError: the disk of a file fails.
        OSError: a file cannot be opened.
    """
    for name, entry in expected.items():
        size, digest = entry if isinstance(entry, list) else (entry, None)
        path = folder / name
        found = path.stat().st_size if path.is_file() else "no"
        if found != size:
            what = _stand_in(path) if path.is_file() else None
            return f"{name}: {what or f'{found} bytes instead of {size}'}"
        if digest is not None and file_sha256(path) != digest:
            return f"{name}: not the bytes that were written"
    return None


def _stand_in(path: Path) -> str | None:
    """What lies in a file's place, as after a clone without Git LFS."""
    with naming(path), open(path, "rb") as file:
        # Orbax's own files are packed: one that is cut is no other file.
        return stand_in(file.read(200), may_be_packed=True)


def file_sha256(path: Path | str) -> str:
    """Digest of one file."""
    with naming(path), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
