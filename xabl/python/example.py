"""One phrase of a caption, and an image: ablated as one likes.

Everything is asked of `ablation.definition`; what is added is that words and regions to
remove may be named one by one.
"""

import dataclasses
import operator
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Bool, Float32, Float64
from numpy.typing import ArrayLike

from xabl.ablation import definition
from xabl.ablation.any_model import Logits, Model
from xabl.ablation.examples import PhraseExample
from xabl.ablation.replacement import NEEDS_REGIONS, Fill
from xabl.data.flickr30k_entities import Phrase
from xabl.data.regions import ImageRegions
from xabl.data.word_pieces import MAX_LENGTH, EncodedCaption, WordPieces
from xabl.errors import UserError
from xabl.models.config import ModelConfig
from xabl.python.arguments import checked
from xabl.python.frames import Frame, frame
from xabl.python.picture import Picture
from xabl.python.standing_in import StandingIn
from xabl.results.conditions import Condition, Direction, Level


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """A phrase of a caption, and the regions of the image it is about.

    config, logits, word_pieces: the model's.
    image: None for a text-only model.
    phrase: the phrase as an example of the study.
    average: what takes the place of an ablated region's features, if it was given.
    """

    config: ModelConfig
    logits: Model
    word_pieces: WordPieces
    image: ImageRegions | None
    phrase: PhraseExample
    average: Float32[np.ndarray, " features"] | None

    @checked()
    def ablate(
        self,
        condition: str | None = None,
        *,
        regions: Sequence[int] | None = None,
        words: str | Sequence[int] | None = None,
        target: int | None = None,
        replace: str | None = None,
        other: ImageRegions | str | None = None,
    ) -> Frame:
        """Losses (nats) and predictions when regions or words are removed.

        Regions removed, the words of the phrase predicted (vision for language):

            example.ablate("none"), example.ablate("all")
            example.ablate("object@0.5")          # the regions that show the phrase
            example.ablate(regions=[3, 7])

        Words removed, the class of a region predicted (language for vision):

            example.ablate(words="none"), example.ablate(words="phrase")
            example.ablate(words="all", target=12)
            example.ablate(words=[0, 4])

        Removed in other ways than the published ones (`results.ways`):

            example.ablate("all/zero"), example.ablate(regions=[3], replace="drop")
            example.ablate("all", replace="other_image", other=regions["7"])
            example.ablate(words="all", replace="other_caption", other="a dog runs")

        Args:
            condition: its name in scores.parquet; "object@..." needs `boxes`.
            regions: numbers of the regions to remove.
            words: "none", "phrase", "all", or numbers of the words to remove.
            target: the region to predict; by default the one that shows the phrase,
                for which `boxes` are needed. As in the study, all regions that cover
                more than half of what is to be predicted are masked with it.
            replace: the way of removing; by default the condition's.
            other: what stands in: the regions of another image, or words; cut, or
                again from the start, to as many as are removed.

        Returns:
            A row for each word piece of the phrase; the mean of its `mlm` is the one
            in scores.parquet. Or one row for the region, with the losses of its class.

        Raises:
            UserError: a name or number that does not exist, or something that is
                needed was not given; says what.
        """
        given = [value is not None for value in (condition, regions, words)]
        if sum(given) > 1 or (target is not None and words is None and any(given)):
            raise UserError(
                "give one of: a condition, regions=, or words= (with target= if wished)"
            )
        instead = StandingIn(replace=replace, other=other)
        if words is None and target is None:
            return self._predict_words(condition or "none", regions, instead)
        words = "none" if words is None else words
        return self._predict_region(words, target, instead)

    @checked()
    def show(
        self,
        condition: str = "none",
        *,
        regions: Sequence[int] | None = None,
        picture: Path | str | None = None,
    ) -> Picture:
        """The caption, and the regions over the image: to look at in a notebook.

        Args:
            condition, regions: which regions are shown as ablated; see `ablate`.
            picture: file of the image (JPEG or PNG); outlines only if absent.

        Raises:
            UserError: as `ablate`; the picture cannot be read.
        """
        condition = Condition.parse(Direction.VIS4LANG, condition)
        ablated = self._ablated(condition, regions)
        return Picture(
            image=self.image,
            ablated=ablated,
            boxes=self.phrase.boxes,
            words=tuple(self.phrase.sentence.split()),
            first_word=self.phrase.phrase.first_word,
            num_words=self.phrase.phrase.num_words,
            file=None if picture is None else Path(picture),
        )

    def __repr__(self) -> str:
        phrase = self.phrase
        seen = f", image {self.image.image_id}" if self.image is not None else ""
        return f"<{phrase.text!r} in {phrase.sentence!r}{seen}>"

    def _ablated(
        self, condition: Condition, numbers: Sequence[int] | None
    ) -> Bool[np.ndarray, " regions"]:
        """vis4lang: which regions the condition or the numbers ablate."""
        count = 0 if self.image is None else self.image.num_boxes
        if numbers is not None:
            return _chosen(numbers, count, "regions")
        if self.image is not None and len(self.phrase.boxes):
            return definition.hidden_of(self.image, self.phrase, condition)
        if condition.level is Level.OBJECT:
            raise UserError(
                f"{condition.name}: the boxes of the phrase are needed; give boxes="
            )
        return np.full(count, condition.level is Level.ALL)

    def _predict_words(
        self, name: str, regions: Sequence[int] | None, instead: StandingIn
    ) -> Frame:
        pieces = self.phrase.pieces
        if not len(pieces):
            raise UserError(
                f"{self.phrase.text!r} is cut off: models see the first "
                f"{MAX_LENGTH - 2} word pieces of a caption"
            )
        condition = instead.condition(Direction.VIS4LANG, name)
        ablated = self._ablated(condition, regions)
        logits = self._logits(self.phrase, condition, ablated, instead).words
        logits = np.asarray(logits)
        log_q = _log_softmax(logits[0, pieces])
        labels = self.phrase.token_ids[pieces]
        right = np.take_along_axis(log_q, labels[:, None], axis=1)
        words = self.phrase.sentence.split()
        return frame(
            {
                "word": [words[number] for number in self.phrase.word_index[pieces]],
                "piece": self.word_pieces.tokens(labels),
                "mlm": -right[:, 0],
                "rank": 1 + (log_q > right).sum(axis=1),
                "predicted": self.word_pieces.tokens(log_q.argmax(axis=1)),
                "probability": np.exp(log_q.max(axis=1)),
            }
        )

    def _predict_region(
        self, words: str | Sequence[int], target: int | None, instead: StandingIn
    ) -> Frame:
        predicted = self.config.scored_target()
        phrase, image = self._mention(words, target), self.image
        if not isinstance(words, str):
            words = Level.PHRASE if len(phrase.pieces) else Level.NONE
        condition = instead.condition(Direction.LANG4VIS, words)
        masked = definition.hidden_of(image, phrase, condition)
        asked_of = masked if target is None else np.arange(len(masked)) == target
        asked = definition.question(phrase, image, asked_of, condition)
        region = int(asked.region)
        if region < 0:
            raise UserError("no region covers more than half of a box of the phrase")
        logits = self._logits(phrase, condition, masked, instead).regions
        log_q = _log_softmax(np.asarray(logits)[0, region])
        losses = definition.mrc_losses(
            predicted, logits, jax.tree.map(lambda one: np.asarray(one)[None], asked)
        )
        return frame(
            {
                "target_region": [region],
                "silver_class": [_silver_class(image, region)],
                **{name: np.asarray(loss) for name, loss in losses.items()},
                "predicted": [int(log_q.argmax())],
                "probability": [float(np.exp(log_q.max()))],
            }
        )

    def _mention(self, words: str | Sequence[int], target: int | None) -> PhraseExample:
        """The phrase, about another region or of other words if these are given."""
        phrase = self.phrase
        if target is not None:
            _chosen([target], self.image.num_boxes, "target")
            phrase = dataclasses.replace(phrase, boxes=self.image.boxes[[target]])
        elif not len(phrase.boxes):
            raise UserError(
                "which region is to be predicted? Give target=, or the example boxes="
            )
        if isinstance(words, str):
            return phrase
        chosen = _chosen(words, len(phrase.sentence.split()), "words")
        pieces = np.flatnonzero(np.isin(phrase.word_index, np.flatnonzero(chosen)))
        return dataclasses.replace(phrase, pieces=pieces)

    def _logits(
        self,
        phrase: PhraseExample,
        condition: Condition,
        hidden: Bool[np.ndarray, " regions"],
        instead: StandingIn,
    ) -> Logits:
        """What the model predicts, in a batch of one."""
        words = definition.words_seen(
            phrase,
            definition.hidden_words(phrase, condition),
            instead.pieces(condition, phrase, self.word_pieces),
            shift_start=len(phrase.token_ids),
        )
        regions = None
        if self.image is not None:
            fill, features = Fill.AVERAGE, np.zeros_like(self.image.features[:1])
            if hidden.any():  # else nothing has to stand in
                fill, features = instead.features(condition, self.image, self.average)
            regions = definition.regions_seen(
                self.image, hidden, fill, features, num_boxes=self.image.num_boxes
            )
            if self.config.needs_regions and not regions.mask.any():
                raise UserError(f"{condition.name}: {NEEDS_REGIONS}")
        batch = jax.tree.map(lambda one: one[None], (words, regions))
        return self.logits(*batch)


