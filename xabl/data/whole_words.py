"""Words as they stand, for models whose tokens are not word pieces."""

from collections.abc import Iterable, Sequence
from typing import SupportsIndex

import numpy as np

from xabl.data.word_pieces import EncodedCaption, WordPieces


class WholeWords:
    """Words in the place of word pieces, each with a number of its own.

    Nothing is cut off. The first number of a caption is of the caption as a whole: two
    captions of which all words are hidden remain two, because a model may have other
    numbers of tokens for them.
    """

    mask_id = 0  # no word has it

    def __init__(self):
        self._numbers: dict[str, int] = {}

    def encode(self, words: Sequence[str]) -> EncodedCaption:
        """The numbers of a caption's words, one each, between two of the caption."""
        whole = self._number(" ".join(["", *words]))  # no word begins with a space
        ids = [whole, *map(self._number, words), whole]
        return EncodedCaption(
            token_ids=np.array(ids, np.int32),
            word_index=np.array([-1, *range(len(words)), -1], np.int32),
        )

    def words(self, numbers: Iterable[SupportsIndex]) -> tuple[str, ...]:
        """The words of some numbers."""
        every = list(self._numbers)
        return tuple(every[number - 1] for number in numbers)

    def _number(self, text: str) -> int:
        return self._numbers.setdefault(text, len(self._numbers) + 1)


Tokens = WordPieces | WholeWords
