"""The losses: what each measures, what it needs, and which of them answers a question.

All but one are columns of scores.parquet. MLM by word is made from words.parquet where
models of different vocabularies are compared. All are in nats in files and in bits
(nats / ln 2) wherever they are shown. Lower is better: one bit more means that the
right answer is half as probable.
"""

import dataclasses
from collections.abc import Collection

import numpy as np
from jaxtyping import Float

from xabl.results.conditions import Direction

NATS_PER_BIT = 0.6931471805599453  # ln 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loss:
    """One loss.

    column: in scores.parquet, or what it would be called there.
    title: in tables and figures; the published name where it was published.
    direction: which direction it is the loss of.
    meaning: a clause for people.
    needs: what an evaluation must have to give it; empty: nothing more.
    always: whether the ablation gives it for every scored example.
    in_summary: whether summary.tsv has its column even when it is empty.
    is_main: whether it answers the question; others are shown after it.
    stands_in: whether it answers where no main loss of its direction was scored.
    in_scores: whether scores.parquet has its column; else it is made when results are
        read.
    """

    column: str
    title: str
    direction: Direction
    meaning: str
    needs: str = ""
    always: bool = False
    in_summary: bool = False
    is_main: bool = False
    stands_in: bool = False
    in_scores: bool = True

    @property
    def answers(self) -> bool:
        """Whether something may be said by it of a use of the other modality."""
        return self.is_main or self.stands_in


# By name, in the order of scores.parquet.
LOSSES: dict[str, Loss] = {
    loss.column: loss
    for loss in (
        Loss(
            column="mlm",
            title="MLM",
            direction=Direction.VIS4LANG,
            meaning="cross-entropy of the phrase's masked words",
            always=True,
            in_summary=True,
            is_main=True,
        ),
        Loss(
            column="mlm_by_word",
            title="MLM by word",
            direction=Direction.VIS4LANG,
            meaning="cross-entropy of a masked word, the sum over its tokens, whatever "
            "they are; the mean over the words of a phrase",
            needs="losses by word (words.parquet); shown where models of different "
            "vocabularies are compared",
            is_main=True,
            in_scores=False,
        ),
        Loss(
            column="mrc_kl",
            title="MRC-KL",
            direction=Direction.LANG4VIS,
            meaning="KL divergence from the detector's class distribution",
            needs="the detector's class distribution (cls_prob) and a model that "
            "predicts as many classes: visual targets 0 and 6, not 3",
            in_summary=True,
            is_main=True,
        ),
        Loss(
            column="mrc_kl_aligned",
            title="MRC-KL-aligned",
            direction=Direction.LANG4VIS,
            meaning="MRC-KL with the classes aligned that visual target 6 numbers from "
            "the first object on, without background",
            needs="cls_prob and a model of visual target 6",
            is_main=True,
        ),
        Loss(
            column="mrc_xe",
            title="MRC-XE",
            direction=Direction.LANG4VIS,
            meaning="cross-entropy to the detector's top class, as published (index "
            "one off where the model predicts 1601 classes, background among them: "
            "visual target 0; times the detector's confidence in target 3)",
            always=True,
            in_summary=True,
        ),
        Loss(
            column="mrc_xe_corrected",
            title="MRC-XE-corrected",
            direction=Direction.LANG4VIS,
            meaning="cross-entropy to the detector's top class; answers for language "
            "for vision where a model has no MRC-KL",
            in_summary=True,
            stands_in=True,
        ),
        Loss(
            column="mrc_xe_vg",
            title="MRC-XE-VG",
            direction=Direction.LANG4VIS,
            meaning="cross-entropy to the gold class (LabelMatch examples)",
            needs="gold labels",
        ),
    )
}
STORED = tuple(name for name, loss in LOSSES.items() if loss.in_scores)
BY_WORD = "mlm_by_word"
# The two that the published figures and comparisons show.
PUBLISHED_MAIN = ("mlm", "mrc_kl")


def columns_of(direction: str, among: Collection[str] = LOSSES) -> tuple[str, ...]:
    """One direction's losses, in order."""
    return tuple(
        name
        for name, loss in LOSSES.items()
        if loss.direction == direction and name in among
    )


def always_scored(direction: str) -> str:
    """The loss that every scored example of a direction has."""
    return next(c for c in columns_of(direction) if LOSSES[c].always)


def main_loss(direction: str, scored: Collection[str]) -> str | None:
    """The loss of those `scored` that answers for a direction; None: there is none.

    MRC-KL-aligned before MRC-KL: where both are there, MRC-KL is one class off. MLM by
    word before MLM: it is there where models of different vocabularies are compared.
    MRC-XE-corrected where there is no divergence.
    """
    found = [LOSSES[name] for name in columns_of(direction, scored)]
    main = [loss.column for loss in found if loss.is_main]
    others = [loss.column for loss in found if loss.stands_in]
    return next(iter([*main[::-1], *others]), None)


def mean_bits(losses: Float[np.ndarray, " examples"]) -> float:
    """The published measure: mean over examples of losses in nats, in bits."""
    return float(losses.mean(dtype=np.float64) / NATS_PER_BIT)
