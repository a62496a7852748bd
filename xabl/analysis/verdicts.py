"""From numbers to words. An interval that contains 0 is "no evidence", never "no"."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from xabl.results.conditions import Condition, Direction
from xabl.results.losses import LOSSES, PUBLISHED_MAIN

Row = Mapping[str, Any] | pd.Series

HIGHER, LOWER = "higher", "lower"
NO_EVIDENCE = "no evidence"
NOT_MEASURED = "not measured"


def evidence(low: float, high: float) -> str:
    """What an interval of a difference says: one of the four constants above."""
    if math.isnan(low) or math.isnan(high):
        return NOT_MEASURED
    if low > 0:
        return HIGHER
    return LOWER if high < 0 else NO_EVIDENCE


def effect_sentence(row: Row) -> str:
    """One row of `effects.differences` in words."""
    title = LOSSES[row["metric"]].title
    condition = Condition.parse(row["direction"], row["condition"])
    removed, use = condition.removing, condition.direction.wording.use
    said = evidence(row["low"], row["high"])
    if said == NOT_MEASURED:
        return f"{row['model']}: {removed}: not measured ({_gap(row)})."
    numbers = (
        f"{bits(row['difference'], signed=True)} bits, 95% interval "
        f"{bits(row['low'], signed=True)} to {bits(row['high'], signed=True)}; "
        f"{percent(row['relative'])}"
    )
    if said == NO_EVIDENCE:
        return (
            f"{row['model']}: {removed} shows no evidence of changing the {title} "
            f"loss ({numbers}): no evidence that the model uses {use}."
        )
    if said == HIGHER:
        return (
            f"{row['model']}: {removed} raises the {title} loss ({numbers}): the "
            f"model uses {use}."
        )
    return (
        f"{row['model']}: {removed} lowers the {title} loss ({numbers}): the model "
        f"does better without it, so nothing here shows a use of {use}."
    )


def asymmetry_sentence(row: Row) -> str:
    """One row of `effects.asymmetry` in words."""
    said = evidence(row["low"], row["high"])
    if said == NOT_MEASURED:
        return f"{row['model']}: asymmetry not measured ({_gap(row)})."
    first, second = (direction.wording.title.lower() for direction in Direction)
    numbers = (
        f"{LOSSES[PUBLISHED_MAIN[0]].title} {percent(row['mlm_relative'])}, "
        f"{LOSSES[row['kl']].title} "
        f"{percent(row['kl_relative'])}; difference {points(row['asymmetry'])} "
        f"percentage points, 95% interval {points(row['low'])} to "
        f"{points(row['high'])}"
    )
    if said == NO_EVIDENCE:
        return (
            f"{row['model']}: no evidence of an asymmetry between {first} and {second} "
            f"({numbers})."
        )
    more, less = (first, second) if said == HIGHER else (second, first)
    return f"{row['model']} uses {more} more than {less} ({numbers})."


def verdict(asymmetries: pd.DataFrame) -> str:
    """The answer to the paper's question over all models of `effects.asymmetry`."""
    said = {
        row["model"]: evidence(row["low"], row["high"])
        for row in asymmetries.to_dict("records")
    }
    measured = {m: s for m, s in said.items() if s != NOT_MEASURED}
    if not measured:
        return "Neither direction can be compared: no model has both of them."
    parts = []
    for call, words in (
        (HIGHER, "vision influences language more than language influences vision"),
        (LOWER, "language influences vision more than vision influences language"),
        (NO_EVIDENCE, "there is no evidence of an asymmetry"),
    ):
        models = [model for model, value in measured.items() if value == call]
        if models and len(models) == len(measured):
            which = "the one model" if len(models) == 1 else f"all {len(models)} models"
            parts.append(f"in {which} with both directions ({_join(models)}) {words}")
        elif models:
            parts.append(f"in {_join(models)} {words}")
    text = "; ".join(parts) + "."
    return text[0].upper() + text[1:]


def bits(value: float, signed: bool = False) -> str:
    """Bits to 3 digits after the point; 4 where the value is below 0.1."""
    digits = 4 if abs(value) < 0.1 else 3
    return f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"


def percent(share: float) -> str:
    """A relative change as +12.3%."""
    return f"{100 * share:+.1f}%"


def points(share: float) -> str:
    """A difference of shares in percentage points, without a unit."""
    return f"{100 * share:+.1f}"


def _gap(row: Row) -> str:
    gap = row.get("gap")
    return gap if isinstance(gap, str) else "too few images for an interval"


def _join(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