def _log_softmax(
    logits: Float32[np.ndarray, "*rows classes"],
) -> Float64[np.ndarray, "*rows classes"]:
    """On the host: there is too little of it to compile a program for."""
    logits = logits.astype(np.float64)
    return logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)


def _silver_class(image: ImageRegions, region: int) -> int:
    """The detector's class of its 1601, background included."""
    if image.cls_prob is None:
        return int(image.objects_id[region]) + 1
    return int(image.cls_prob[region].argmax())


def _chosen(numbers: Sequence[int], count: int, name: str) -> Bool[np.ndarray, " _"]:
    """Numbers from 0 as a mask."""
    for number in numbers:
        if not isinstance(number, int | np.integer) or not 0 <= number < count:
            raise UserError(f"{name}: {number!r} is none of 0 ... {count - 1}")
    return np.isin(np.arange(count), list(numbers))


def phrase_example(
    caption: str,
    encoded: EncodedCaption,
    image: ImageRegions | None,
    phrase: Sequence[int] | str,
    boxes: ArrayLike | None,
) -> PhraseExample:
    """A phrase that is in no data set, as an example.

    Raises:
        UserError: the phrase is not in the caption, or a box is none.
    """
    words = caption.split()
    first, count = _place(words, phrase)
    return PhraseExample(
        number=0,
        image_id="" if image is None else image.image_id,
        img_w=0 if image is None else image.img_w,
        img_h=0 if image is None else image.img_h,
        caption=0,
        phrase=Phrase(chain="", types=(), first_word=first, num_words=count),
        text=" ".join(words[first : first + count]),
        sentence=" ".join(words),
        boxes=np.zeros((0, 4), np.float32) if boxes is None else _boxes(boxes),
        token_ids=encoded.token_ids,
        word_index=encoded.word_index,
        pieces=encoded.positions_of(first, count),
        reference_shift_start=len(encoded.token_ids),
    )


