"""A part of a plan: the first images' pairs, the others as if scored already."""

import dataclasses

import numpy as np

from xabl.ablation.conditions import Direction
from xabl.ablation.distinct_inputs import NOT_SCORED
from xabl.ablation.plan import Plan
from xabl.ablation.scores import num_pairs


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """The examples of the first images of a plan.

    What a part costs stands for the whole: batches have the shapes that the whole
    plan asks for.

    num_examples: they are the plan's first ones. num_images: of theirs.
    """

    plan: Plan
    num_examples: int
    num_images: int

    @property
    def num_scored(self) -> int:
        """Their scored inputs: examples under conditions."""
        return int((self._pairs != NOT_SCORED).sum())

    @property
    def num_pairs(self) -> int:
        """Their distinct pairs."""
        return sum(int((~done).sum()) for done in self.done.values())

    @property
    def done(self) -> dict[Direction, np.ndarray]:
        """By direction, which pairs of the plan no example of the part needs."""
        found = {}
        for direction in Direction:
            needed = np.unique(self._pairs[:, self.plan.columns(direction)])
            done = np.ones(num_pairs(self.plan, direction), bool)
            done[needed[needed != NOT_SCORED]] = False
            found[direction] = done
        return found

    @property
    def _pairs(self) -> np.ndarray:
        return self.plan.pair[: self.num_examples]


def first_images(plan: Plan, count: int) -> Part:
    """The part of a plan that the first `count` images with examples make."""
    ids = list(dict.fromkeys(example.image_id for example in plan.examples))[:count]
    kept = set(ids)
    return Part(
        plan=plan,
        num_examples=sum(example.image_id in kept for example in plan.examples),
        num_images=len(ids),
    )
