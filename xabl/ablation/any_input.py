"""What an ablation is, for a model that reads anything: pixels, patches, plain text.

`any_model` hands word pieces and features to a model. Here a model is told instead
which image and caption it is about, what it must not see of them, and what it is asked;
it answers with log-probabilities, whatever its own tokens are.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int

from xabl.errors import UserError
from xabl.results.conditions import Direction

# What log-probabilities of a whole distribution may add up to, off 1, and a single one
# exceed 0 by: half precision.
_ROUNDING = 1e-2


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Ablation:
    """One question to a model: what it may see, and what it is asked.

    image_id: as in the data set.
    image: its file; None if no folder of images was given.
    width, height: of the image in pixels.
    boxes: of the detector's regions, x1, y1, x2, y2 in pixels, counted from 0.
    hidden_boxes: those the model must not see; if all are, nothing of the image.
    caption: its words, separated by single spaces.
    spans: where each word stands in `caption`: its first character, and the one after.
    hidden_words: those the model must not see.
    asked_words: those it is to predict, all hidden; none where a region is asked for.
    asked_region: number of the box whose class it is to predict; None: words.
    way: how what is ablated is replaced; see `results.conditions.WAYS`.
    donor, donor_image: the image that stands in where another one's regions take the
        place of hidden ones, and its file; None: none does.
    words_instead: another caption's, one for each hidden word, where these take their
        place; else empty.
    """

    image_id: str
    image: Path | None
    width: int
    height: int
    boxes: Float32[np.ndarray, "boxes 4"]
    hidden_boxes: Bool[np.ndarray, " boxes"]
    caption: str
    spans: Int[np.ndarray, "words 2"]
    hidden_words: Bool[np.ndarray, " words"]
    asked_words: Bool[np.ndarray, " words"]
    asked_region: int | None
    way: str
    donor: str | None = None
    donor_image: Path | None = None
    words_instead: tuple[str, ...] = ()

    @property
    def words(self) -> list[str]:
        """The words of the caption."""
        return self.caption.split(" ")

    @property
    def direction(self) -> Direction:
        """vis4lang where words are asked for, lang4vis where a region is."""
        is_region = self.asked_region is not None
        return Direction.LANG4VIS if is_region else Direction.VIS4LANG

    def hidden_pixels(
        self, height: int, width: int, patch: int = 1
    ) -> Bool[np.ndarray, "height width"]:
        """What is hidden of the image at another size; whole patches a box touches.

        Raises:
            UserError: the size is not of whole patches.
        """
        if height % patch or width % patch:
            raise UserError(f"{height} x {width} pixels are not of patches of {patch}")
        down, across = height // patch, width // patch
        whole = bool(len(self.boxes)) and bool(self.hidden_boxes.all())
        hidden = np.full((down, across), whole)
        scale = np.array([across / self.width, down / self.height] * 2)
        # A box holds its last pixel, and may reach beyond the image by a fraction.
        boxes = (self.boxes[self.hidden_boxes] + [0, 0, 1, 1]) * scale
        for x1, y1, x2, y2 in np.maximum(boxes, 0):
            hidden[int(y1) : math.ceil(y2), int(x1) : math.ceil(x2)] = True
        return hidden.repeat(patch, axis=0).repeat(patch, axis=1)

    def hidden_tokens(self, ends: Any) -> Bool[np.ndarray, " tokens"]:
        """Which tokens of the caption are of hidden words.

        Args:
            ends: of each token, the character after its last one in the caption; 0 for
                tokens that are not of the caption. Whatever numpy takes for an array.
        """
        words = self._words_of(ends)
        return (words >= 0) & self.hidden_words[words]

    def by_word(self, log_probs: Any, ends: Any) -> list[list[float]]:
        """The answer: log-probabilities of a caption's tokens, of each word asked for.

        Args:
            log_probs: of every token of the caption, in nats.
            ends: as for `hidden_tokens`.
        """
        words, values = self._words_of(ends), np.asarray(log_probs)
        asked = np.flatnonzero(self.asked_words)
        return [values[words == word].tolist() for word in asked]

    def _words_of(self, ends: Sequence[int] | np.ndarray) -> Int[np.ndarray, " tokens"]:
        """The word each token is of, by where the token ends; -1: of none."""
        ends = np.asarray(ends)
        words = np.searchsorted(self.spans[:, 1], ends)
        words = np.minimum(words, len(self.spans) - 1)
        starts, stops = self.spans[words].T
        return np.where((starts < ends) & (ends <= stops), words, -1)


# For each word asked for, the log-probability (nats) of each of its tokens: a number
# where it is one token, an empty list where the model cut the caption off before that
# word. For a region, the log-probabilities of the detector's classes. None: the model
# cannot be asked this.
Answer = Sequence[float | Sequence[float]] | np.ndarray | None
AnyInput = Callable[[Sequence[Ablation]], Sequence[Answer]]


def word_log_probs(answer: Any, asked: Ablation, name: str) -> list[np.ndarray] | None:
    """For each word asked for, the log-probabilities of its tokens.

    Args:
        answer: what a model said.
        name: of the example, for messages.

    Returns:
        None if the model cannot be asked.

    Raises:
        UserError: not such an answer; says what is expected.
    """
    if answer is None:
        return None
    words = [
        w for w, wanted in zip(asked.words, asked.asked_words, strict=True) if wanted
    ]
    expected = (
        f"expected for each of the {len(words)} words {' '.join(words)!r} the "
        "log-probability (nats) of each of its tokens, or None"
    )
    try:
        found = [np.atleast_1d(np.asarray(each, np.float64)) for each in answer]
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{name}: the model said {answer!r:.200}; {expected}"
        ) from error
    if len(found) != len(words) or any(tokens.ndim != 1 for tokens in found):
        raise UserError(f"{name}: the model said {answer!r:.200}; {expected}")
    values = np.concatenate(found)
    wrong = ~np.isfinite(values) | (values > _ROUNDING)
    if wrong.any():
        raise UserError(
            f"{name}: the model said {values[wrong][0]}, which is no log-probability; "
            + expected
        )
    return found if len(values) else None


def class_log_probs(
    answer: Any, size: int, name: str
) -> Float32[np.ndarray, " classes"] | None:
    """The log-probabilities of the detector's classes.

    Args:
        answer, name: as for `word_log_probs`.
        size: how many classes there are.

    Raises:
        UserError: not such an answer; says what is expected.
    """
    if answer is None:
        return None
    expected = (
        f"expected the log-probabilities (nats) of the {size} classes of a region, "
        "or None"
    )
    try:
        found = np.asarray(answer, np.float32)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{name}: the model said {answer!r:.200}; {expected}"
        ) from error
    if found.shape != (size,):
        raise UserError(
            f"{name}: the model said numbers of shape {found.shape}; {expected}"
        )
    total = float(np.exp(found.astype(np.float64)).sum())
    if not abs(total - 1) <= _ROUNDING:
        raise UserError(
            f"{name}: the probabilities the model said add up to {total:.4g}; "
            + expected
        )
    return found
