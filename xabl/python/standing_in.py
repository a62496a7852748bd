"""What stands in the place of what is removed from a single example."""

import dataclasses

import numpy as np
from jaxtyping import Float32

from xabl.ablation.definition import hidden_words
from xabl.ablation.examples import PhraseExample
from xabl.ablation.replacement import (
    REGION_WAYS,
    Donors,
    Fill,
    WordsInstead,
    words_instead,
)
from xabl.data.regions import ImageRegions
from xabl.data.word_pieces import WordPieces
from xabl.errors import UserError
from xabl.python.regions import average_of
from xabl.results.conditions import Condition, Direction
from xabl.results.ways import WAYS, check_ways


@dataclasses.dataclass(frozen=True, kw_only=True)
class StandingIn:
    """As `Example.ablate` is given it.

    replace: a way of removing; None for the condition's.
    other: the image or the words that stand in.
    """

    replace: str | None = None
    other: ImageRegions | str | None = None

    def condition(self, direction: Direction, name: str) -> Condition:
        """The condition of a name, in the way that was asked for.

        Raises:
            UserError: no such condition or way, or two ways are given.
        """
        condition, way = Condition.parse(direction, name), self.replace
        if way is None:
            return condition
        check_ways([way])
        if condition.way is not None or way not in WAYS[direction]:
            raise UserError(
                f"{name}, replace={way!r}: give one way of removing "
                f"{direction.wording.ablated}: {', '.join(WAYS[direction])}"
            )
        is_published = way == next(iter(WAYS[direction]))
        return dataclasses.replace(condition, way=None if is_published else way)

    def features(
        self,
        condition: Condition,
        image: ImageRegions,
        average: Float32[np.ndarray, " features"] | None,
    ) -> tuple[Fill, Float32[np.ndarray, "_ features"]]:
        """What takes the place of the features of hidden regions.

        Args:
            average: None takes that of the file that the image is from.

        Raises:
            UserError: it is not known; says what to give.
        """
        fill = Fill.MASKED  # what is to be predicted
        if condition.direction is Direction.VIS4LANG:
            fill = REGION_WAYS[condition.way].fill
        if fill in (Fill.MASKED, Fill.ZERO):
            return fill, np.zeros((1, image.features.shape[1]), np.float32)
        if fill is Fill.IMAGE:
            if not isinstance(self.other, ImageRegions):
                raise UserError(
                    f"{condition.name}: give the image whose regions stand in: other=, "
                    "an entry of xabl.regions(...)"
                )
            rows = np.arange(image.num_boxes) % self.other.num_boxes
            return fill, self.other.features[rows]
        average = average_of(image) if average is None else average
        if average is None:
            raise UserError(
                "what takes the place of ablated regions is not known; take the image "
                "from xabl.regions(...), or give the example average="
            )
        return fill, average[None]

    def pieces(
        self, condition: Condition, phrase: PhraseExample, word_pieces: WordPieces
    ) -> WordsInstead:
        """What takes the place of hidden pieces.

        Raises:
            UserError: the words that stand in are not given.
        """
        hidden = hidden_words(phrase, condition)
        if not len(hidden):
            condition = dataclasses.replace(condition, way=None)
        if condition.way != "other_caption":
            return words_instead(condition, Donors(), phrase, word_pieces.mask_id)
        if not isinstance(self.other, str) or not self.other.split():
            raise UserError(
                f"{condition.name}: give the words that stand in: other='a dog runs'"
            )
        pieces = word_pieces.encode(self.other.split()).token_ids[1:-1]
        return WordsInstead(pieces=np.resize(pieces, len(hidden)))
