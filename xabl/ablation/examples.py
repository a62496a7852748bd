"""The examples of the study: phrases of captions, as word pieces.

One example is one mention of something that has a box in the image (Frank et al.
2021, section 3.1): 14,433 in the validation split of Flickr30k Entities.
"""

import dataclasses
import functools
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float32, Int32, Int64

from xabl.data.flickr30k_entities import AnnotatedImage, Mention, Phrase, mentions
from xabl.data.whole_words import Tokens
from xabl.data.word_pieces import EncodedCaption

# Consecutive examples the published evaluation scored together.
REFERENCE_BATCH_SIZE = 16


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PhraseExample:
    """One phrase mention.

    number: its place in the published order, from 0.
    caption: number of the caption among those of the image.
    boxes: of the phrase, x1, y1, x2, y2 in pixels.
    token_ids: [CLS], the caption's pieces, [SEP]; nothing masked.
    word_index: the word of the caption each of them is part of; -1: of none.
    pieces: positions of the phrase's pieces; empty when all were cut off.
    reference_shift_start: shortest `token_ids` of its reference batch.
    """

    number: int
    image_id: str
    img_w: int
    img_h: int
    caption: int
    phrase: Phrase
    text: str
    sentence: str
    boxes: Float32[np.ndarray, "_ 4"]
    token_ids: Int32[np.ndarray, " words"]
    word_index: Int32[np.ndarray, " words"]
    pieces: Int64[np.ndarray, " targets"]
    reference_shift_start: int

    @functools.cached_property
    def spans(self) -> Int64[np.ndarray, "words 2"]:
        """Where each word stands: its first character, and the one after its last."""
        lengths = np.array([len(word) for word in self.sentence.split(" ")])
        ends = np.cumsum(lengths + 1) - 1
        return np.stack([ends - lengths, ends], axis=1)

    @property
    def name(self) -> str:
        """For messages."""
        return (
            f"example {self.number} (image {self.image_id}, caption {self.caption}, "
            f"phrase {self.text!r})"
        )


def prepare_examples(
    images: Sequence[AnnotatedImage], word_pieces: Tokens
) -> tuple[PhraseExample, ...]:
    """Every example of `images`, a whole split, in the published order.

    Parts of it are taken afterwards: an example's number and reference batch are
    those it has in the whole.
    """
    encoded: dict[tuple[str, int], EncodedCaption] = {}
    found = list(mentions(images))
    for mention in found:
        key = (mention.image.image_id, mention.caption_index)
        if key not in encoded:
            encoded[key] = word_pieces.encode(mention.caption.words)
    captions = [
        encoded[mention.image.image_id, mention.caption_index] for mention in found
    ]
    lengths = np.array([len(caption.token_ids) for caption in captions])
    shifts = reference_shift_starts(lengths)
    return tuple(
        _example(number, mention, caption, int(shifts[number]))
        for number, (mention, caption) in enumerate(zip(found, captions, strict=True))
    )


def reference_shift_starts(
    lengths: Int64[np.ndarray, " examples"],
) -> Int64[np.ndarray, " examples"]:
    """The shortest length of each example's batch of 16 consecutive examples."""
    starts = np.arange(0, len(lengths), REFERENCE_BATCH_SIZE)
    shortest = np.minimum.reduceat(lengths, starts) if len(lengths) else lengths
    return np.repeat(shortest, REFERENCE_BATCH_SIZE)[: len(lengths)]


def mentions_by_image(examples: Iterable[PhraseExample]) -> Counter[str]:
    """How many examples each image has: its weight in the average feature vector."""
    return Counter(example.image_id for example in examples)


def _example(
    number: int, mention: Mention, caption: EncodedCaption, shift: int
) -> PhraseExample:
    phrase = mention.phrase
    return PhraseExample(
        number=number,
        image_id=mention.image.image_id,
        img_w=mention.image.width,
        img_h=mention.image.height,
        caption=mention.caption_index,
        phrase=phrase,
        text=mention.caption.text_of(phrase),
        sentence=" ".join(mention.caption.words),
        boxes=mention.boxes,
        token_ids=caption.token_ids,
        word_index=caption.word_index,
        pieces=caption.positions_of(phrase.first_word, phrase.num_words),
        reference_shift_start=shift,
    )
