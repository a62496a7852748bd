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
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON ({error}); expected {what}") from error
    if not isinstance(value, kind):
        expected = {dict: "an object", list: "a list"}[kind]
        raise UserError(f"{path}: {expected} was expected in this JSON file: {what}")
    return value
