"""The method on one page: one phrase under one condition, for any model.

Part of one modality is hidden from a model: how much worse does it predict the other?
(Frank et al., EMNLP 2021.) For one example and one condition this page says

- which words and which regions are hidden: `hidden_words`, `hidden_regions`;
- what takes their place: `words_seen`, `regions_seen` (and `replacement`, by way);
- what is asked, and what is right: `question`;
- how far the model is from it: `mlm_losses`, `mrc_losses`.

`Definition` asks any function from words and regions to logits (`any_model`), and
computes every input on its own. The plan takes from here what is hidden, and gives with
the engine the same numbers for less arithmetic; tests and benchmarks compare them with
this page.
"""

import dataclasses
import functools
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

from xabl.ablation.any_model import Logits, Model, Regions, Words
from xabl.ablation.examples import PhraseExample
from xabl.ablation.overlap import TARGET_THRESHOLD, coverage
from xabl.ablation.replacement import (
    Donors,
    Fill,
    RegionsInstead,
    WordsInstead,
    regions_instead,
    words_instead,
)
from xabl.data.boxes import iou, relative_locations
from xabl.data.regions.image_regions import (
    ImageRegions,
    StackedRegions,
)
from xabl.data.word_pieces import MAX_LENGTH
from xabl.models.visual_targets import VisualTarget
from xabl.results.conditions import Condition, Direction, Level
from xabl.results.losses import LOSSES
from xabl.support.image_ids import canonical_id
from xabl.types import AnyArray, pytree

# Of the method. Who changes what scores are, here, in the plan, the engine or a model,
# counts on: kept scores and a study's runs of another number are not taken up. What
# changes no score (a comment, speed) leaves it as it is.
METHOD = 2

BATCH_SIZE = 16


def hidden_words(
    example: PhraseExample, condition: Condition
) -> Int[np.ndarray, " hidden"]:
    """Positions of pieces the model does not see: to be predicted, or ablated."""
    if condition.hidden_words is Level.NONE:
        return np.zeros(0, np.int64)
    if condition.hidden_words is Level.PHRASE:
        return example.pieces
    return np.arange(1, len(example.token_ids) - 1)  # [CLS] and [SEP] stay


def hidden_regions(
    covered: Float[np.ndarray, " boxes"], condition: Condition
) -> Bool[np.ndarray, " boxes"]:
    """Regions the model does not see: ablated, or those that show the phrase.

    Args:
        covered: how much of the phrase's boxes each region covers: `coverage`.
    """
    if condition.direction is Direction.LANG4VIS:
        return covered > TARGET_THRESHOLD
    return covered > condition.region_threshold  # infinity: none; minus infinity: all


def hidden_of(
    image: ImageRegions, example: PhraseExample, condition: Condition
) -> Bool[np.ndarray, " boxes"]:
    """`hidden_regions` of the image that the example is about."""
    covered = coverage(image.boxes.astype(np.float64), example.boxes)
    return hidden_regions(covered, condition)


def words_seen(
    example: PhraseExample,
    hidden: Int[np.ndarray, " hidden"],
    instead: WordsInstead,
    *,
    shift_start: int,
) -> Words:
    """The caption, hidden pieces replaced or not attended to; all keep their places."""
    length = len(example.token_ids)
    token_ids, attended = np.zeros(MAX_LENGTH, np.int32), np.arange(MAX_LENGTH) < length
    token_ids[:length] = example.token_ids
    token_ids[hidden], attended[hidden] = instead.pieces, instead.attended
    return Words(
        token_ids=token_ids,
        mask=attended,
        shift_starts=np.array(shift_start, np.int32),
    )


def regions_seen(
    image: ImageRegions,
    hidden: Bool[np.ndarray, " boxes"],
    fill: Fill,
    instead: Float[np.ndarray, "#boxes features"],
    *,
    num_boxes: int,
) -> Regions:
    """The image's regions, padded to `num_boxes`; hidden ones keep their location.

    vis4lang: [IMG] is the mean of the features after ablation, of those that stay;
    where none stays, what stands for one. lang4vis: of those before, so that it still
    knows of the region to be predicted, as published.
    """
    features = np.where(hidden[:, None], instead, image.features)
    stays = ~hidden | (fill is not Fill.DROP)
    known = image.features if fill is Fill.MASKED else features[stays]
    locations = relative_locations(
        image.boxes, np.array(image.img_w), np.array(image.img_h), num_locs=5
    )
    padding = (0, num_boxes - image.num_boxes)
    return Regions(
        features=np.pad(features.astype(np.float32), [padding, (0, 0)]),
        locations=np.pad(locations, [padding, (0, 0)]),
        mask=np.pad(stays, padding),
        image=(known if len(known) else instead).mean(axis=0).astype(np.float32),
    )


