"""Scores of the distinct pairs, and of every example and condition they answer."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float32, Int, Shaped

from xabl.ablation.distinct_inputs import MlmPairs, MrcPairs
from xabl.ablation.plan import Plan
from xabl.errors import UserError
from xabl.results.conditions import Condition, Direction
from xabl.results.losses import LOSSES, always_scored, mean_bits

PairScores = dict[str, Shaped[np.ndarray, "pairs ..."]]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class AblationScores:
    """What an ablation found.

    pairs: by direction and name, scores of the plan's distinct pairs in nats, and
        their predictions (`losses.mlm_scores`, `losses.mrc_scores`).
    """

    plan: Plan
    pairs: dict[Direction, PairScores]

    @property
    def num_scored(self) -> int:
        """How many distinct pairs have their scores."""
        return sum(
            int(scored_pairs(self.plan, scores, direction).sum())
            for direction, scores in self.pairs.items()
        )

    def loss(self, name: str) -> Float32[np.ndarray, "examples conditions"] | None:
        """One loss in nats, NaN where it does not apply; None if it was not scored."""
        direction = LOSSES[name].direction
        scores = self.pairs.get(direction, {}).get(name)
        return None if scores is None else self.plan.scatter(direction, scores)

    def mean_bits(self, name: str, condition: Condition) -> float | None:
        """The published measure: mean over scored examples, in bits.

        None when the loss was not scored or every example is excluded.
        """
        losses = self.loss(name)
        if losses is None or condition not in self.plan.conditions:
            return None
        column = losses[:, self.plan.conditions.index(condition)]
        column = column[np.isfinite(column)]
        return mean_bits(column) if len(column) else None


def pairs_of(plan: Plan, direction: Direction) -> MlmPairs | MrcPairs:
    """The distinct pairs of a direction."""
    return plan.mlm if direction is Direction.VIS4LANG else plan.mrc


def scored_pairs(
    plan: Plan, scores: Mapping[str, np.ndarray], direction: Direction
) -> Bool[np.ndarray, " pairs"]:
    """Which pairs of a direction have all their scores."""
    # Not "mlm", which versions before kept without the losses of the pieces.
    words = direction is Direction.VIS4LANG
    found = scores.get("piece_loss" if words else always_scored(direction))
    if found is None:
        return np.zeros(len(pairs_of(plan, direction)), bool)
    return ~np.isnan(found[:, 0] if words else found)


def put_scores(
    scores: PairScores,
    plan: Plan,
    direction: Direction,
    pairs: Int[np.ndarray, " step"],
    values: Mapping[str, np.ndarray],
) -> None:
    """Puts one step's scores in their places; arrays begin as NaN or -1."""
    for name, value in values.items():
        if name not in scores:
            targets = (
                plan.mlm.positions.shape[1:] if _by_target(direction, name) else ()
            )
            rest = value.shape[1 + len(targets) :]
            empty = np.nan if value.dtype.kind == "f" else -1
            shape = (len(pairs_of(plan, direction)), *targets, *rest)
            scores[name] = np.full(shape, empty, value.dtype)
        place = scores[name]
        if _by_target(direction, name):
            width = value.shape[1]
            if width > place.shape[1]:  # a model's own tokens, which no plan knows
                more = (len(place), width - place.shape[1], *place.shape[2:])
                empty = np.full(more, np.nan if place.dtype.kind == "f" else -1)
                place = np.append(place, empty.astype(place.dtype), axis=1)
                scores[name] = place
            place[pairs, :width] = value
        else:
            place[pairs] = value


def check_finite(
    plan: Plan,
    direction: Direction,
    pairs: Int[np.ndarray, " step"],
    values: Mapping[str, np.ndarray],
) -> None:
    """Refuses losses that are not numbers.

    Raises:
        UserError: names the first example and condition with such a loss.
    """
    name = always_scored(direction)
    bad = np.flatnonzero(~np.isfinite(values[name]))
    if len(bad):
        row, column = plan.example_of(direction, int(pairs[bad[0]]))
        condition = plan.conditions[column]
        raise UserError(
            f"{plan.examples[row].name}, {direction} {condition.name}: {name} is "
            f"{values[name][bad[0]]}; the parameters or this image's features hold "
            "values no trained model gives (with --precision=bfloat16, try highest)"
        )


def _by_target(direction: Direction, name: str) -> bool:
    """Whether a score has an axis of target pieces after the pairs."""
    return direction is Direction.VIS4LANG and name != "mlm"
