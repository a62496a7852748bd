"""Word pieces of captions."""

from pathlib import Path

import numpy as np
import pyarrow
from jaxtyping import Int32, Int64

from xabl.data.word_pieces import WordPieces


class CaptionPieces:
    """Captions as [CLS] pieces [SEP], padded with zeros to one length.

    A caption is tokenised when it is first read, and then kept, two bytes per piece.
    """

    def __init__(
        self,
        captions: pyarrow.Array,
        vocabulary: Path,
        max_words: int,
        *,
        lower_case: bool = True,
    ):
        """Reads the vocabulary; `lower_case` is the model's `do_lower_case`.

        Raises:
            UserError: the vocabulary cannot be read.
        """
        self.word_pieces = WordPieces(vocabulary, lower_case=lower_case)
        self._captions = captions
        smallest = np.min_scalar_type(self.word_pieces.size)
        self._token_ids = np.zeros((len(captions), max_words), smallest)
        self._lengths = np.zeros(len(captions), np.int32)  # 0: not tokenised yet

    def read(
        self, examples: Int64[np.ndarray, " batch"]
    ) -> tuple[Int32[np.ndarray, "batch words"], Int32[np.ndarray, " batch"]]:
        """Token ids, and the number of them without padding."""
        for example in examples[self._lengths[examples] == 0]:
            words = self._captions[example].as_py().split()
            token_ids = self.word_pieces.encode(
                words, max_length=self._token_ids.shape[1]
            ).token_ids
            self._token_ids[example, : len(token_ids)] = token_ids
            self._lengths[example] = len(token_ids)
        return self._token_ids[examples].astype(np.int32), self._lengths[examples]