@pytree
class Question:
    """What is asked, and what is right.

    pieces: by position in the caption; -1 where none is asked for.
    region: its number; -1: none is asked for.
    objects_id, objects_conf, cls_prob: what the detector says about that region; None
        without regions, cls_prob also where the file has none.
    """

    pieces: Int[AnyArray, "*batch words"]
    region: Int[AnyArray, "*batch"]
    objects_id: Int[AnyArray, "*batch"] | None = None
    objects_conf: Float[AnyArray, "*batch"] | None = None
    cls_prob: Float[AnyArray, "*batch classes"] | None = None


def question(
    example: PhraseExample,
    image: ImageRegions | None,
    hidden: Bool[np.ndarray, " boxes"] | None,
    condition: Condition,
) -> Question:
    """vis4lang: the words of the phrase. lang4vis: the region that shows it best.

    That is, of those hidden, the one with the highest IoU with a box of the phrase.
    Nothing is asked where the words are cut off or no region shows the phrase. The
    plan finds the target with `overlap.target_region`: two ways to one region.
    """
    pieces, region = np.full(MAX_LENGTH, -1, np.int32), -1
    if condition.direction is Direction.VIS4LANG:
        pieces[example.pieces] = example.token_ids[example.pieces]
    elif hidden.any() and (len(example.pieces) or condition.level is not Level.PHRASE):
        shared = iou(image.boxes.astype(np.float64), example.boxes).max(axis=1)
        region = int(np.where(hidden, shared, -1).argmax())
    asked = Question(pieces=pieces, region=np.array(region, np.int32))
    if image is None:
        return asked
    return dataclasses.replace(
        asked,
        objects_id=np.array(image.objects_id[region], np.int32),
        objects_conf=np.array(image.objects_conf[region]),
        cls_prob=None if image.cls_prob is None else image.cls_prob[region],
    )


@jax.jit
def mlm_losses(
    logits: Float[Array, "batch words vocabulary"], pieces: Int[Array, "batch words"]
) -> dict[str, Shaped[Array, "batch ..."]]:
    """Cross-entropy, in nats, of the pieces that are asked for, and its mean.

    Returns:
        mlm [batch]; piece_loss and piece_rank (1: the most probable) [batch words],
        rank 0 where none is asked for.
    """
    log_q = jax.nn.log_softmax(logits)
    chosen = jnp.take_along_axis(log_q, jnp.maximum(pieces, 0)[..., None], axis=-1)
    asked = pieces >= 0
    return {
        "mlm": -jnp.sum(chosen[..., 0] * asked, axis=1) / jnp.sum(asked, axis=1),
        "piece_loss": -chosen[..., 0],
        "piece_rank": jnp.where(asked, 1 + jnp.sum(log_q > chosen, axis=-1), 0),
    }


