"""What an ablation's effect on a phrase is made of, as pairs of conditions."""

import dataclasses

from xabl.analysis.study import Study
from xabl.results.conditions import (
    BASELINE,
    MAIN_THRESHOLD,
    Condition,
    Direction,
    Level,
)
from xabl.results.losses import always_scored


@dataclasses.dataclass(frozen=True, kw_only=True)
class Effect:
    """One part, in words."""

    title: str
    meaning: str


EFFECTS = {
    "lost": Effect(
        title="lost",
        meaning="by how much the loss rises when all regions are removed: what the "
        "image told the model",
    ),
    "misled": Effect(
        title="misled",
        meaning="by how much more it rises when only the object's regions are removed: "
        "what the regions that stay make worse",
    ),
}


def of_condition(study: Study, condition: Condition) -> dict[str, list[str]]:
    """Parts of the effect of a condition's way: a loss, and two conditions of it.

    Each part is the loss under the first condition less that under the second. Misled
    is by the condition's own threshold, else by the main one. Empty where they were
    not run.
    """
    if condition.direction is not Direction.VIS4LANG:
        return {}
    threshold = condition.threshold or MAIN_THRESHOLD
    everything = dataclasses.replace(condition, level=Level.ALL, threshold=None).name
    thing = dataclasses.replace(condition, level=Level.OBJECT, threshold=threshold).name
    pairs = {"lost": (everything, BASELINE), "misled": (thing, everything)}
    run = study.conditions(condition.direction)
    loss = always_scored(condition.direction)
    return {
        name: [loss, *pair]
        for name, pair in pairs.items()
        if all(part in run for part in pair)
    }
