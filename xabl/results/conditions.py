"""The ablation conditions as data: what is removed, and what is then predicted.

| direction | level | removed | predicted |
|---|---|---|---|
| vis4lang | none, object (by overlap), all | image regions | the words of a phrase |
| lang4vis | none, phrase, all | words | the class of the region showing the phrase |

Source: Frank et al. (EMNLP 2021), section 3.
"""

import dataclasses
import enum
from collections.abc import Iterable, Sequence

from xabl.errors import UserError

# The thresholds of the paper's figure; 0.5 is its main one.
THRESHOLDS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


class Direction(enum.StrEnum):
    """Which modality is evaluated for which."""

    VIS4LANG = "vis4lang"  # vision for language: regions are ablated, words predicted
    LANG4VIS = "lang4vis"  # language for vision: words are ablated, a region predicted


class Level(enum.StrEnum):
    """How much of the other modality is removed."""

    NONE = "none"
    OBJECT = "object"  # regions that show the phrase, by overlap threshold
    PHRASE = "phrase"  # the words of the phrase
    ALL = "all"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Condition:
    """One direction at one level.

    threshold: `Level.OBJECT` only; a region is ablated when its overlap (IoT) with a
        box of the phrase is greater.
    """

    direction: Direction
    level: Level
    threshold: float | None = None

    @property
    def name(self) -> str:
        """As in `scores.parquet`: none, object@0.5, phrase, all."""
        if self.threshold is None:
            return self.level.value
        return f"{self.level.value}@{self.threshold}"

    @property
    def published_name(self) -> str:
        """The Mask column of the published tables: None, 0.5, Phrase, All."""
        if self.threshold is None:
            return self.level.value.capitalize()
        return str(self.threshold)


def all_conditions(
    directions: Iterable[Direction], thresholds: Sequence[float] = THRESHOLDS
) -> tuple[Condition, ...]:
    """Every condition of `directions`, least ablated first.

    Raises:
        UserError: a threshold outside 0 ... 1, or one given twice.
    """
    for threshold in thresholds:
        if not 0 <= threshold < 1:
            raise UserError(
                f"--thresholds: {threshold} is not an overlap; expected 0 <= t < 1"
            )
    if len(set(thresholds)) != len(thresholds):
        raise UserError(f"--thresholds: a value is given twice in {list(thresholds)}")
    wanted = tuple(directions)
    conditions = []
    if Direction.VIS4LANG in wanted:
        objects = tuple(
            Condition(
                direction=Direction.VIS4LANG, level=Level.OBJECT, threshold=float(value)
            )
            for value in sorted(thresholds, reverse=True)
        )
        conditions += [
            Condition(direction=Direction.VIS4LANG, level=Level.NONE),
            *objects,
            Condition(direction=Direction.VIS4LANG, level=Level.ALL),
        ]
    if Direction.LANG4VIS in wanted:
        conditions += [
            Condition(direction=Direction.LANG4VIS, level=level)
            for level in (Level.NONE, Level.PHRASE, Level.ALL)
        ]
    return tuple(conditions)
