"""Captions and their foils: the same caption made wrong in one place.

Files are JSON as the VALSE benchmark is published (Parcalabescu et al., ACL 2022):
{name: {"image_file", "caption", "foil", "mturk": {"caption": votes}, ...}}.
"""

import dataclasses
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from xabl.errors import UserError
from xabl.support.files import read_json
from xabl.support.image_ids import canonical_id

# Of three annotators, who must take the caption and not the foil for the right one.
_VALID_VOTES = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class FoilPair:
    """A caption, its foil and the image that only the caption describes.

    name: in its file.
    group: the file, one linguistic phenomenon.
    image_file: as published, such as COCO_val2014_000000238029.jpg.
    caption, foil: words.
    """

    name: str
    group: str
    image_file: str
    caption: tuple[str, ...]
    foil: tuple[str, ...]

    @property
    def differing(self) -> tuple[list[int], list[int]]:
        """Numbers of the words that the other text lacks, in caption and foil."""
        caption, foil = (
            [word.lower() for word in text] for text in (self.caption, self.foil)
        )
        shared = _common_words(caption, foil)
        return (
            sorted(set(range(len(caption))) - {word for word, _ in shared}),
            sorted(set(range(len(foil))) - {word for _, word in shared}),
        )


def _common_words(first: Sequence[str], other: Sequence[str]) -> list[tuple[int, int]]:
    """Where the words stand of the longest sequence that both texts contain."""
    # best[i][j]: of the texts from their words i and j on.
    best = [[[] for _ in range(len(other) + 1)] for _ in range(len(first) + 1)]
    for i in reversed(range(len(first))):
        for j in reversed(range(len(other))):
            if first[i] == other[j]:
                best[i][j] = [(i, j), *best[i + 1][j + 1]]
            else:
                best[i][j] = max(best[i + 1][j], best[i][j + 1], key=len)
    return best[0][0]


def read_foils(path: Path | str, *, validated: bool = True) -> tuple[FoilPair, ...]:
    """The pairs of a file, or of every .json file in a folder.

    Args:
        validated: leave out those that annotators did not confirm.

    Raises:
        UserError: nothing is there; a file is not of this form; names it and the entry.
    """
    path = Path(path)
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    pairs = [pair for file in files for pair in _read_file(file, validated)]
    if not pairs:
        raise UserError(f"{path}: no pairs of captions and foils in .json files")
    return tuple(pairs)


def _read_file(path: Path, validated: bool) -> Iterable[FoilPair]:
    entries = read_json(path, "an object with an entry for each pair")
    for name, entry in entries.items():
        fields = entry if isinstance(entry, dict) else {}
        texts = [fields.get(key) for key in ("image_file", "caption", "foil")]
        if not all(isinstance(text, str) and text.strip() for text in texts):
            raise UserError(
                f"{path}, entry {name!r}: expected image_file, caption and foil, each "
                "a text"
            )
        if validated and not _is_valid(path, name, fields):
            continue
        image_file, caption, foil = texts
        yield FoilPair(
            name=name,
            group=path.stem,
            image_file=image_file,
            caption=tuple(caption.split()),
            foil=tuple(foil.split()),
        )


def _is_valid(path: Path, name: str, fields: dict[str, Any]) -> bool:
    if "mturk" not in fields:
        return True
    try:
        return fields["mturk"]["caption"] >= _VALID_VOTES
    except (TypeError, KeyError) as error:
        raise UserError(
            f"{path}, entry {name!r}: expected the number of votes in mturk.caption"
        ) from error


def image_ids(
    pairs: Sequence[FoilPair], known: Iterable[str], source: str
) -> dict[str, str]:
    """By image file, its id among those that a region file has.

    That is its name without the ending, or the number it ends in: COCO's and Visual
    Genome's regions are known by number.

    Raises:
        UserError: images are not there; says how many and names some. Two files whose
            numbers are written differently would be one image.
    """
    by_form = {canonical_id(image_id): image_id for image_id in known}
    found, missing = {}, []
    file_of: dict[str, str] = {}
    for file in dict.fromkeys(pair.image_file for pair in pairs):
        stem = Path(file).stem
        number = re.fullmatch(r".*_(\d{5,})", stem)
        forms = [file, stem, *([number[1]] if number else [])]
        ids = [by_form[form] for form in map(canonical_id, forms) if form in by_form]
        if ids:
            found[file] = ids[0]
            first = file_of.setdefault(ids[0], file)
            # COCO_val2014_000000000007 and 000000000007 are one image; v7w_7 is not.
            if _digits(first) != _digits(file):
                raise UserError(
                    f"{source}: {first} and {file} would both be image {ids[0]}: "
                    "make region files whose ids tell them apart, or leave the pairs "
                    "of one out"
                )
        else:
            missing.append(file)
    if missing:
        raise UserError(
            f"{source}: {len(missing)} of {len(found) + len(missing)} images have no "
            f"regions there, such as {', '.join(missing[:3])}; ids are looked for by "
            "the file's name without its ending and by the number it ends in"
        )
    return found


def _digits(file: str) -> str:
    """The number that a file's name ends in, as it is written."""
    return re.search(r"\d*$", Path(file).stem)[0]
