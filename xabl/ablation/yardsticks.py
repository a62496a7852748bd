"""What guessing loses on every example: see `results.yardsticks`."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float, Float64

from xabl.ablation.examples import PhraseExample
from xabl.ablation.plan import Plan
from xabl.data.flickr30k_entities import AnnotatedImage
from xabl.data.regions.image_regions import StackedRegions
from xabl.data.word_pieces import WordPieces
from xabl.models.visual_targets import VisualTarget


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Guesses:
    """Losses of guesses in nats, by the name of the loss.

    unigram: of every example, NaN where nothing is asked.
    uniform: mean over the examples.
    """

    unigram: Mapping[str, Float64[np.ndarray, " examples"]]
    uniform: Mapping[str, float]

    @property
    def mean_unigram(self) -> dict[str, float]:
        """By loss, the mean over the examples of which something is asked."""
        return {name: float(np.nanmean(each)) for name, each in self.unigram.items()}

    def __or__(self, other: "Guesses") -> "Guesses":
        return Guesses(
            unigram={**self.unigram, **other.unigram},
            uniform={**self.uniform, **other.uniform},
        )


def of_words(
    examples: Sequence[PhraseExample],
    images: Iterable[AnnotatedImage],
    word_pieces: WordPieces,
) -> Guesses:
    """The unigram loss of a phrase is the mean over its pieces, as `mlm` is.

    Args:
        images: of the whole split: the pieces of their captions are counted, each one
            once more than it occurs (add-one smoothing).
    """
    counts = np.ones(word_pieces.size)
    for image in images:
        for caption in image.captions:
            pieces = word_pieces.encode(caption.words).token_ids[1:-1]
            np.add.at(counts, pieces, 1)
    losses = np.log(counts.sum()) - np.log(counts)
    of_examples = [
        losses[example.token_ids[example.pieces]].mean()
        if len(example.pieces)
        else np.nan
        for example in examples
    ]
    return Guesses(
        unigram={"mlm": np.array(of_examples, np.float64)},
        uniform={"mlm": math.log(word_pieces.size)},
    )


def of_classes(plan: Plan, regions: StackedRegions, target: VisualTarget) -> Guesses:
    """What guesses lose at the detector's top class, and KL divergences from them.

    The unigram guess of the top class has the frequencies of top classes, that of the
    distribution is the mean distribution, both over all regions of the split. The
    divergence from the uniform guess is ln(classes) less the distribution's entropy.
    """
    known = plan.target >= 0
    if not known.any():
        return Guesses(unigram={}, uniform={})
    there = np.arange(regions.objects_id.shape[1]) < regions.num_boxes[:, None]
    counts = np.bincount(regions.objects_id[there])
    # Those asked for: the targets of a part of a plan are those of the whole plan.
    classes = plan.targets.objects_id[plan.target[known]]
    of_examples = np.full(len(known), np.nan)
    of_examples[known] = np.log(counts.sum()) - np.log(counts[classes])
    unigram = {"mrc_xe_corrected": of_examples}
    uniform = {"mrc_xe_corrected": math.log(target.size)}
    if plan.targets.cls_prob is None or not target.has_kl:
        return Guesses(unigram=unigram, uniform=uniform)
    mean = np.zeros(regions.cls_prob.shape[2])
    for row in range(len(regions)):
        mean += regions.image(row).cls_prob.sum(axis=0, dtype=np.float64)
    first_class = {"mrc_kl": 0}
    if target.first_object == 0:
        first_class["mrc_kl_aligned"] = 1
    for name, first in first_class.items():
        p, guess = plan.targets.cls_prob[:, first:], mean[first:]
        of_targets = _divergences(p, guess / guess.sum())
        unigram[name] = np.where(known, of_targets[plan.target], np.nan)
        alike = _divergences(p, np.full(len(guess), 1 / target.size))
        uniform[name] = float(alike[plan.target[known]].mean())
    return Guesses(unigram=unigram, uniform=uniform)


def _divergences(
    weights: Float[np.ndarray, "targets classes"], q: Float[np.ndarray, " classes"]
) -> Float64[np.ndarray, " targets"]:
    """KL(p, q) in nats, p in proportion to a target's weights.

    Classes of probability 0 add nothing. Target by target: all of a split in float64,
    three times, would be the most memory that an ablation takes.
    """
    found = np.empty(len(weights))
    with np.errstate(divide="ignore", invalid="ignore"):
        log_q = np.log(q)
        for number, row in enumerate(weights):
            p = row.astype(np.float64)
            p /= p.sum()
            found[number] = np.where(p > 0, p * (np.log(p) - log_q), 0.0).sum()
    return found