def _place(words: list[str], phrase: Sequence[int] | str) -> tuple[int, int]:
    """First word and number of words of a phrase."""
    expected = (
        f"phrase={phrase!r}: expected (first word, number of words), counted from 0, "
        f"within the {len(words)} words of the caption; or a phrase that it has once"
    )
    if isinstance(phrase, str):
        wanted = phrase.split()
        count = len(wanted)
        starts = [n for n in range(len(words)) if words[n : n + count] == wanted]
        if len(starts) != 1 or not wanted:
            raise UserError(expected)
        return starts[0], count
    try:
        first, count = map(operator.index, phrase)
    except (TypeError, ValueError) as error:
        raise UserError(expected) from error
    if first < 0 or count < 1 or first + count > len(words):
        raise UserError(expected)
    return first, count


def _boxes(boxes: ArrayLike) -> Float32[np.ndarray, "boxes 4"]:
    try:
        array = np.atleast_2d(np.asarray(boxes, np.float32))
    except (TypeError, ValueError):
        array = np.zeros(0)
    is_box = array.ndim == 2 and array.shape[1] == 4 and len(array)
    if not (
        is_box and (array[:, :2] <= array[:, 2:]).all() and np.isfinite(array).all()
    ):
        raise UserError(
            f"boxes={boxes!r}: expected x1, y1, x2, y2 in pixels, or several of them"
        )
    return array
