"""From numbers to words, none of them stronger than its evidence.

An interval that contains 0 is "no evidence", never "no". Of a model that does no better
than guessing by frequency nothing is said but the numbers: `evidence` decides it, for
every sentence and table. What is said of a model holds
for that very model, over images like these; only where there are seeds enough is
anything said of models trained like it.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from xabl.results.conditions import Condition, Direction
from xabl.results.intervals import no_interval
from xabl.results.losses import LOSSES
from xabl.results.resampling import CONFIDENCE
from xabl.results.word_classes import WordClass

Row = Mapping[str, Any] | pd.Series

HIGHER, LOWER = "higher", "lower"
NO_EVIDENCE = "no evidence"
NEGLIGIBLE = "negligible"
NOT_MEASURED = "not measured"
GUESS = "no better than a guess"
NO_USE = "no use shown"

NO_VERDICT = "the model does no better than guessing by frequency"
# A model is not trained on ablated inputs, so its loss moves a little even where they
# hide nothing that it uses. Of small models trained where nothing is to be used
# (docs/controls, tests/synthetic/test_known_words.py) no interval reached +0.03 bits.
NEGLIGIBLE_BITS = 0.05

_VISION, _LANGUAGE = (direction.wording.title.lower() for direction in Direction)
# The two measures of an asymmetry (`asymmetry.MEASURES`), the clearer one first.
MEASURES = {"bits": "in bits", "relative": "in percent of the intact loss"}
_WORD_CLASSES = frozenset(WordClass)
_OF_WORDS = {
    HIGHER: "raises the loss of",
    LOWER: "lowers the loss of",
    NEGLIGIBLE: f"changes by less than {NEGLIGIBLE_BITS} bits, too little to speak of "
    "a use, that of",
    NO_EVIDENCE: "shows no evidence of changing that of",
}
_USES = {
    HIGHER: f"{_VISION} is used more than {_LANGUAGE}",
    LOWER: f"{_LANGUAGE} is used more than {_VISION}",
    NO_EVIDENCE: f"there is no evidence of an asymmetry between {_VISION} and "
    f"{_LANGUAGE}",
    NO_USE: "the two losses change by different amounts, but the larger change is no "
    "evidence of a use",
}


def evidence(low: float, high: float, guessing: bool = False, p: float = 0.0) -> str:
    """What an interval of a difference says: one of the constants above.

    What differs may be too little to matter: see `effect_evidence`.

    Args:
        guessing: whether a model it is of does no better than guessing by frequency.
        p: corrected for several comparisons, where several are made.
    """
    if math.isnan(low) or math.isnan(high):
        return NOT_MEASURED
    if guessing:
        return GUESS
    if p >= 1 - CONFIDENCE:
        return NO_EVIDENCE
    if low > 0:
        return HIGHER
    return LOWER if high < 0 else NO_EVIDENCE


def effect_evidence(low: float, high: float, guessing: bool = False) -> str:
    """The same of what an ablation changes, in bits, where little is negligible."""
    found = evidence(low, high, guessing)
    little = found in (HIGHER, LOWER) and max(-low, high) < NEGLIGIBLE_BITS
    return NEGLIGIBLE if little else found


def asymmetry_evidence(
    low: float, high: float, used: tuple[bool, bool], guessing: bool = False
) -> str:
    """The same of two changes' difference: what is not used is not used more.

    Args:
        used: whether the first and the second change are evidence of a use.
    """
    found = evidence(low, high, guessing)
    larger = {HIGHER: used[0], LOWER: used[1]}.get(found, True)
    return found if larger else NO_USE


def effect_sentence(row: Row) -> str:
    """One row of `effects.differences` in words."""
    title = LOSSES[row["metric"]].title
    condition = Condition.parse(row["direction"], row["condition"])
    removed, use = condition.removing, condition.direction.wording.use
    said = row["evidence"]
    if said == NOT_MEASURED:
        return f"{_named(row)}: {removed}: {_not_measured(row, title, 'difference')}."
    numbers = (
        f"{bits(row['difference'], signed=True)} bits, "
        f"{_interval(row['low'], row['high'])}; {percent(row['relative'])}"
    )
    mean = "on average " if row["seeds"] > 1 else ""
    text = {
        NO_EVIDENCE: f"{removed} shows no evidence of changing the {title} loss "
        f"({numbers}): no evidence that the model uses {use}.",
        NEGLIGIBLE: f"{removed} changes the {title} loss by less than "
        f"{NEGLIGIBLE_BITS} bits ({numbers}): too little to speak of a use of {use}.",
        HIGHER: f"{removed} raises the {title} loss ({numbers}): {mean}the model uses "
        f"{use}.",
        LOWER: f"{removed} lowers the {title} loss ({numbers}): {mean}the model does "
        f"better without it, so nothing here shows a use of {use}.",
        GUESS: f"{removed} changes the {title} loss by {numbers}. This says nothing of "
        f"a use of {use}: {NO_VERDICT}.",
    }[said]
    return f"{_named(row)}: {text}{_other_seeds(row, '', said, call=effect_evidence)}"


def misled_sentence(row: Row) -> str:
    """One row of `misled.lost_and_misled` in words."""
    condition = Condition.parse(Direction.VIS4LANG, row["condition"])
    title = LOSSES[row["metric"]].title
    if row["evidence"] == NOT_MEASURED:
        text = _not_measured(row, title, "misled")
        return f"{_named(row)}: {condition.removing}: {text}."
    lost, misled = (_bits_with_interval(row, name) for name in ("lost", "misled"))
    more = {
        HIGHER: f"being misled by the regions that stay adds {misled}",
        LOWER: f"the regions that stay still help: {misled}",
        NO_EVIDENCE: "there is no evidence that the regions that stay mislead or help: "
        f"{misled}",
        GUESS: f"what only the object's regions add is {misled}. This says nothing of "
        f"a use of vision: {NO_VERDICT}",
    }[row["evidence"]]
    return (
        f"{_named(row)}: {condition.removing}: information lost, which goes with all "
        f"regions too, is {lost}; {more}. {row['share']:.0%} of the phrases cost more "
        "than with all regions removed, the others as much or less."
        f"{_other_seeds(row, 'misled_', row['evidence'])}"
    )


def word_classes_sentence(rows: Sequence[Row]) -> str:
    """Rows of `word_classes.by_word_class`, of one model and condition, in words."""
    first = rows[0]
    condition = Condition.parse(Direction.VIS4LANG, first["condition"])
    said = []
    for call, words in _OF_WORDS.items():
        found = [
            f"{WordClass(row['word_class']).title} ({_signed(row['difference'])} bits "
            f"a word, {_interval(row['low'], row['high'])}; {row['n']:,} words)"
            for row in rows
            if row["word_class"] in _WORD_CLASSES and row["evidence"] == call
        ]
        if found:
            said.append(f"{words} {join_words(found)}")
    if first["guessing"]:
        return f"{_named(first)}: {condition.removing}: no verdict, {NO_VERDICT}."
    if not said:
        return f"{_named(first)}: {condition.removing}: not measured ({gap_of(first)})."
    few = [
        f"{WordClass(row['word_class']).title} ({gap_of(row)})"
        for row in rows
        if row["word_class"] in _WORD_CLASSES and row["evidence"] == NOT_MEASURED
    ]
    rest = f"; no verdict on {join_words(few)}" if few else ""
    return f"{_named(first)}: {condition.removing} {'; it '.join(said)}{rest}."


def asymmetry_sentence(row: Row) -> str:
    """One row of `asymmetry.asymmetry` in words."""
    calls = calls_of(row)
    if NOT_MEASURED in calls:
        return f"{_named(row)}: asymmetry not measured ({gap_of(row)})."
    if GUESS in calls:
        return (
            f"{_named(row)}: no verdict on {row['guessing']}, nor on an asymmetry: "
            f"{NO_VERDICT}."
        )
    numbers = {
        measure: f"{LOSSES[row['mlm']].title} {show(row[f'mlm_{measure}'])}, "
        f"{LOSSES[row['kl']].title} {show(row[f'kl_{measure}'])}; difference "
        f"{difference(row[measure])}{unit}, 95% interval over images "
        f"{difference(row[f'{measure}_low'])} to {difference(row[f'{measure}_high'])}"
        for measure, show, difference, unit in (
            ("bits", _signed, _signed, ""),
            ("relative", percent, points, " percentage points"),
        )
    }
    first, second = (
        f"{words} ({numbers[measure]})" for measure, words in MEASURES.items()
    )
    if calls[0] == calls[1]:
        joined = "or" if calls[0] == NO_EVIDENCE else "and"
        said = f"{_USES[calls[0]]}, {first} {joined} {second}."
    else:
        said = (
            f"the two measures disagree: {first} {_USES[calls[0]]}; {second} "
            f"{_USES[calls[1]]}."
        )
    return f"{_named(row)}: {said}{_other_seeds(row, 'bits_', calls[0], ', in bits')}"


def comparison_sentence(row: Row) -> str:
    """One row of `comparisons.compare_models` (an effect) in words."""
    direction = LOSSES[row["metric"]].direction
    condition = Condition.parse(direction, row["condition"])
    first, second = row["first"], row["second"]
    seeds = row["seeds_first"], row["seeds_second"]
    title = LOSSES[row["metric"]].title
    used = direction.wording.title
    cost = (
        f"what {condition.removing[0].lower()}{condition.removing[1:]} adds to {title} "
        f"differs by {_signed(row['difference'])} bits ({first} \N{MINUS SIGN} {second}"
    )
    if row["evidence"] == GUESS:
        which = "one" if row["guessing"] in (first, second) else "both"
        return (
            f"{used}: no verdict on {join_labels([first, second])}: {row['guessing']} "
            f"{'is' if which == 'one' else 'are'} no better than guessing by frequency."
        )
    if row["seeds_evidence"] != NOT_MEASURED:
        over = _interval(row["seeds_low"], row["seeds_high"], "over seeds and images")
        said = {
            HIGHER: f"models trained as {second} use it less than those trained as "
            f"{first}",
            LOWER: f"models trained as {second} use it more than those trained as "
            f"{first}",
            NO_EVIDENCE: f"no evidence that models trained as {first} and as {second} "
            "differ",
        }[row["seeds_evidence"]]
        count = f"{seeds[0]} and {seeds[1]} seeds"
        corrected = row["seeds_p_holm"]
        p = "p < 0.001" if corrected < 0.001 else f"p = {corrected:.3f}"
        return (
            f"{used}: {said}: {cost}; {over}; {p}, corrected for all comparisons made; "
            f"{count})."
        )
    if row["evidence"] == NOT_MEASURED:
        both = join_labels([first, second])
        return f"{used}: no verdict on {both} ({gap_of(row)})."
    both = "two models" if seeds == (1, 1) else "models"
    said = (
        f"no evidence that these {both} differ"
        if row["evidence"] == NO_EVIDENCE
        else f"these {both} differ"
    )
    few = "one seed each" if seeds == (1, 1) else f"{seeds[0]} and {seeds[1]} seeds"
    return (
        f"{used}: {said}: {cost}; {_interval(row['low'], row['high'])}). With {few} "
        "this says nothing of why: other seeds might differ as much."
    )


def bits(value: float, signed: bool = False) -> str:
    """Bits to 3 digits after the point; 4 where the value is below 0.1."""
    digits = 4 if round(abs(value), 4) < 0.1 else 3
    return f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"


def percent(share: float) -> str:
    """A relative change as +12.3%."""
    return f"{100 * share:+.1f}%"


def points(share: float) -> str:
    """A difference of shares in percentage points, without a unit."""
    return f"{100 * share:+.1f}"


def seeds_in_words(count: int) -> str:
    """1 seed, 3 seeds."""
    return f"{count} seed{'' if count == 1 else 's'}"


def seeds_said(counts: Mapping[str, int]) -> str:
    """What a caption says of the number of seeds, by model."""
    several = listed(f"{label} {n}" for label, n in counts.items() if n > 1)
    if not several:
        return "One seed each."
    others = "; of others one seed" if 1 in counts.values() else ""
    return f"Means over seeds ({several}{others})."


def listed(labels: Iterable[str]) -> str:
    """A, B; with semicolons where a label has a comma."""
    labels = list(labels)
    return ("; " if any("," in one for one in labels) else ", ").join(labels)


def join_labels(labels: Iterable[str]) -> str:
    """A and B; `A, a; B` where a label has a comma."""
    labels = list(labels)
    return listed(labels) if any("," in one for one in labels) else join_words(labels)


def join_words(names: Iterable[str]) -> str:
    """One, two and three."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _named(row: Row) -> str:
    return f"{row['model']} ({seeds_in_words(int(row['seeds']))})"


