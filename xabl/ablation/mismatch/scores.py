"""Scores of a few hundred intact examples, before all are scored.

Each is scored twice: as it is, and with what belongs to another image. What belongs
together is predicted better. Whether a model makes no use of the image is what the
ablation is to find out, so that is no reason to suspect anything: suspicious is a model
to which regions matter much, but their being the image's own matters not.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from xabl.ablation.distinct_inputs import NOT_SCORED
from xabl.ablation.engine.device_loop import Evaluation
from xabl.ablation.engine.pair_scores import put_scores
from xabl.ablation.mismatch.annotations import deviations
from xabl.ablation.mismatch.findings import Finding
from xabl.ablation.plan import Plan
from xabl.data.regions.description import evenly
from xabl.results.conditions import Direction, Level
from xabl.results.losses import NATS_PER_BIT

_MOST_EXAMPLES = 256  # scored twice, by direction
LEAST_IMAGES = 24  # fewer are too few to tell
_DEVIATIONS = 2.0
# Of what other regions change in an example's loss, in either direction, the part that
# is a loss on average: around 1/2 and more where the image's own are used.
_LEAST_SHARE = 0.25
_MATTERS = 0.25  # bits by which others change an example's loss, if they matter
# Losses that compare a region's class, the best first.
_CLASS_LOSSES = ("mrc_kl_aligned", "mrc_kl", "mrc_xe_corrected")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """Losses of a sample in nats, intact, and with what belongs to another image.

    images: of each example.
    own, other: losses; `other` None for a text-only model.
    """

    images: Int[np.ndarray, " examples"]
    own: Float[np.ndarray, " examples"]
    other: Float[np.ndarray, " examples"] | None

    def by_image(self, values: Float[np.ndarray, " examples"]) -> np.ndarray:
        """Means over each image's examples, which depend on each other."""
        numbers = np.unique(self.images, return_inverse=True)[1]
        return np.bincount(numbers, values) / np.bincount(numbers)

    @property
    def num_images(self) -> int:
        return len(np.unique(self.images))


def score_findings(evaluation: Evaluation, unigram: float) -> list[Finding]:
    """Scores a sample of the evaluation's examples and judges it.

    Args:
        unigram: mean loss in nats of guessing words by their frequency.
    """
    (trials,) = scored(evaluation, [evaluation.plan])
    return trial_findings(trials, unigram)


def trial_findings(trials: Mapping[Direction, Trial], unigram: float) -> list[Finding]:
    """What the scores of a sample say."""
    found = []
    if Direction.VIS4LANG in trials:
        trial = trials[Direction.VIS4LANG]
        found += [worse_than_unigram(trial, unigram), other_regions(trial)]
    if Direction.LANG4VIS in trials:
        found.append(other_captions(trials[Direction.LANG4VIS]))
    return [finding for finding in found if finding is not None]


# --- what the scores say -------------------------------------------------------------


def worse_than_unigram(trial: Trial, unigram: float) -> Finding | None:
    """Words that their frequency alone predicts better than the model."""
    if trial.num_images < LEAST_IMAGES:
        return None
    losses = trial.by_image(trial.own)
    if deviations(losses - unigram) <= _DEVIATIONS:
        return None
    return Finding(
        of="words",
        expected=f"at most {unigram / NATS_PER_BIT:.2f} bits, which knowing how often "
        "each word occurs gives",
        seen=f"{losses.mean() / NATS_PER_BIT:.2f} bits with nothing ablated",
        cause="features, a vocabulary or a checkpoint that is not the model's, or a "
        "model that was hardly trained",
        cure="check the model on the data it was trained with",
    )


def other_regions(trial: Trial) -> Finding | None:
    """A model to which regions matter, and the image's own no more than others."""
    size = _by_chance(trial)
    return size and Finding(
        of="words",
        expected="words that are predicted better with the image's regions than with "
        f"another image's, which change this model's loss by {size:.2f} bits",
        seen=_on_average(trial),
        cause="regions or captions under the ids of other images, or features that are "
        "not those of the model's training",
        cure="look at a few images with their boxes and captions (xabl report "
        "--regions), and at how the features were made",
    )


def other_captions(trial: Trial) -> Finding | None:
    """A model to which captions matter, and the image's own no more than others."""
    size = _by_chance(trial)
    return size and Finding(
        of="classes",
        expected="classes of regions that are predicted better with the image's "
        f"caption than with another one, which changes this model's loss by {size:.2f} "
        "bits",
        seen=_on_average(trial),
        cause="regions or captions under the ids of other images, or a detector with "
        "other classes than that of the model's training",
        cure="look at a few images with their boxes and captions (xabl report "
        "--regions), and take the detector that the model was trained with",
    )


