"""Scores of a few hundred intact examples, before all are scored.

Each is scored twice: as it is, and with what belongs to another image. What belongs
together is predicted better. Whether a model makes no use of the image is what the
ablation is to find out, so that is no reason to suspect anything: suspicious is a model
to which regions matter much, but their being the image's own matters not.
"""

import dataclasses

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
_LEAST_IMAGES = 24  # fewer are too few to tell
_DEVIATIONS = 2.0
# Of what other regions change in an example's loss, in either direction, the part that
# is a loss on average: around 1/2 and more where the image's own are used.
_LEAST_SHARE = 0.25
_MATTERS = 0.1  # bits by which other regions change an example's loss, if they matter
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


def score_findings(evaluation: Evaluation) -> list[Finding]:
    """Scores a sample of the evaluation's examples and judges it."""
    plan = evaluation.plan
    if len({example.image_id for example in plan.examples}) < _LEAST_IMAGES:
        return []
    words, regions = (_sample(plan, direction) for direction in Direction)
    trials = _scored(evaluation, words, regions)
    found = []
    if Direction.VIS4LANG in trials:
        trial = trials[Direction.VIS4LANG]
        found += [worse_than_unigram(trial, unigram_nats(plan)), other_regions(trial)]
    if Direction.LANG4VIS in trials:
        found.append(other_classes(trials[Direction.LANG4VIS]))
    return [finding for finding in found if finding is not None]


# --- what the scores say -------------------------------------------------------------


def worse_than_unigram(trial: Trial, unigram: float) -> Finding | None:
    """Words that their frequency alone predicts better than the model."""
    if trial.num_images < _LEAST_IMAGES:
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
    if trial.other is None or trial.num_images < _LEAST_IMAGES:
        return None
    change = trial.other - trial.own
    size = float(np.abs(change).mean())
    if size < _MATTERS * NATS_PER_BIT or not _is_chance(trial, change):
        return None
    return Finding(
        of="words",
        expected="words that are predicted better with the image's regions than with "
        "another image's, which change this model's loss by "
        f"{size / NATS_PER_BIT:.2f} bits",
        seen=f"{change.mean() / NATS_PER_BIT:+.2f} bits with another's on average",
        cause="regions or captions under the ids of other images, or features that are "
        "not those of the model's training",
        cure="look at a few images with their boxes and captions (xabl report "
        "--regions), and at how the features were made",
    )


def other_classes(trial: Trial) -> Finding | None:
    """Classes of regions that are predicted no better than another image's."""
    if trial.other is None or trial.num_images < _LEAST_IMAGES:
        return None
    change = trial.other - trial.own
    if not _is_chance(trial, change):
        return None
    return Finding(
        of="classes",
        expected="classes of regions that are predicted better than those of another "
        "image",
        seen=f"{trial.own.mean() / NATS_PER_BIT:.2f} bits for the detector's own, "
        f"{trial.other.mean() / NATS_PER_BIT:.2f} bits for those of another image",
        cause="a detector with other classes than that of the model's training, or "
        "regions under the ids of other images",
        cure="take regions of the detector that the model was trained with",
    )


def _is_chance(trial: Trial, change: Float[np.ndarray, " examples"]) -> bool:
    share = float(change.mean()) / max(float(np.abs(change).mean()), 1e-9)
    return share < _LEAST_SHARE and deviations(trial.by_image(change)) < _DEVIATIONS


def unigram_nats(plan: Plan) -> float:
    """Mean cross-entropy of the phrases' pieces when their frequency is all one knows.

    Each piece is left out of the counts that it is predicted with.
    """
    pieces = np.concatenate(
        [example.token_ids[example.pieces] for example in plan.examples]
    )
    _, place, counts = np.unique(pieces, return_inverse=True, return_counts=True)
    left = counts[place] - 1
    vocabulary = len(counts)
    return float(-np.log((left + 1) / (len(pieces) - 1 + vocabulary)).mean())


# --- scoring -------------------------------------------------------------------------


def _sample(plan: Plan, direction: Direction) -> Int[np.ndarray, " pairs"]:
    """Numbers of intact pairs, evenly spread over the split."""
    for column in plan.columns(direction):
        if plan.conditions[column].level is Level.NONE:
            pairs = plan.pair[:, column]
            pairs = pairs[pairs != NOT_SCORED]
            return pairs[evenly(len(pairs), _MOST_EXAMPLES)] if len(pairs) else pairs
    return np.zeros(0, np.int32)


def _scored(
    evaluation: Evaluation,
    words: Int[np.ndarray, " word_pairs"],
    regions: Int[np.ndarray, " region_pairs"],
) -> dict[Direction, Trial]:
    plan = evaluation.plan
    has_regions = not evaluation.scorer.config.text_only
    mlm, mrc = _taken(plan.mlm, words), _taken(plan.mrc, regions)
    images = {
        Direction.VIS4LANG: plan.regions.image[mlm.region] if has_regions else mlm.word,
        Direction.LANG4VIS: plan.regions.image[mrc.region],
    }
    both = dataclasses.replace(
        plan,
        mlm=_joined(mlm, region=_halfway(mlm.region)) if has_regions else mlm,
        mrc=_joined(mrc, label=_halfway(mrc.label)),
    )
    scores: dict[Direction, dict[str, np.ndarray]] = {d: {} for d in Direction}
    trial = evaluation.of(both)
    for direction, pairs, values in trial.run(trial.schedule()):
        put_scores(scores[direction], both, direction, pairs, values)
    found = {}
    for direction, values in scores.items():
        name = next((n for n in ("mlm", *_CLASS_LOSSES) if n in values), None)
        if name is None:
            continue
        image, losses = images[direction], values[name].astype(np.float64)
        own, other = losses[: len(image)], losses[len(image) :]
        if not np.isfinite(losses).all():
            continue  # the run itself says which example
        if len(other):
            apart = image != _halfway(image)
            image, own, other = image[apart], own[apart], other[apart]
        if len(image):
            found[direction] = Trial(
                images=image, own=own, other=other if len(other) else None
            )
    return found


def _taken(pairs, numbers: Int[np.ndarray, " _"]):
    """Some of the pairs of one direction."""
    return dataclasses.replace(
        pairs, **{name: column[numbers] for name, column in vars(pairs).items()}
    )


def _joined(pairs, **changed: np.ndarray):
    """The pairs, and after them the same ones with some columns changed."""
    return dataclasses.replace(
        pairs,
        **{
            name: np.concatenate([column, changed.get(name, column)])
            for name, column in vars(pairs).items()
        },
    )


def _halfway(values: np.ndarray) -> np.ndarray:
    """Of each example of a sample, the value of one far away in the split."""
    return np.roll(values, len(values) // 2)
