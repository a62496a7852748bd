"""What the scores of a few hundred intact examples say, before all are scored.

Each is scored twice: as it is, and with what belongs to another image. What belongs
together is predicted better. Whether a model makes no use of the image is what the
ablation is to find out, so that is no reason to suspect anything: suspicious is a model
to which regions matter much, but their being the image's own matters not.

A model that knows the detector is found out more directly: it is asked for the classes
of regions that it sees. Pretraining leaves one target of ten visible (masked regions
otherwise), so a model predicts those well, whatever use it makes of captions.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int

from xabl.ablation.mismatch.annotations import LEAST_IMAGES, deviations
from xabl.ablation.mismatch.findings import Finding
from xabl.results.conditions import Direction
from xabl.results.losses import NATS_PER_BIT

_DEVIATIONS = 2.0  # by which means differ if they are said to
# Of what other regions change in an example's loss, in either direction, the part that
# is a loss on average: around 1/2 and more where the image's own are used.
_LEAST_SHARE = 0.25
_MATTERS = 0.25  # bits by which others change an example's loss, if they matter


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """Losses of a sample in nats, intact, and with what belongs to another image.

    loss: which it is, a key of `LOSSES`.
    images: of each example.
    own, other: losses; `other` None where nothing of another image was given.
    seen: lang4vis: with the region that is asked for, and all others, visible; None
        where that was not asked.
    """

    loss: str
    images: Int[np.ndarray, " examples"]
    own: Float[np.ndarray, " examples"]
    other: Float[np.ndarray, " examples"] | None
    seen: Float[np.ndarray, " examples"] | None = None

    def by_image(self, values: Float[np.ndarray, " examples"]) -> np.ndarray:
        """Means over each image's examples, which depend on each other."""
        numbers = np.unique(self.images, return_inverse=True)[1]
        return np.bincount(numbers, values) / np.bincount(numbers)

    @property
    def num_images(self) -> int:
        return len(np.unique(self.images))


def trial_findings(
    trials: Mapping[Direction, Trial], unigram: Mapping[str, float]
) -> list[Finding]:
    """What the scores of a sample say.

    Args:
        unigram: by loss, what guessing by frequency loses on average, in nats; losses
            of which that is not known are left out.
    """
    found = []
    if Direction.VIS4LANG in trials:
        trial = trials[Direction.VIS4LANG]
        found += [worse_than_unigram(trial, unigram), other_regions(trial)]
    if Direction.LANG4VIS in trials:
        trial = trials[Direction.LANG4VIS]
        found += [seen_classes(trial, unigram), other_captions(trial)]
    return [finding for finding in found if finding is not None]


def worse_than_unigram(trial: Trial, unigram: Mapping[str, float]) -> Finding | None:
    """Words that their frequency alone predicts better than the model."""
    bits = _worse(trial, trial.own, unigram)
    return bits and Finding(
        of="words",
        expected=f"at most {bits[1]:.2f} bits, which knowing how often each word "
        "occurs gives",
        seen=f"{bits[0]:.2f} bits with nothing ablated",
        cause="features, a vocabulary or a checkpoint that is not the model's, or a "
        "model that was hardly trained",
        cure="check the model on the data it was trained with",
    )


def seen_classes(trial: Trial, unigram: Mapping[str, float]) -> Finding | None:
    """Classes of visible regions that their frequency alone predicts better."""
    bits = _worse(trial, trial.seen, unigram)
    return bits and Finding(
        of="classes",
        expected=f"at most {bits[1]:.2f} bits for the classes of regions that the "
        "model sees, which knowing how often each class occurs gives",
        seen=f"{bits[0]:.2f} bits",
        cause="features or classes of a detector that is not that of the model's "
        "training, or channels in another order",
        cure="take regions of the detector that the model was trained with",
    )


def _worse(
    trial: Trial,
    losses: Float[np.ndarray, " examples"] | None,
    unigram: Mapping[str, float],
) -> tuple[float, float] | None:
    """In bits, what the model loses and what guessing does; None if that is more."""
    guess = unigram.get(trial.loss)
    if losses is None or guess is None or trial.num_images < LEAST_IMAGES:
        return None
    by_image = trial.by_image(losses)
    if deviations(by_image - guess) <= _DEVIATIONS:
        return None
    return float(by_image.mean()) / NATS_PER_BIT, guess / NATS_PER_BIT


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

    That is: hardly, or to the worse, or it cannot be told.
    """
    if trial.other is None or trial.num_images < LEAST_IMAGES:
        return None
    change = (trial.other - trial.own) / NATS_PER_BIT
    size = float(np.abs(change).mean())
    worse = trial.by_image(change)
    least = _LEAST_SHARE * trial.by_image(np.abs(change))
    is_less = deviations(least - worse) >= _DEVIATIONS > deviations(worse)
    return size if size >= _MATTERS and is_less else None


def _on_average(trial: Trial) -> str:
    change = float((trial.other - trial.own).mean()) / NATS_PER_BIT
    return f"a change by {change:+.2f} bits on average"
