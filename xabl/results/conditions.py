"""The ablation conditions: what is removed, in which order, and what each is called.

| direction | level | removed | predicted |
|---|---|---|---|
| vis4lang | none, object (by overlap), all | image regions | the words of a phrase |
| lang4vis | none, phrase, all | words | the class of the region showing the phrase |

Names in files, names in published tables, words for people and what a condition hides
are made here and nowhere else: tables, figures, report and the report's script are
given them. A new way of removing is an entry of `WAYS` and one of `REGION_WAYS` or
`WORD_WAYS` in `ablation.replacement`; a new level is an entry of `Level` and of
`_LEVELS`.

Source: Frank et al. (EMNLP 2021), section 3.
"""

import dataclasses
import enum
import math
import re
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from xabl.errors import UserError
from xabl.results.directions import Direction as Direction
from xabl.results.ways import WAYS, Way, check_ways

# The thresholds of the paper's figure, and its main one.
THRESHOLDS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
MAIN_THRESHOLD = 0.5


class Level(enum.StrEnum):
    """How much of the other modality is removed."""

    NONE = "none"
    OBJECT = "object"  # regions that show the phrase, by overlap threshold
    PHRASE = "phrase"  # the words of the phrase
    ALL = "all"


BASELINE = Level.NONE.value  # the condition that others are compared with


class _Selection(NamedTuple):
    """A level of one direction; {} stands for its threshold.

    title: what the level is called.
    explained: follows a condition's title in menus.
    selected: within a sentence.
    """

    title: str
    explained: str
    selected: str = ""


# By direction, least ablated first.
_LEVELS = {
    Direction.VIS4LANG: {
        Level.NONE: _Selection("None", "all regions seen"),
        Level.OBJECT: _Selection(
            "Object",
            "regions with overlap above {}",
            "the regions that overlap the phrase by more than {}",
        ),
        Level.ALL: _Selection("All", "all regions", "all image regions"),
    },
    Direction.LANG4VIS: {
        Level.NONE: _Selection("None", "all words seen"),
        Level.PHRASE: _Selection(
            "Phrase", "words of the phrase", "the words of the phrase"
        ),
        Level.ALL: _Selection("All", "all words", "all words"),
    },
}
_NAME = re.compile(r"(?P<level>\w+)(@(?P<threshold>[\d.e-]+))?(/(?P<way>[\w-]+))?")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Condition:
    """One direction at one level, removed in one way.

    threshold: `Level.OBJECT` only; a region is ablated when its overlap (IoT) with a
        box of the phrase is greater.
    way: a key of `WAYS`; None for the published way, and for `Level.NONE`.
    """

    direction: Direction
    level: Level
    threshold: float | None = None
    way: str | None = None

    @classmethod
    def parse(cls, direction: str, name: str) -> "Condition":
        """The condition of a name in a results file.

        Raises:
            UserError: not a condition of this version; lists those there are.
        """
        match = _NAME.fullmatch(name)
        try:
            condition = cls(
                direction=Direction(direction),
                level=Level(match["level"]),
                threshold=match["threshold"] and float(match["threshold"]),
                way=match["way"],
            )
        except (TypeError, ValueError):
            condition = None
        if condition is None or condition.name != name or not condition._is_known:
            raise UserError(
                f"{direction} {name}: not a condition this version knows; it knows "
                + "; ".join(f"{known} {_names(known)}" for known in Direction)
            )
        return condition

    @property
    def _is_known(self) -> bool:
        ways = WAYS[self.direction]
        return (
            self.level in _LEVELS[self.direction]
            and (self.threshold is not None) == (self.level is Level.OBJECT)
            and (self.way is None or self.way in list(ways)[1:])
            and not (self.way and self.level is Level.NONE)
        )

    @property
    def name(self) -> str:
        """As in `scores.parquet`: none, object@0.5, phrase, all, all/<way>."""
        threshold = "" if self.threshold is None else f"@{self.threshold}"
        way = "" if self.way is None else f"/{self.way}"
        return f"{self.level.value}{threshold}{way}"

    @property
    def title(self) -> str:
        """What people read everywhere: None, Object 0.5, Phrase, All, All (zero)."""
        return (
            f"{self._level_title} ({self._way.short})"
            if self.way
            else self._level_title
        )

    @property
    def axis_title(self) -> str:
        """The title on the axis of a figure, in one or two lines."""
        return self.title.replace(" (", "\n(")

    @property
    def menu_name(self) -> str:
        """The title and what it means: All: all regions ablated."""
        explained = self._selection.explained.format(self.threshold)
        done = "" if self.level is Level.NONE else f" {self._way.done}"
        return f"{self.title}: {explained}{done}"

    @property
    def published_name(self) -> str:
        """The Mask column of the published tables: None, 0.5, Phrase, All."""
        name = self._selection.title if self.threshold is None else str(self.threshold)
        return f"{name} ({self._way.short})" if self.way else name

    @property
    def removing(self) -> str:
        """What a sentence about its effect begins with: Removing all image regions."""
        threshold = None if self.threshold is None else f"{self.threshold:g}"
        return self._way.doing.format(self._selection.selected.format(threshold))

    @property
    def way_name(self) -> str:
        """A key of `WAYS`, that of the published way included."""
        return self.way or next(iter(WAYS[self.direction]))

    @property
    def way_meaning(self) -> str:
        """What becomes of what is ablated, as a clause."""
        return self._way.meaning

    @property
    def whole(self) -> "Condition":
        """Everything removed in the same way."""
        return dataclasses.replace(self, level=Level.ALL, threshold=None)

    @property
    def region_threshold(self) -> float | None:
        """vis4lang: regions are ablated whose overlap with the phrase is greater.

        None where overlap does not decide: in lang4vis no region is ablated.
        """
        if self.direction is Direction.LANG4VIS:
            return None
        return {Level.NONE: math.inf, Level.ALL: -math.inf}.get(
            self.level, self.threshold
        )

    @property
    def hidden_words(self) -> Level:
        """Which words the model does not see: those to predict, or those ablated."""
        if self.direction is Direction.VIS4LANG:
            return Level.PHRASE
        return self.level

    @property
    def is_main(self) -> bool:
        """Whether it is shown where not every threshold is."""
        return self.threshold in (None, MAIN_THRESHOLD)

    @property
    def rank(self) -> tuple[int, int, int, float]:
        """Sorts conditions: the published ways first, each from less to more ablated.

        `none` is of no way and comes before all.
        """
        return (
            list(Direction).index(self.direction),
            -1
            if self.level is Level.NONE
            else list(WAYS[self.direction]).index(self.way_name),
            list(_LEVELS[self.direction]).index(self.level),
            -(self.threshold or 0.0),
        )

    @property
    def _level_title(self) -> str:
        threshold = "" if self.threshold is None else f" {self.threshold}"
        return f"{self._selection.title}{threshold}"

    @property
    def _selection(self) -> _Selection:
        return _LEVELS[self.direction][self.level]

    @property
    def _way(self) -> Way:
        return WAYS[self.direction][self.way_name]


