"""The answer to the paper's question over all models, in a few sentences."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from xabl.analysis.verdicts import (
    GUESS,
    HIGHER,
    LOWER,
    MEASURES,
    NEGLIGIBLE,
    NO_EVIDENCE,
    NO_USE,
    NOT_MEASURED,
    Row,
    calls_of,
    evidence,
    gap_of,
    join_labels,
    seeds_in_words,
)
from xabl.results.conditions import Condition, Direction, Level
from xabl.results.losses import LOSSES, PUBLISHED_MAIN

_INFLUENCES = {
    HIGHER: "vision influences language more than language influences vision",
    LOWER: "language influences vision more than vision influences language",
    NO_EVIDENCE: "there is no evidence of an asymmetry",
    NO_USE: "the larger of the two changes is no evidence of a use",
}
_FOR_WANT = f"for want of {LOSSES[PUBLISHED_MAIN[1]].title}"


def verdict(asymmetries: pd.DataFrame, differences: pd.DataFrame) -> str:
    """The answer to the paper's question over all models.

    It is that of the published ways of removing, under both measures; then whether it
    is the same with every other way that was run. Of models that allow no comparison of
    the directions it says why not, and what can be said of each direction alone.

    Args:
        asymmetries: of `asymmetry.asymmetry`.
        differences: of `effects.differences`.
    """
    rows = asymmetries.to_dict("records")
    published: dict[str, Row] = {}
    for row in rows:
        published.setdefault(row["model"], row)
    measured = {
        model: calls_of(row)
        for model, row in published.items()
        if not {NOT_MEASURED, GUESS} & {*calls_of(row)}
    }
    seeing = [] if differences.empty else set(differences["model"])
    rest = [row for m, row in published.items() if m in seeing and m not in measured]
    alone = " ".join(_alone(rest, differences))
    if not measured:
        return alone or "No model was asked with something removed."
    parts = []
    for calls in dict.fromkeys(measured.values()):
        models = [model for model, value in measured.items() if value == calls]
        if len(models) == len(measured):
            which = "the one model" if len(models) == 1 else f"all {len(models)} models"
            parts.append(f"in {which} with both directions ({join_labels(models)}) ")
        else:
            parts.append(f"in {join_labels(models)} ")
        parts[-1] += _both_measures(calls)
    return (
        f"{_sentence('; '.join(parts))} {_seeds_of(published, measured)}"
        + _stand_ins([published[model] for model in measured])
        + _every_way([row for row in rows if row["model"] in measured], measured)
        + (f" {alone}" if alone else "")
    )


def _alone(rows: Sequence[Row], differences: pd.DataFrame) -> Iterator[str]:
    """What each direction says of models whose directions cannot be compared."""
    for direction in Direction if rows else ():
        answers: dict[str, list[str]] = {}
        silent = [row["model"] for row in rows]
        for row in differences.to_dict("records"):
            condition = Condition.parse(row["direction"], row["condition"])
            whole = condition == Condition(direction=direction, level=Level.ALL)
            if row["model"] in silent and row["main"] and whole:
                answers.setdefault(_answer(row), []).append(row["model"])
                silent.remove(row["model"])
        if silent:
            answers["not asked of {}"] = silent
        said = "; ".join(text.format(join_labels(m)) for text, m in answers.items())
        yield f"{direction.wording.title}: {said}."


def _answer(row: Row) -> str:
    """Whether a modality is used, in a clause without numbers; {} for the models."""
    loss = LOSSES[row["metric"]]
    instead = f" (by {loss.title}, {_FOR_WANT})" if loss.stands_in else ""
    return {
        HIGHER: f"used by {{}}{instead}",
        LOWER: f"no use shown in {{}}, of a lower loss without it{instead}",
        NO_EVIDENCE: f"no evidence of a use in {{}}{instead}",
        NEGLIGIBLE: f"too little to speak of a use in {{}}{instead}",
        GUESS: f"no verdict on {{}}, at {loss.title} no better than guessing by "
        "frequency",
        NOT_MEASURED: f"no verdict on {{}} ({gap_of(row)})",
    }[row["evidence"]]


def _stand_ins(rows: Sequence[Row]) -> str:
    """Of which models another loss than a divergence answers."""
    found = [row for row in rows if LOSSES[row["kl"]].stands_in]
    if not found:
        return ""
    title = LOSSES[found[0]["kl"]].title
    models = join_labels(row["model"] for row in found)
    return f" Language for vision is measured by {title} in {models}, {_FOR_WANT}."


def _both_measures(calls: tuple[str, ...]) -> str:
    first, second = MEASURES.values()
    if calls[0] == calls[1]:
        joined = "or" if calls[0] == NO_EVIDENCE else "and"
        return f"{_INFLUENCES[calls[0]]}, {first} {joined} {second}"
    return (
        f"the two measures disagree: {first} {_INFLUENCES[calls[0]]}, {second} "
        f"{_INFLUENCES[calls[1]]}"
    )


def _seeds_of(published: Mapping[str, Row], measured: Mapping[str, object]) -> str:
    """How many models this is said of, and what their seeds add to it."""
    counts = {model: published[model]["seeds"] for model in measured}
    if max(counts.values()) == 1:
        one = "one seed" if len(counts) == 1 else "one seed each"
        return f"This is of the models that were run ({one}), not of other seeds."
    listed = ", ".join(f"{m} {seeds_in_words(int(n))}" for m, n in counts.items())
    known, same, few = [], [], False
    for model in measured:
        row = published[model]
        calls = tuple(
            evidence(row[f"{name}_seeds_low"], row[f"{name}_seeds_high"])
            for name in MEASURES
        )
        few = few or NOT_MEASURED in calls
        if not {NOT_MEASURED, NO_USE} & {*calls, *measured[model]}:
            known.append(model)
            same += [model] if calls == measured[model] else []
    text = f"This is of the models that were run ({listed})"
    if not known:
        return f"{text}, too few seeds to speak of others." if few else f"{text}."
    if same == known:
        held = join_labels(known)
        return f"{text}; with seeds counted as well as images it holds for {held}."
    lost = join_labels(model for model in known if model not in same)
    kept = f" holds for {join_labels(same)} but" if same else ""
    return f"{text}; with seeds counted as well as images it{kept} does not for {lost}."


def _every_way(rows: list[Row], measured: Mapping[str, tuple[str, ...]]) -> str:
    """Whether the verdict is that of every other way of removing that was run."""
    pairs = {(row["regions"], row["words"]) for row in rows}
    if len(pairs) == 1:
        return " One way of removing was run: the published one."
    other = [
        f"{row['model']} (regions {row['regions']}, words {row['words']}: "
        f"{_both_measures(calls_of(row))})"
        for row in rows
        if NOT_MEASURED not in calls_of(row) and calls_of(row) != measured[row["model"]]
    ]
    if not other:
        return f" It is the same under all {len(pairs)} pairs of ways of removing."
    return (
        f" It does not survive every way of removing ({len(pairs)} pairs were run); "
        f"otherwise in {'; '.join(other)}."
    )


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
