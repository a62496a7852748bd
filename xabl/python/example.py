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
from xabl.data.flickr30k_entities import Phrase
from xabl.data.regions import ImageRegions
from xabl.data.word_pieces import MAX_LENGTH, EncodedCaption, WordPieces
from xabl.errors import UserError
from xabl.models.config import ModelConfig
from xabl.python.frames import Frame, frame
from xabl.python.picture import Picture
from xabl.python.regions import average_of
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

    def ablate(
        self,
        condition: str | None = None,
        *,
        regions: Sequence[int] | None = None,
        words: str | Sequence[int] | None = None,
        target: int | None = None,
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

        Args:
            condition: its name in scores.parquet; "object@..." needs `boxes`.
            regions: numbers of the regions to remove.
            words: "none", "phrase", "all", or numbers of the words to remove.
            target: the region to predict; by default the one that shows the phrase,
                for which `boxes` are needed. As in the study, all regions that cover
                more than half of what is to be predicted are masked with it.

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
        if words is None and target is None:
            return self._predict_words(condition or "none", regions)
        return self._predict_region("none" if words is None else words, target)

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
        _, ablated = self._ablated(condition, regions)
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
        self, name: str, numbers: Sequence[int] | None
    ) -> tuple[Condition, Bool[np.ndarray, " regions"]]:
        """vis4lang: the condition, and which regions it or the numbers ablate."""
        condition = Condition.parse(Direction.VIS4LANG, name)
        count = 0 if self.image is None else self.image.num_boxes
        if numbers is not None:
            return condition, _chosen(numbers, count, "regions")
        if self.image is not None and len(self.phrase.boxes):
            found = definition.hidden_regions(self.phrase, self.image, condition)
            return condition, found
        if condition.level is Level.OBJECT:
            raise UserError(f"{name}: the boxes of the phrase are needed; give boxes=")
        return condition, np.full(count, condition.level is Level.ALL)

    def _predict_words(self, name: str, regions: Sequence[int] | None) -> Frame:
        pieces = self.phrase.pieces
        if not len(pieces):
            raise UserError(
                f"{self.phrase.text!r} is cut off: models see the first "
                f"{MAX_LENGTH - 2} word pieces of a caption"
            )
        condition, ablated = self._ablated(name, regions)
        logits = np.asarray(self._logits(self.phrase, condition, ablated).words)
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

    def _predict_region(self, words: str | Sequence[int], target: int | None) -> Frame:
        predicted = self.config.scored_target()
        phrase, image = self._mention(words, target), self.image
        if not isinstance(words, str):
            words = Level.PHRASE if len(phrase.pieces) else Level.NONE
        condition = Condition.parse(Direction.LANG4VIS, words)
        masked = definition.hidden_regions(phrase, image, condition)
        asked_of = masked if target is None else np.arange(len(masked)) == target
        asked = definition.question(phrase, image, asked_of, condition)
        region = int(asked.region)
        if region < 0:
            raise UserError("no region covers more than half of a box of the phrase")
        logits = self._logits(phrase, condition, masked).regions
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
    ) -> Logits:
        """What the model predicts, in a batch of one."""
        words = definition.words_seen(
            phrase,
            condition,
            mask_id=self.word_pieces.mask_id,
            shift_start=len(phrase.token_ids),
        )
        regions = None
        if self.image is not None:
            regions = definition.regions_seen(
                self.image,
                hidden,
                self._instead(condition, hidden),
                condition,
                num_boxes=self.image.num_boxes,
            )
        batch = jax.tree.map(lambda one: one[None], (words, regions))
        return self.logits(*batch)

    def _instead(
        self, condition: Condition, hidden: Bool[np.ndarray, " regions"]
    ) -> Float32[np.ndarray, "1 features"]:
        """What takes the place of the features of hidden regions."""
        if condition.direction is Direction.LANG4VIS or not hidden.any():
            return np.zeros((1, self.image.features.shape[1]), np.float32)
        if condition.way is not None:
            raise UserError(
                f"{condition.name}: needs other images, too; xabl.ablate has them"
            )
        average = average_of(self.image) if self.average is None else self.average
        if average is None:
            raise UserError(
                "what takes the place of ablated regions is not known; take the image "
                "from xabl.regions(...), or give the example average="
            )
        return average[None]


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
