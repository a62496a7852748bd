"""Image ids: which of them are one image, in files that write them differently."""

import re
import unicodedata
from collections.abc import Iterable, Mapping

from xabl.errors import UserError


def canonical_id(image_id: str) -> str:
    """The form in which image ids are compared: "007", "7" and "7 " are one image.

    The published LMDB files are keyed by str(int(id)), while split files and TSV rows
    may carry leading zeros.
    """
    image_id = image_id.strip()
    if not (image_id.isascii() and image_id.isdecimal()):
        return image_id
    return image_id.lstrip("0") or "0"  # int() refuses thousands of digits


def rows_by_id(image_ids: Iterable[str]) -> dict[str, int]:
    """The place of each image in a list, by `canonical_id`."""
    return {canonical_id(image_id): row for row, image_id in enumerate(image_ids)}


def by_canonical_id(names: Iterable[str], source: str) -> dict[str, str]:
    """The names in their order, by canonical id.

    Raises:
        UserError: two of them are one image.
    """
    found: dict[str, str] = {}
    for name in names:
        first = found.setdefault(canonical_id(name), name)
        if first != name:
            raise two_forms(source, first, name)
    return found


def two_forms(source: str, first: str, second: str) -> UserError:
    """Which of them is meant cannot be known."""
    return UserError(
        f"{source}: {first!r} and {second!r} are both image {canonical_id(first)}: ids "
        "that are numbers are compared as numbers; give every image one id"
    )


def loosely(image_id: str) -> str:
    """What is left of an id without what people write differently, for messages alone.

    That is blanks, capitals, other forms of digits, what does not show, leading zeros,
    folders, a file's ending, the ".0" of ids that were taken for numbers, and what
    stands before the number in names like COCO_val2014_000000238029.jpg.
    """
    shown = (c for c in image_id if unicodedata.category(c) != "Cf")
    name = unicodedata.normalize("NFKC", "".join(shown)).strip().casefold()
    name = name.replace("\\", "/").rpartition("/")[2]
    name = re.sub(r"\.([a-z]\w{1,4}|0+)$", "", name).strip()
    number = re.fullmatch(r".*_(\d{5,})", name)
    return canonical_id(number[1] if number else name)


def by_loose_id(names: Iterable[str]) -> dict[str, str]:
    """The first of the names for each of what is left of them."""
    found: dict[str, str] = {}
    for name in names:
        found.setdefault(loosely(name), name)
    return found


def other_form(image_id: str, known: Mapping[str, str]) -> str:
    """A clause for a message about an id that is not there; empty if none is like it.

    Args:
        known: ids that are there, as `by_loose_id` has them.
    """
    like = known.get(loosely(image_id))
    if like is None or like == image_id:
        return ""
    return f"there is {like!r} for {image_id!r}: write both in one form"


def with_hint(error: UserError, hint: str) -> UserError:
    """The error with a clause more, if there is one."""
    return UserError(f"{error}; {hint}") if hint else error