def _by_chance(trial: Trial) -> float | None:
    """In bits, how much what is another image's changes a loss; None if as it should.

    That is: hardly, or mostly to the worse.
    """
    if trial.other is None or trial.num_images < LEAST_IMAGES:
        return None
    change = (trial.other - trial.own) / NATS_PER_BIT
    size = float(np.abs(change).mean())
    if size < _MATTERS or float(change.mean()) >= _LEAST_SHARE * size:
        return None
    return None if deviations(trial.by_image(change)) >= _DEVIATIONS else size


def _on_average(trial: Trial) -> str:
    change = float((trial.other - trial.own).mean()) / NATS_PER_BIT
    return f"a change by {change:+.2f} bits on average"


# --- scoring -------------------------------------------------------------------------


def scored(
    evaluation: Evaluation, plans: Sequence[Plan]
) -> list[dict[Direction, Trial]]:
    """Scores a sample of each plan's examples, all of them together.

    Args:
        plans: parts of the evaluation's plan.
    """
    samples = [_samples(plan, evaluation.scorer.config.text_only) for plan in plans]
    trials: list[dict[Direction, Trial]] = [{} for _ in plans]
    pairs = {d: [sample[d].pairs for sample in samples] for d in Direction}
    if not any(len(part) for parts in pairs.values() for part in parts):
        return trials  # nothing to compile for
    plan = dataclasses.replace(
        evaluation.plan,
        mlm=_concatenated(pairs[Direction.VIS4LANG]),
        mrc=_concatenated(pairs[Direction.LANG4VIS]),
    )
    scores: dict[Direction, dict[str, np.ndarray]] = {d: {} for d in Direction}
    trial = evaluation.of(plan)
    for direction, numbers, values in trial.run(trial.schedule()):
        put_scores(scores[direction], plan, direction, numbers, values)
    for direction, values in scores.items():
        name = next((n for n in ("mlm", *_CLASS_LOSSES) if n in values), None)
        if name is None:
            continue
        ends = np.cumsum([len(part) for part in pairs[direction]])[:-1]
        for found, sample, losses in zip(
            trials, samples, np.split(values[name], ends), strict=True
        ):
            # Where a loss is not finite, the run itself says of which example.
            if len(losses) and np.isfinite(losses).all():
                found[direction] = sample[direction].trial(losses.astype(np.float64))
    return trials


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Sample:
    """What is scored in one direction.

    images: of the examples of the sample.
    pairs: as they are; then all of them once more with another image's.
    """

    images: Int[np.ndarray, " examples"]
    pairs: Any

    def trial(self, losses: Float[np.ndarray, " pairs"]) -> Trial:
        own, other = losses[: len(self.images)], losses[len(self.images) :]
        if not len(other):
            return Trial(images=self.images, own=own, other=None)
        apart = self.images != _halfway(self.images)
        return Trial(images=self.images[apart], own=own[apart], other=other[apart])


def _samples(plan: Plan, text_only: bool) -> dict[Direction, _Sample]:
    mlm = _taken(plan.mlm, _sample(plan, Direction.VIS4LANG))
    mrc = _taken(plan.mrc, _sample(plan, Direction.LANG4VIS))
    if text_only:  # captions instead of images
        words = _Sample(images=mlm.word, pairs=mlm)
    else:
        words = _Sample(
            images=plan.regions.image[mlm.region],
            pairs=_concatenated([mlm, _with(mlm, region=_halfway(mlm.region))]),
        )
    regions = _Sample(
        images=plan.regions.image[mrc.region],
        pairs=_concatenated([mrc, _with(mrc, word=_halfway(mrc.word))]),
    )
    return {Direction.VIS4LANG: words, Direction.LANG4VIS: regions}


def _sample(plan: Plan, direction: Direction) -> Int[np.ndarray, " pairs"]:
    """Numbers of intact pairs, evenly spread; none where images are too few."""
    if len({example.image_id for example in plan.examples}) >= LEAST_IMAGES:
        for column in plan.columns(direction):
            if plan.conditions[column].level is Level.NONE:
                pairs = plan.pair[:, column]
                pairs = pairs[pairs != NOT_SCORED]
                return pairs[evenly(len(pairs), _MOST_EXAMPLES)]
    return np.zeros(0, np.int32)


# Pairs of one direction are a struct of columns: `MlmPairs` or `MrcPairs`.


def _with(pairs: Any, **changed: np.ndarray) -> Any:
    return dataclasses.replace(pairs, **changed)


def _taken(pairs: Any, numbers: Int[np.ndarray, " _"]) -> Any:
    return _with(
        pairs, **{name: column[numbers] for name, column in vars(pairs).items()}
    )


def _concatenated(parts: Sequence[Any]) -> Any:
    return _with(
        parts[0],
        **{
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in vars(parts[0])
        },
    )


def _halfway(values: np.ndarray) -> np.ndarray:
    """Of each example of a sample, the value of one far away in the split."""
    return np.roll(values, len(values) // 2)
