"""The detector's names of objects and attributes: a name a line, as Visual Genome's."""

from pathlib import Path

from xabl.errors import UserError, reason

OBJECTS, ATTRIBUTES = "objects_vocab.txt", "attributes_vocab.txt"  # as released


def read_class_names(path: Path) -> list[tuple[str, ...]]:
    """The detector's classes: line 0 is the background, commas separate alternatives.

    Raises:
        UserError: missing, or not text.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: not a readable list of classes ({reason(error)})"
        ) from error
    if len(lines) < 2:
        raise UserError(
            f"{path}: {len(lines)} lines; expected one class per line, the background "
            "first"
        )
    return [tuple(line.split(",")) for line in lines]
