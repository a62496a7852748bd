"""One caption and one image, ablated as one likes."""

import dataclasses
import operator
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Int
from numpy.typing import ArrayLike

from xabl.ablation.engine.device_regions import check_feature_size
from xabl.ablation.engine.losses import RegionLabels, mrc_scores
from xabl.ablation.overlap import coverage, target_region
from xabl.data.regions import ImageRegions
from xabl.data.word_pieces import MAX_LENGTH, EncodedCaption, WordPieces
from xabl.errors import UserError
from xabl.models.config import ModelConfig
from xabl.python.frames import Frame, frame
from xabl.python.picture import Picture
from xabl.python.regions import average_for
from xabl.results.conditions import Condition, Direction, Level

# What every head gives: `Model.logits`.
Logits = Callable[..., tuple[Array, dict[str, Array]]]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """A phrase of a caption, and the regions of the image it is about.

    config, word_pieces, logits: of the model.
    words: of the caption.
    first_word, num_words: of the phrase.
    boxes: of the phrase, x1, y1, x2, y2 in pixels; None: not known.
    average: what takes the place of ablated features; None: not known.
    caption: the word pieces.
    """

    config: ModelConfig
    word_pieces: WordPieces
    logits: Logits
    image: ImageRegions | None
    words: tuple[str, ...]
    first_word: int
    num_words: int
    boxes: Float[np.ndarray, "boxes 4"] | None
    average: Float32[np.ndarray, " features"] | None
    caption: EncodedCaption

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
            condition: a name as in scores.parquet; "object@..." needs `boxes`.
            regions: numbers of the regions to remove.
            words: "none", "phrase", "all", or numbers of the words to remove.
            target: the region to predict; by default the one that shows the phrase,
                for which `boxes` are needed. Regions that cover more than half of what
                is to be predicted are masked with it.

        Returns:
            A row for each word piece of the phrase, whose mean is `mlm` in
            scores.parquet; or one row for the target region.

        Raises:
            UserError: a name or number that does not exist, or something that is
                needed was not given; says what.
        """
        given = [value is not None for value in (condition, regions, words)]
        if sum(given) > 1:
            raise UserError("give one of: a condition, regions=, words=")
        if words is not None or target is not None:
            return self._predict_region(words or "none", target)
        return self._predict_words(self._regions(condition or "none", regions))

    def show(
        self,
        condition: str = "none",
        *,
        regions: Sequence[int] | None = None,
        picture: Path | str | None = None,
    ) -> Picture:
        """The caption and the regions over the image, to look at in a notebook.

        Args:
            condition, regions: what is ablated, as in `ablate`.
            picture: file of the image (JPEG or PNG); outlines only if absent.

        Raises:
            UserError: as `ablate`; the picture cannot be read.
        """
        ablated = self._regions(condition, regions)
        return Picture(
            image=self.image,
            ablated=ablated,
            boxes=self.boxes,
            words=self.words,
            phrase=(self.first_word, self.num_words),
            file=None if picture is None else Path(picture),
        )

    @property
    def phrase(self) -> str:
        """The words of the phrase."""
        return " ".join(self.words[self.first_word :][: self.num_words])

    def __repr__(self) -> str:
        image = "no image" if self.image is None else f"image {self.image.image_id}"
        return f"<{self.phrase!r} in {' '.join(self.words)!r}, {image}>"

    def _regions(
        self, name: str, numbers: Sequence[int] | None
    ) -> Bool[np.ndarray, " regions"]:
        """Which regions a condition, or a list of numbers, ablates."""
        condition = Condition.parse(Direction.VIS4LANG, name)
        count = 0 if self.image is None else self.image.num_boxes
        if numbers is not None:
            return _selected(numbers, count, "regions")
        if condition.level is not Level.OBJECT:
            return np.full(count, condition.level is Level.ALL)
        if self.boxes is None or self.image is None:
            raise UserError(f"{name}: needs the boxes of the phrase; give boxes=")
        covered = coverage(self.image.boxes.astype(np.float64), self.boxes)
        return covered > condition.region_threshold

    def _predict_words(self, ablated: Bool[np.ndarray, " regions"]) -> Frame:
        pieces = self._pieces()
        if not len(pieces):
            raise UserError(
                f"{self.phrase!r} was cut off: models see the first {MAX_LENGTH - 2} "
                "word pieces of a caption"
            )
        if ablated.any() and self.average is None:
            raise UserError(
                "what takes the place of ablated regions is not known; take the image "
                "from xabl.regions(...), or give average="
            )
        logits, _ = self._logits(masked=pieces, ablated=ablated, fill=self.average)
        log_q = np.asarray(jax.nn.log_softmax(logits[pieces]))
        labels = self.caption.token_ids[pieces]
        tokens = self.word_pieces.tokens
        return frame(
            [
                {
                    "word": self.words[self.caption.word_index[position]],
                    "piece": piece,
                    "mlm": float(-row[label]),
                    "rank": int((row > row[label]).sum()) + 1,
                    "predicted": best,
                    "probability": float(np.exp(row.max())),
                }
                for position, piece, best, label, row in zip(
                    pieces,
                    tokens(labels),
                    tokens(log_q.argmax(axis=1)),
                    labels,
                    log_q,
                    strict=True,
                )
            ]
        )

    def _predict_region(self, words: str | Sequence[int], target: int | None) -> Frame:
        predicted = self.config.scored_target()
        if target is not None:
            _selected([target], self.image.num_boxes, "target")
            boxes = self.image.boxes[[target]].astype(np.float64)
        elif self.boxes is not None:
            boxes = self.boxes
        else:
            raise UserError("which region to predict? give target=, or boxes= before")
        masked, found = target_region(self.image.boxes.astype(np.float64), boxes)
        target = found if target is None else target
        if target is None:
            raise UserError("no region covers more than half of the phrase's boxes")
        _, logits = self._logits(
            masked=self._masked_words(words), ablated=masked, fill=None
        )
        image = self.image
        label = int(image.objects_id[target])
        scores = mrc_scores(
            predicted,
            logits[predicted.name][[target]],
            RegionLabels(
                objects_id=np.array([label], np.int32),
                objects_conf=image.objects_conf[[target]],
                gold=np.array([-1], np.int32),
                cls_prob=None if image.cls_prob is None else image.cls_prob[[target]],
            ),
            top=1,
        )
        losses = {k: float(v[0]) for k, v in scores.items() if k.startswith("mrc_")}
        losses.pop("mrc_xe_vg")  # of a class nobody named
        silver = (
            label + 1 if image.cls_prob is None else image.cls_prob[target].argmax()
        )
        return frame(
            [
                {
                    "target_region": target,
                    "silver_class": int(silver),
                    **losses,
                    "predicted": int(scores["predicted"][0]),
                    "probability": float(scores["top_probabilities"][0, 0]),
                }
            ]
        )

    def _pieces(self) -> Int[np.ndarray, " pieces"]:
        return self.caption.positions_of(self.first_word, self.num_words)

    def _masked_words(self, words: str | Sequence[int]) -> Int[np.ndarray, " pieces"]:
        """Positions of the pieces of the words to remove."""
        if not isinstance(words, str):
            which = np.flatnonzero(_selected(words, len(self.words), "words"))
            return np.flatnonzero(np.isin(self.caption.word_index, which))
        level = Condition.parse(Direction.LANG4VIS, words).hidden_words
        if level is Level.PHRASE:
            return self._pieces()
        return np.flatnonzero((self.caption.word_index >= 0) & (level is Level.ALL))

    def _logits(
        self,
        *,
        masked: Int[np.ndarray, " pieces"],
        ablated: Bool[np.ndarray, " regions"],
        fill: Float32[np.ndarray, " features"] | None,
    ) -> tuple[Array, dict[str, Array]]:
        """Logits of every word piece, and by visual target of every region.

        Args:
            fill: features of an ablated region (vis4lang); None: zeros, as a masked
                region has in pretraining (lang4vis).
        """
        token_ids = self.caption.token_ids.copy()
        token_ids[masked] = self.word_pieces.mask_id
        if self.image is None:
            return self.logits(token_ids)
        whole, features = self.image.features, self.image.features.copy()
        features[ablated] = 0 if fill is None else fill
        # [IMG] is the mean of what is left, in lang4vis as published of the whole.
        mean = (whole if fill is None else features).mean(axis=0)
        return self.logits(token_ids, features, mean, self.image)


def _selected(
    numbers: Sequence[int], count: int, name: str
) -> Bool[np.ndarray, " count"]:
    """Numbers from 0 as a mask."""
    wrong = [n for n in numbers if not isinstance(n, (int, np.integer)) or n < 0]
    wrong += [n for n in numbers if n not in wrong and n >= count]
    if wrong:
        raise UserError(f"{name}: {wrong[0]!r} is none of 0 ... {count - 1}")
    mask = np.zeros(count, bool)
    mask[list(numbers)] = True
    return mask


def make_example(
    config: ModelConfig,
    word_pieces: WordPieces,
    logits: Logits,
    image: ImageRegions | None,
    caption: str,
    *,
    phrase: Sequence[int] | str,
    boxes: ArrayLike | None,
    average: Float32[np.ndarray, " features"] | None,
) -> Example:
    """See `Model.example`."""
    if (image is None) != config.text_only:
        saw = "sees no image: give None" if config.text_only else "needs an image"
        raise UserError(f"model {config.name} {saw} in its place")
    if image is not None:
        check_feature_size(config, image.features.shape[1], f"image {image.image_id}")
        average = average_for(image) if average is None else average
    words = tuple(caption.split())
    first_word, num_words = _phrase(words, phrase)
    return Example(
        config=config,
        word_pieces=word_pieces,
        logits=logits,
        image=image,
        words=words,
        first_word=first_word,
        num_words=num_words,
        boxes=None if boxes is None else _boxes(boxes),
        average=average,
        caption=word_pieces.encode(words),
    )


def _phrase(words: tuple[str, ...], phrase: Sequence[int] | str) -> tuple[int, int]:
    """First word and number of words."""
    if isinstance(phrase, str):
        wanted = tuple(phrase.split())
        starts = [
            start
            for start in range(len(words))
            if wanted and words[start : start + len(wanted)] == wanted
        ]
        if len(starts) != 1:
            raise UserError(
                f"phrase={phrase!r}: stands {len(starts)} times in the caption; give "
                "(first word, number of words), counted from 0"
            )
        return starts[0], len(wanted)
    try:
        first, count = (operator.index(number) for number in phrase)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"phrase={phrase!r}: expected (first word, number of words), or the words"
        ) from error
    if first < 0 or count < 1 or first + count > len(words):
        raise UserError(
            f"phrase={phrase!r}: expected (first word, number of words), counted from "
            f"0; the caption has {len(words)} words"
        )
    return first, count


def _boxes(boxes: ArrayLike) -> Float[np.ndarray, "boxes 4"]:
    array = np.atleast_2d(np.asarray(boxes, np.float32))
    if array.ndim != 2 or array.shape[1] != 4 or not len(array):
        raise UserError(
            f"boxes={boxes!r}: expected x1, y1, x2, y2 in pixels, or a list of such"
        )
    if not np.isfinite(array).all() or (array[:, 2:] < array[:, :2]).any():
        raise UserError(f"boxes={boxes!r}: a box is inverted or not finite")
    return array
