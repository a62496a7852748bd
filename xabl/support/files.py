"""Files of users: read, or refused by name; what stands in the place of one is told."""

import json
import os
import re
import stat
from pathlib import Path
from typing import Any

from xabl.errors import UserError, from_system, naming

_LOOKED_AT = 4096  # bytes
# By how a file begins: what is stored or fetched in the place of another.
_STAND_INS = {
    rb"version https://git-lfs\.github\.com/spec/": (
        "a pointer of Git LFS, not the file itself: fetch it with git lfs pull"
    ),
    rb"/annex/objects/": (
        "a pointer of git-annex, not the file itself: fetch it with git annex get"
    ),
    rb"(?is)(\xef\xbb\xbf)?\s*(<(\?xml|!--).*?>\s*)*<(!doctype html|html|error)\b": (
        "a web page, saved in the place of a file: fetch the file again"
    ),
}
_PACKED = {
    rb"\x1f\x8b": "gzip",
    rb"BZh[1-9]1AY&SY": "bzip2",
    rb"\xfd7zXZ\0": "xz",
    rb"\x28\xb5\x2f\xfd": "zstd",
    rb"7z\xbc\xaf\x27\x1c": "7z",
    rb"PK\x03\x04": "zip",
    rb"(?s).{257}ustar": "tar",
}
_PACKED = {
    start: f"packed ({name}): unpack it, and give what was in it"
    for start, name in _PACKED.items()
}
ZIP = b"PK\x03\x04"  # begins checkpoints, too


def leads_nowhere(path: Path) -> str | None:
    """What is wrong with a path, and the cure, if it is a link to what is not there."""
    if not path.is_symlink() or path.exists():
        return None
    return (
        f"{path} is a link to {os.readlink(path)}, which is not there: fetch that, or "
        "give what it was to lead to"
    )


def stand_in(start: bytes, *, may_be_packed: bool = False) -> str | None:
    """What a file is that begins so, and the cure, if it stands in another's place.

    Pointers of Git LFS and git-annex, web pages, and what is packed.

    Args:
        may_be_packed: what is packed may be the file itself.
    """
    known = _STAND_INS if may_be_packed else _STAND_INS | _PACKED
    return next((w for found, w in known.items() if re.match(found, start)), None)


def beginning(path: Path | str, allowed: bytes = b"") -> bytes:
    """The first 4 KiB of a file, looked at before a library reads the rest.

    Args:
        allowed: how files of its kind may begin, though packed ones do.

    Raises:
        UserError: it is empty, no file (a pipe, a device), stands in the place of one,
            or its disk fails.
        OSError: it is not there, is a folder, or cannot be opened.
    """
    start = _read(path, _LOOKED_AT, allowed)
    if not start:
        raise UserError(f"{path} is empty (0 bytes): make it or fetch it again")
    return start


def read_bytes(path: Path | str) -> bytes:
    """All of a small file.

    Raises:
        UserError: it is no file (a pipe, a device), stands in the place of one, or its
            disk fails.
        OSError: it is not there, is a folder, or cannot be opened.
    """
    return _read(path, -1)


def _read(path: Path | str, size: int, allowed: bytes = b"") -> bytes:
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise UserError(
            f"{path} is a pipe or a device, which can be read only once: write what "
            "comes out of it to a file, and give that"
        )
    with naming(path), open(path, "rb") as file:
        content = file.read(size)
    start = content[:_LOOKED_AT]
    what = None if allowed and start.startswith(allowed) else stand_in(start)
    if what is not None:
        raise UserError(f"{path} is {what}")
    return content


def read_text(path: Path | str, what: str = "text") -> str:
    """A text file; line ends become "\\n", a byte order mark is taken off.

    Args:
        what: the file should be, for messages.

    Raises:
        UserError: it is missing, cannot be read, is not UTF-8, or stands in the place
            of a file.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
        return text.replace("\r\n", "\n").replace("\r", "\n")
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; expected {what}") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: byte {error.start} is not UTF-8 text; expected {what}: save it "
            "as UTF-8, or fetch it again"
        ) from error
    except OSError as error:
        raise from_system(error, path, "cannot be read") from error


def from_json(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is not JSON; is nested too deeply; names a field twice, where
            `json` keeps the last; or holds half a character, which no file can.
    """
    try:
        value = json.loads(text, object_pairs_hook=_fields)
        if "\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except UnicodeEncodeError as error:
        half = ascii(error.object[error.start])
        raise ValueError(f"{half} is half a character") from error
    return value


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice[:80]!r} is given twice")
    return fields


def read_json(path: Path | str, what: str, kind: type = dict) -> Any:
    """A JSON file whose outermost value is of a kind.

    Args:
        what: the file should be, for messages.
        kind: dict or list.

    Raises:
        UserError: as `read_text`, or it is not JSON or of another kind.
    """
    text = read_text(path, what)
    try:
        value = from_json(text)
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error}); expected {what}") from error
    if not isinstance(value, kind):
        expected = {dict: "an object", list: "a list"}[kind]
        raise UserError(f"{path}: {expected} was expected in this JSON file: {what}")
    return value
