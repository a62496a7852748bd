"""Text and JSON files of users: read, or refused by name."""

import json
from pathlib import Path
from typing import Any

from xabl.errors import UserError, from_system


def read_text(path: Path | str, what: str = "text") -> str:
    """A text file; line ends become "\\n", a byte order mark is taken off.

    Args:
        what: the file should be, for messages.

    Raises:
        UserError: it is missing, cannot be read, or is not UTF-8.
    """
    path = Path(path)
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; expected {what} there") from error
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
