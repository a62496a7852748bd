"""The detector's classes: how many, and their names as Visual Genome's, one a line."""

from pathlib import Path

from xabl.errors import UserError, reason
from xabl.support.files import read_bytes

DETECTOR_CLASSES = 1601  # Visual Genome objects; class 0 is background
DETECTOR_ATTRIBUTES = 401  # attribute 0 is "none"
OBJECTS, ATTRIBUTES = "objects_vocab.txt", "attributes_vocab.txt"  # as released
_BACKGROUND = "__background__"


def read_class_names(path: Path) -> list[tuple[str, ...]]:
    """The detector's classes: line 0 is the background, commas separate alternatives.

    The detector's own release leaves the background to its readers: where 1600 lines do
    not begin with it, it is put before them here.

    Raises:
        UserError: missing, or not text; an empty line between others, after which
            numbers would be one off.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: not a readable list of classes ({reason(error)})"
        ) from error
    lines = text.rstrip().splitlines()
    if len(lines) < 2:
        raise UserError(
            f"{path}: {len(lines)} lines; expected one class per line, the background "
            "first"
        )
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            raise UserError(
                f"{path}, line {number}: empty; the number of a class is that of its "
                "line: take the empty ones out, or fetch the file again"
            )
    if len(lines) == DETECTOR_CLASSES - 1 and "background" not in lines[0].lower():
        lines = [_BACKGROUND, *lines]
    return [tuple(line.split(",")) for line in lines]
