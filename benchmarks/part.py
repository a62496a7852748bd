"""A part of a plan: some images' pairs, the others as if scored already."""

import dataclasses

import numpy as np
from jaxtyping import Int64

from xabl.ablation.distinct_inputs import NOT_SCORED
from xabl.ablation.engine.pair_scores import pairs_of
from xabl.ablation.plan import Plan
from xabl.results.conditions import Direction


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """The examples of some images of a plan.

    What a part costs stands for the whole: batches have the shapes that the whole
    plan asks for.

    examples: numbers among the plan's, ascending. num_images: of theirs.
    """

    plan: Plan
    examples: Int64[np.ndarray, " examples"]
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
            done = np.ones(len(pairs_of(self.plan, direction)), bool)
            done[needed[needed != NOT_SCORED]] = False
            found[direction] = done
        return found

    @property
    def _pairs(self) -> np.ndarray:
        return self.plan.pair[self.examples]


def spread_images(plan: Plan, count: int) -> Part:
    """The part of a plan that `count` images make, evenly spread over all of them."""
    ids = list(dict.fromkeys(example.image_id for example in plan.examples))
    count = min(count, len(ids))
    kept = {ids[(2 * number + 1) * len(ids) // (2 * count)] for number in range(count)}
    return Part(
        plan=plan,
        examples=np.array(
            [n for n, example in enumerate(plan.examples) if example.image_id in kept],
            np.int64,
        ),
        num_images=len(kept),
    )
