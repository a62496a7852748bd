"""Lost and misled of single phrases, as conditions that the browser compares."""

import dataclasses

from xabl.analysis import misled
from xabl.analysis.study import Study
from xabl.results.conditions import MAIN_THRESHOLD, Condition, Direction, Level


@dataclasses.dataclass(frozen=True, kw_only=True)
class Effect:
    """One part of an ablation's effect, in words."""

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
    if condition.level is not Level.OBJECT:
        condition = dataclasses.replace(
            condition, level=Level.OBJECT, threshold=MAIN_THRESHOLD
        )
    none, everything, thing = misled.names(condition)
    pairs = {"lost": (everything, none), "misled": (thing, everything)}
    run = study.conditions(condition.direction)
    return {
        name: [study.word_loss, *pair]
        for name, pair in pairs.items()
        if all(part in run for part in pair)
    }
