"""The losses: columns of scores.parquet, what each measures and what it needs.

All are in nats in files and in bits (nats / ln 2) wherever they are shown. Lower is
better: one bit more means that the right answer is half as probable.
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from xabl.results.conditions import Direction

NATS_PER_BIT = 0.6931471805599453  # ln 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loss:
    """One loss.

    column: in scores.parquet.
    title: in tables and figures; the published name where it was published.
    direction: which direction it is the loss of.
    meaning: a clause for people.
    needs: what an evaluation must have to give it; empty: nothing more.
    always: whether the ablation gives it for every scored example.
    in_summary: whether summary.tsv has its column even when it is empty.
    is_main: whether it answers the question; others are shown after it.
    """

    column: str
    title: str
    direction: Direction
    meaning: str
    needs: str = ""
    always: bool = False
    in_summary: bool = False
    is_main: bool = False


# By column, in the order of scores.parquet.
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
            column="mrc_kl",
            title="MRC-KL",
            direction=Direction.LANG4VIS,
            meaning="KL divergence from the detector's class distribution",
            needs="the detector's class distribution (cls_prob), and a model not of "
            "objective 3",
            in_summary=True,
            is_main=True,
        ),
        Loss(
            column="mrc_kl_aligned",
            title="MRC-KL-aligned",
            direction=Direction.LANG4VIS,
            meaning="MRC-KL with the classes of objective 6 aligned",
            needs="cls_prob and a model of objective 6",
            is_main=True,
        ),
        Loss(
            column="mrc_xe",
            title="MRC-XE",
            direction=Direction.LANG4VIS,
            meaning="cross-entropy to the detector's top class, as published "
            "(objective 0: class index one off; objective 3: times its confidence)",
            always=True,
            in_summary=True,
        ),
        Loss(
            column="mrc_xe_corrected",
            title="MRC-XE-corrected",
            direction=Direction.LANG4VIS,
            meaning="cross-entropy to the detector's top class",
            in_summary=True,
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
# The two that the published figures and comparisons show.
PUBLISHED_MAIN = ("mlm", "mrc_kl")


def columns_of(direction: str) -> tuple[str, ...]:
    """Columns of one direction's losses, in order."""
    return tuple(c for c, loss in LOSSES.items() if loss.direction == direction)


def always_scored(direction: str) -> str:
    """The loss that every scored example of a direction has."""
    return next(c for c in columns_of(direction) if LOSSES[c].always)


def main_loss(direction: str, scored: tuple[str, ...] | list[str]) -> str | None:
    """The loss of those `scored` that answers for a direction; None: there is none.

    MRC-KL-aligned before MRC-KL: where both are there, MRC-KL is one class off.
    """
    found = [column for column in columns_of(direction) if column in scored]
    main = [column for column in found if LOSSES[column].is_main]
    return (main[-1:] or found[:1] or [None])[0]


def mean_bits(losses: Float[np.ndarray, " examples"]) -> float:
    """The published measure: mean over examples of losses in nats, in bits."""
    return float(losses.mean(dtype=np.float64) / NATS_PER_BIT)
