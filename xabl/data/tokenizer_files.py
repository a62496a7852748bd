"""The tokenizer files beside a checkpoint.

vocab.txt               the pieces, one per line
tokenizer.json          the pieces too, and how captions are prepared
tokenizer_config.json   how captions are prepared
config.json             in checkpoints of the reference, whether they are lower-cased
"""

import dataclasses
from pathlib import Path
from typing import Any

from xabl.data.word_pieces import VOCABULARY_JSON, read_vocabulary
from xabl.errors import UserError
from xabl.support.files import read_json

TOKENIZER_FILES = (
    "config.json",
    "vocab.txt",
    VOCABULARY_JSON,
    "tokenizer_config.json",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenizerFiles:
    """What was found.

    Attributes:
        vocabulary: vocab.txt, or else tokenizer.json; None without either.
        lower_case: whether captions are lower-cased; None where no file says so.
    """

    vocabulary: Path | None
    lower_case: bool | None


def find_tokenizer(folder: Path) -> TokenizerFiles:
    """Reads those that are there.

    Raises:
        UserError: files that cannot be read or contradict each other; captions would
            be prepared in a way that is not BERT's.
    """
    vocabularies = [
        path
        for name in ("vocab.txt", VOCABULARY_JSON)
        if (path := folder / name).is_file()
    ]
    if len(vocabularies) == 2 and len(set(map(read_vocabulary, vocabularies))) == 2:
        raise UserError(
            f"{folder}: vocab.txt and {VOCABULARY_JSON} hold different word pieces; "
            "give the one the model was trained with by --vocab"
        )
    said = {
        path: lower_case
        for path, normalizer in _normalizers(folder).items()
        if (lower_case := _lower_case(path, normalizer)) is not None
    }
    if len(set(said.values())) == 2:
        claims = " but ".join(
            f"{path.name} says {value}" for path, value in said.items()
        )
        raise UserError(
            f"{folder}: are captions lower-cased? {claims}; correct the file that is "
            "wrong"
        )
    return TokenizerFiles(
        vocabulary=next(iter(vocabularies), None),
        lower_case=next(iter(said.values()), None),
    )


def _normalizers(folder: Path) -> dict[Path, dict[str, Any]]:
    """By file, in the words of tokenizer_config.json."""
    found = {}
    for name in ("tokenizer_config.json", "config.json"):
        if (path := folder / name).is_file():
            found[path] = read_json(path, "settings of a checkpoint")
    if (path := folder / VOCABULARY_JSON).is_file():
        normalizer = read_json(path, "a tokenizer").get("normalizer")
        if isinstance(normalizer, dict) and normalizer.get("type") == "BertNormalizer":
            found[path] = {
                "do_lower_case": normalizer.get("lowercase"),
                "strip_accents": normalizer.get("strip_accents"),
                "tokenize_chinese_chars": normalizer.get("handle_chinese_chars", True),
            }
    return found


def _lower_case(path: Path, normalizer: dict[str, Any]) -> bool | None:
    lower_case = normalizer.get("do_lower_case")
    if lower_case not in (None, True, False):
        raise UserError(
            f"{path}: do_lower_case is {lower_case!r}, expected true or false"
        )
    if normalizer.get("strip_accents") not in (None, lower_case):
        raise UserError(
            f"{path}: strip_accents is {normalizer['strip_accents']} and do_lower_case "
            f"{lower_case}; only both or neither are supported"
        )
    if not normalizer.get("tokenize_chinese_chars", True):
        raise UserError(
            f"{path}: tokenize_chinese_chars is false; Chinese characters are always "
            "pieces of their own here"
        )
    return lower_case