@functools.partial(jax.jit, static_argnums=0)
def mrc_losses(
    target: VisualTarget,
    logits: Float[Array, "batch boxes classes"],
    asked: Question,
) -> dict[str, Float[Array, " batch"]]:
    """Cross-entropy to the detector's object and KL to its distribution, in nats.

    As published, and with classes where they belong ("_corrected", "_aligned").
    """
    rows = jnp.maximum(asked.region, 0)[:, None, None]
    log_q = jax.nn.log_softmax(jnp.take_along_axis(logits, rows, axis=1)[:, 0])
    ids = asked.objects_id[:, None]
    xe = -jnp.take_along_axis(log_q, ids, axis=1)[:, 0]
    right = jnp.take_along_axis(log_q, ids + target.first_object, axis=1)[:, 0]
    losses = {
        "mrc_xe": xe * asked.objects_conf if target.weight else xe,
        "mrc_xe_corrected": -right,
    }
    if asked.cls_prob is not None and target.has_kl:
        p = asked.cls_prob
        losses["mrc_kl"] = jnp.sum(jax.scipy.special.xlogy(p, p) - p * log_q, axis=1)
        if target.first_object == 0:
            p = p[:, 1:] / jnp.sum(p[:, 1:], axis=1, keepdims=True)
            terms = jax.scipy.special.xlogy(p, p) - p * log_q[:, :-1]
            losses["mrc_kl_aligned"] = jnp.sum(terms, axis=1)
    return {
        name: jnp.where(asked.region >= 0, loss, jnp.nan)
        for name, loss in losses.items()
    }


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Definition:
    """A model and what it is asked about.

    regions: of all images; None for a text-only model.
    average: the data set's average feature vector.
    mask_id: the vocabulary's [MASK].
    target: what the model predicts of regions; None: lang4vis cannot be asked.
    per_example_positions: see `VlBertPositions`.
    donors: of the whole split; needed where regions of another image or words of
        another caption stand in.
    needs_regions: see `ModelConfig.needs_regions`.
    batch_size: how many examples the model is always given at once.
    """

    model: Model
    regions: StackedRegions | None
    average: Float[np.ndarray, " features"] | None
    mask_id: int
    target: VisualTarget | None
    per_example_positions: bool = False
    donors: Donors = Donors()
    needs_regions: bool = False
    batch_size: int = BATCH_SIZE

    def losses(
        self, examples: Sequence[PhraseExample], condition: Condition
    ) -> dict[str, Float[np.ndarray, " examples"]]:
        """Losses in nats by name; NaN for examples of which nothing can be asked."""
        found = self.scores(examples, condition)
        return {name: found[name] for name in LOSSES if name in found}

    def scores(
        self, examples: Sequence[PhraseExample], condition: Condition
    ) -> dict[str, Shaped[np.ndarray, " _"]]:
        """The losses, and in vis4lang those of every piece.

        Returns:
            What `losses` gives; and piece_loss, piece_rank: of the right pieces, the
            `pieces` of one example after the other.
        """
        batches = list(self.batches(examples, condition))
        found = {
            name: np.concatenate([batch[name] for batch in batches])
            for name in batches[0]
        }
        if condition.direction is Direction.VIS4LANG:
            asked = found["piece_rank"] > 0
            found |= {name: found[name][asked] for name in ("piece_loss", "piece_rank")}
        return found

    def batches(
        self, examples: Sequence[PhraseExample], condition: Condition
    ) -> Iterator[dict[str, Shaped[np.ndarray, "batch ..."]]]:
        """What `mlm_losses` or `mrc_losses` gives, `batch_size` examples at a time."""
        for start in range(0, len(examples), self.batch_size):
            batch = examples[start : start + self.batch_size]
            asked, logits = self.answers(batch, condition)
            if condition.direction is Direction.VIS4LANG:
                found = mlm_losses(logits.words, asked.pieces)
            else:
                found = mrc_losses(self.target, logits.regions, asked)
            yield {name: np.asarray(loss)[: len(batch)] for name, loss in found.items()}

    def answers(
        self, examples: Sequence[PhraseExample], condition: Condition
    ) -> tuple[Question, Logits]:
        """What is asked of up to `batch_size` examples, and what the model says.

        One compiled shape: a smaller batch repeats its first example.
        """
        examples = [*examples, *[examples[0]] * (self.batch_size - len(examples))]
        inputs = [self._input(example, condition) for example in examples]
        words, regions, asked = jax.tree.map(lambda *each: np.stack(each), *inputs)
        return asked, self.model(words, regions)

    def _input(
        self, example: PhraseExample, condition: Condition
    ) -> tuple[Words, Regions | None, Question]:
        start = len(example.token_ids)
        if not self.per_example_positions:
            start = example.reference_shift_start
        words = words_seen(
            example,
            hidden_words(example, condition),
            words_instead(condition, self.donors, example, self.mask_id),
            shift_start=start,
        )
        if self.regions is None:
            return words, None, question(example, None, None, condition)
        row = self.regions.rows[canonical_id(example.image_id)]
        image = self.regions.image(row)
        hidden = hidden_of(image, example, condition)
        instead = regions_instead(condition, self.donors, row)
        features = self._instead(instead, image.num_boxes)
        regions = regions_seen(
            image,
            hidden,
            instead.fill,
            features,
            num_boxes=self.regions.boxes.shape[1],
        )
        asked = question(example, image, hidden, condition)
        if self.needs_regions and not regions.mask.any():
            asked = dataclasses.replace(asked, pieces=np.full_like(asked.pieces, -1))
        return words, regions, asked

    def _instead(
        self, instead: RegionsInstead, count: int
    ) -> Float[np.ndarray, "#boxes features"]:
        """Features that take the place of those of hidden regions, of `count`."""
        if instead.fill in (Fill.AVERAGE, Fill.DROP):
            return self.average[None]
        if instead.fill in (Fill.ZERO, Fill.MASKED):
            return np.zeros_like(self.average)[None]
        donor = self.regions.image(instead.donor)
        return donor.features[np.arange(count) % donor.num_boxes]
