"""What takes the place of regions and of words that are hidden.

A condition names the way (`results.conditions.WAYS`, which says in words what each
means); here is what it does to an image and to a caption. The definition and the plan
both ask here. A way hides what is ablated: the words to be predicted in vis4lang are
always [MASK], and the regions that show the phrase in lang4vis are always zero.
"""

import dataclasses
import enum
import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from jaxtyping import Int

from xabl.ablation.examples import PhraseExample
from xabl.errors import UserError
from xabl.results.conditions import Condition, Direction, Level

NO_DONOR = -1
NEEDS_REGIONS = (
    "this model's words attend to regions alone in some sublayers, and no [IMG] row "
    "stays when all regions are dropped: they would attend as if none were"
)
NEVER_READ = 0  # piece that stands where none is attended to: [PAD], as after [SEP]


class Fill(enum.IntEnum):
    """What becomes of a hidden region; its location stays.

    The [IMG] row is the mean of the rows after that, unless said otherwise.
    """

    AVERAGE = 0  # the data set's average feature vector
    # lang4vis, to be predicted: zeros; the [IMG] row is made before, as published.
    MASKED = 1
    ZERO = 2  # all features zero
    IMAGE = 3  # the region of the same number in another image, the donor
    # Not attended, not in [IMG]. Nobody reads the features but VL-BERT's words, which
    # see the last region without attending to it: to them it is an average one.
    DROP = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class RegionsInstead:
    """For one image.

    donor: row of the image that regions are taken from, in the order of `image_ids`.
        If it has fewer, they are taken again from the first.
    """

    fill: Fill
    donor: int = NO_DONOR


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class WordsInstead:
    """For the hidden pieces of one caption.

    pieces: one for all, or one for each.
    attended: whether they are attended to; positions stay.
    """

    pieces: Int[np.ndarray, " _"]
    attended: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Donors:
    """The images and captions of a split, of which some stand in for others.

    Drawn from the whole split, whatever part of it is scored, so that a part has the
    scores it has in the whole. Without images or examples nothing can stand in.

    image_ids: those with regions, in the order of the split.
    examples: all of the split.
    seed: of what is drawn.
    """

    image_ids: Sequence[str] = ()
    examples: Sequence[PhraseExample] = ()
    seed: int = 0

    def image_for(self, row: int) -> int:
        """The row of an image's partner. Every image is the partner of one other.

        Raises:
            UserError: there is no other image.
        """
        if len(self.image_ids) < 2:
            raise UserError(
                "--replace=other_image: the split has no other image whose regions "
                "could be taken; leave this way out"
            )
        return int(self._partners[row])

    def pieces_for(
        self, example: PhraseExample, level: Level
    ) -> Int[np.ndarray, " hidden"]:
        """Pieces of another image, as many as a level hides of this example.

        `Level.ALL`: of a caption, one for all phrases of a caption; else of a phrase.
        Where none has as many, of the next longer one, cut; where none is longer, of
        the longest, again from the start.

        Raises:
            UserError: there is no other caption.
        """
        pool, number = self._phrases, example.number
        if level is Level.ALL:
            pool = self._captions
            caption = (example.image_id, example.caption)
            number = self._first_of_caption.get(caption, number)
        length = len(_pieces(example, level))
        by_nearness = sorted(pool, key=lambda n: (n < length, abs(n - length)))
        for candidates in (pool[n] for n in by_nearness):
            if all(other.image_id == example.image_id for other in candidates):
                continue
            draws = np.random.default_rng((self.seed, number))
            while True:
                other = candidates[draws.integers(len(candidates))]
                if other.image_id != example.image_id:
                    return np.resize(_pieces(other, level), length)
        raise UserError(
            "--replace=other_caption: the split has no caption of another image whose "
            "words could be taken; leave this way out"
        )

    @functools.cached_property
    def _partners(self) -> Int[np.ndarray, " images"]:
        """Each image's partner: the next in a random circle of all, so never itself."""
        circle = np.random.default_rng(self.seed).permutation(len(self.image_ids))
        partners = np.empty_like(circle)
        partners[circle] = np.roll(circle, -1)
        return partners

    @functools.cached_property
    def _first_of_caption(self) -> dict[tuple[str, int], int]:
        numbers: dict[tuple[str, int], int] = {}
        for example in self.examples:
            numbers.setdefault((example.image_id, example.caption), example.number)
        return numbers

    @functools.cached_property
    def _captions(self) -> dict[int, list[PhraseExample]]:
        first = set(self._first_of_caption.values())
        return _by_length((e for e in self.examples if e.number in first), Level.ALL)

    @functools.cached_property
    def _phrases(self) -> dict[int, list[PhraseExample]]:
        return _by_length((e for e in self.examples if len(e.pieces)), Level.PHRASE)


def _pieces(example: PhraseExample, level: Level) -> Int[np.ndarray, " pieces"]:
    """Of the caption without [CLS] and [SEP], or of the phrase."""
    where = slice(1, -1) if level is Level.ALL else example.pieces
    return example.token_ids[where]


def _by_length(
    examples: Iterable[PhraseExample], level: Level
) -> dict[int, list[PhraseExample]]:
    found = defaultdict(list)
    for example in examples:
        found[len(_pieces(example, level))].append(example)
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class RegionWay:
    """What a way of vis4lang does.

    donor: for the image in a row, the row of the image that stands in.
    """

    fill: Fill
    donor: Callable[[Donors, int], int] = lambda donors, row: NO_DONOR


# vis4lang, by way (None: published).
REGION_WAYS: dict[str | None, RegionWay] = {
    None: RegionWay(fill=Fill.AVERAGE),
    "zero": RegionWay(fill=Fill.ZERO),
    "other_image": RegionWay(fill=Fill.IMAGE, donor=Donors.image_for),
    "drop": RegionWay(fill=Fill.DROP),
}
# lang4vis, by way: for the pieces that a level hides. None, published, is [MASK].
WORD_WAYS: dict[str, Callable[[Donors, PhraseExample, Level], WordsInstead]] = {
    "other_caption": lambda donors, example, level: WordsInstead(
        pieces=donors.pieces_for(example, level)
    ),
    "drop": lambda donors, example, level: WordsInstead(
        pieces=np.array([NEVER_READ]), attended=False
    ),
}


def regions_instead(condition: Condition, donors: Donors, row: int) -> RegionsInstead:
    """What takes the place of hidden regions of the image in a row of the regions.

    Raises:
        UserError: no other image could stand in.
    """
    if condition.direction is Direction.LANG4VIS:
        return RegionsInstead(fill=Fill.MASKED)
    way = REGION_WAYS[condition.way]
    return RegionsInstead(fill=way.fill, donor=way.donor(donors, row))


def drops_all_regions(condition: Condition) -> bool:
    """Whether no region is left to attend to, in any image."""
    is_all = (condition.direction, condition.level) == (Direction.VIS4LANG, Level.ALL)
    return is_all and REGION_WAYS[condition.way].fill is Fill.DROP


def words_instead(
    condition: Condition, donors: Donors, example: PhraseExample, mask_id: int
) -> WordsInstead:
    """What takes the place of hidden pieces.

    Raises:
        UserError: no other caption could stand in.
    """
    if condition.direction is Direction.VIS4LANG or condition.way is None:
        return WordsInstead(pieces=np.array([mask_id]))
    return WORD_WAYS[condition.way](donors, example, condition.level)