def _signed(value: float) -> str:
    return bits(value, signed=True)


def _interval(low: float, high: float, over: str = "over images") -> str:
    return f"95% interval {over} {_signed(low)} to {_signed(high)}"


def _bits_with_interval(row: Row, name: str) -> str:
    ends = _interval(row[f"{name}_low"], row[f"{name}_high"])
    return f"{_signed(row[name])} bits, {ends}"


def _other_seeds(
    row: Row,
    prefix: str,
    said: str,
    measure: str = "",
    call: Callable[[float, float], str] = evidence,
) -> str:
    """What the seeds of a label say of models trained like them; one seed: nothing."""
    if row["seeds"] == 1 or said in (GUESS, NO_USE):
        return ""
    low, high = row[f"{prefix}seeds_low"], row[f"{prefix}seeds_high"]
    called = call(low, high)
    if called == NOT_MEASURED:
        return f" {row['seeds']} seeds are too few to speak of other seeds."
    over = _interval(low, high, "over seeds and images")
    if called == NO_EVIDENCE:
        return f" No evidence of it for models of other seeds{measure} ({over})."
    if called == said:
        return f" So it is for models of other seeds{measure} ({over})."
    return f" For models of other seeds it is {called}{measure} ({over})."


def calls_of(row: Row) -> tuple[str, ...]:
    """What each measure of an asymmetry says."""
    return tuple(row[f"{measure}_evidence"] for measure in MEASURES)


def gap_of(row: Row) -> str:
    """Why a row has no number or no interval."""
    gap = row.get("gap")
    if isinstance(gap, str):
        return gap
    return no_interval(int(row["images"])) or "no number to give"


def _not_measured(row: Row, title: str, name: str) -> str:
    """Why there is no verdict, and the number where there is one."""
    if math.isnan(row[name]):
        return f"not measured ({gap_of(row)})"
    return f"{_signed(row[name])} bits of {title} and no verdict ({gap_of(row)})"