def _names(direction: Direction) -> str:
    """The names a direction's conditions can have, in words."""
    names = [
        f"{level}@<overlap>" if level is Level.OBJECT else level.value
        for level in _LEVELS[direction]
    ]
    ways = [f"/{way}" for way in list(WAYS[direction])[1:]]
    more = f" (also ending in {' or '.join(ways)})" if ways else ""
    return ", ".join(names) + more


def in_order(direction: str, names: Iterable[str]) -> tuple[str, ...]:
    """Names of conditions of one direction, each once, by `Condition.rank`."""
    return tuple(
        sorted(set(names), key=lambda name: Condition.parse(direction, name).rank)
    )


def main_conditions(direction: str, names: Iterable[str] = ()) -> tuple[str, ...]:
    """The published main conditions and other main ones among `names`, in order.

    vis4lang: none, object@0.5, all; lang4vis: none, phrase, all.
    """
    published = all_conditions([Direction(direction)], [MAIN_THRESHOLD])
    others = [n for n in names if Condition.parse(direction, n).is_main]
    return in_order(direction, [*(c.name for c in published), *others])


def all_conditions(
    directions: Iterable[Direction],
    thresholds: Sequence[float] = THRESHOLDS,
    ways: Collection[str] = (),
) -> tuple[Condition, ...]:
    """Every condition of `directions`, by `Condition.rank`.

    Args:
        ways: to remove in beside the published ones, which are always among them; a
            name is of regions, of words or (`drop`) of both.

    Raises:
        UserError: a threshold outside 0 ... 1, one given twice, or an unknown way.
    """
    check_ways(ways)
    for threshold in thresholds:
        if not 0 <= threshold < 1:
            raise UserError(
                f"--thresholds: {threshold} is not an overlap; expected 0 <= t < 1"
            )
    if len(set(thresholds)) != len(thresholds):
        raise UserError(f"--thresholds: a value is given twice in {list(thresholds)}")
    conditions = [
        Condition(direction=direction, level=level, threshold=threshold, way=way)
        for direction in set(directions)
        for level in _LEVELS[direction]
        for threshold in (map(float, thresholds) if level is Level.OBJECT else [None])
        for way in [None, *list(WAYS[direction])[1:]]
        if way is None or (way in ways and level is not Level.NONE)
    ]
    return tuple(sorted(conditions, key=lambda condition: condition.rank))
