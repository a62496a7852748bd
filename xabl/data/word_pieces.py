"""BERT's word pieces, and which word of the caption each of them belongs to."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import SupportsIndex

import numpy as np
from jaxtyping import Int32, Int64

from xabl.errors import UserError
from xabl.support.files import from_json, read_text

VOCABULARY_JSON = "tokenizer.json"  # Hugging Face's, which holds the pieces too
MAX_LENGTH = 38  # [CLS] and [SEP] included; what the published models evaluate with


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class EncodedCaption:
    """[CLS], the word pieces, [SEP].

    word_index: the word of the caption a piece is part of; -1 for [CLS] and [SEP].
    """

    token_ids: Int32[np.ndarray, " words"]
    word_index: Int32[np.ndarray, " words"]

    def positions_of(
        self, first_word: int, num_words: int
    ) -> Int64[np.ndarray, " pieces"]:
        """Positions of the pieces of some consecutive words.

        Empty when all of them were cut off by the maximal length.
        """
        after = first_word + num_words
        return np.flatnonzero(
            (self.word_index >= first_word) & (self.word_index < after)
        )


class WordPieces:
    """The BERT tokenizer over a vocabulary file, uncased unless told otherwise.

    The uncased one lower-cases and strips accents. Pieces are matched to words by where
    their characters stand, so that accents, [UNK], '#', hyphens and Chinese characters
    (a piece each) need no special care.
    """

    def __init__(self, vocabulary: Path | str, *, lower_case: bool = True):
        """Reads the vocabulary.

        Args:
            vocabulary: vocab.txt or tokenizer.json.
            lower_case: the model's `do_lower_case`.

        Raises:
            UserError: names the file and the line of what makes it no vocabulary.
        """
        # Takes a tenth of a second, which commands that only parse flags can save.
        from tokenizers import BertWordPieceTokenizer

        self._pieces = read_vocabulary(Path(vocabulary))
        ids = {piece: index for index, piece in enumerate(self._pieces)}
        self._tokenizer = BertWordPieceTokenizer(vocab=ids, lowercase=lower_case)
        self.pad_id = ids["[PAD]"]
        self.unk_id = ids["[UNK]"]
        self.cls_id = ids["[CLS]"]
        self.sep_id = ids["[SEP]"]
        self.mask_id = ids["[MASK]"]

    @property
    def size(self) -> int:
        """Number of pieces; the vocabulary a model has to have."""
        return len(self._pieces)

    def encode(
        self, words: Sequence[str], max_length: int = MAX_LENGTH
    ) -> EncodedCaption:
        """The pieces of a caption, the rest cut off after `max_length` - 2 of them."""
        text = " ".join(words)
        word_of_character = np.repeat(
            np.arange(len(words)), [len(word) + 1 for word in words]
        )
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        pieces = encoding.ids[: max_length - 2]
        starts = [start for start, _ in encoding.offsets[: max_length - 2]]
        return EncodedCaption(
            token_ids=np.array([self.cls_id, *pieces, self.sep_id], np.int32),
            word_index=np.array([-1, *word_of_character[starts], -1], np.int32),
        )

    def tokens(self, token_ids: Iterable[SupportsIndex]) -> list[str]:
        """The pieces as they stand in the vocabulary, e.g. ["snow", "##board"]."""
        return [self._pieces[token_id] for token_id in token_ids]


def read_vocabulary(path: Path) -> tuple[str, ...]:
    """The pieces of a vocabulary file, in order.

    Args:
        path: vocab.txt, one piece per line, or tokenizer.json.

    Raises:
        UserError: the file is missing, is not text, has an empty line, names a piece
            twice, or lacks one of BERT's five special tokens.
    """
    text = read_text(path, "BERT's vocab.txt, one word piece a line")
    if path.suffix == ".json":
        pieces = _pieces_in_json(path, text)
    else:
        # Not splitlines(): it would also break lines at characters that are pieces.
        pieces = text.removesuffix("\n").split("\n")
    first_line: dict[str, int] = {}
    for number, piece in enumerate(pieces, start=1):
        if not piece:
            raise UserError(
                f"{path}, line {number}: an empty line in a vocabulary; every line is "
                "one word piece"
            )
        if piece in first_line:
            raise UserError(
                f"{path}, line {number}: {piece!r} stands on line {first_line[piece]} "
                "already; every word piece has one line"
            )
        first_line[piece] = number
    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    missing = [token for token in special if token not in first_line]
    if missing:
        raise UserError(
            f"{path}: not a BERT vocabulary: {', '.join(missing)} missing; expected "
            "BERT's vocab.txt, one word piece a line"
        )
    return tuple(pieces)


def _pieces_in_json(path: Path, text: str) -> list[str]:
    """The pieces of a tokenizer.json, by their ids."""
    try:
        model = from_json(text)["model"]
        kind, numbers = model["type"], model["vocab"]
        if kind != "WordPiece":
            raise ValueError(f"its pieces are of the kind {kind}, not WordPiece")
        if not isinstance(numbers, dict):
            raise ValueError("its vocab is not an object of pieces and their ids")
        pieces = sorted(numbers, key=numbers.__getitem__)
        if [numbers[piece] for piece in pieces] != list(range(len(pieces))):
            raise ValueError("the ids of its pieces are not 0, 1, 2, ...")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path}: not the word pieces of a BERT ({error}); give its vocab.txt"
        ) from error
    return pieces
