"""The conclusions of the controls study, in words that follow from its numbers."""

from collections.abc import Iterator

import pandas as pd

from xabl.analysis.verdicts import (
    HIGHER,
    LOWER,
    NOT_MEASURED,
    evidence,
    seeds_in_words,
)
from xabl.results.losses import LOSSES, PUBLISHED_MAIN
from xabl.synthetic.controls.grid import BASE

_LABELS = (
    "Gold labels name what a region shows; silver labels are those of a detector that "
    "errs as often as the published one."
)
_LOSSES = {name: LOSSES[name].title for name in PUBLISHED_MAIN}


def conclusion(table: pd.DataFrame, labels: pd.DataFrame | None) -> str:
    """The controls one by one, each with its numbers, as Markdown.

    Args:
        table: rows of `effects` of every setting.
        labels: `effect_of_labels` at low overlap without leaks, if both were run.
    """
    seeds = ", ".join(seeds_in_words(int(n)) for n in sorted(set(table["seeds"])))
    lines = ["## Does the test measure what it claims?", ""]
    lines += [f"Intervals: 95% over images, of these models ({seeds} each).", ""]
    for model in dict.fromkeys(table["model"]):
        own = table[table["model"] == model]
        lines += [f"**{model}**", ""]
        lines += [f"- {sentence}" for sentence in _of_model(own)]
        lines.append("")
    if labels is not None:
        lines += ["## Do wrong labels hide language for vision?", ""]
        lines += [f"{_LABELS}", ""]
        lines += [f"- {_labels(row)}" for row in labels.to_dict("records")]
        lines.append("")
    lines += ["## Do overlapping regions and leaks?", ""]
    lines += [f"- {sentence}" for sentence in _leaks(table)]
    return "\n".join(lines) + "\n"


def _of_model(rows: pd.DataFrame) -> Iterator[str]:
    knob = rows[(rows["labels"] == BASE.labels) & (rows["leaks"] == BASE.leaks)]
    knob = knob[knob["overlap"] == BASE.overlap].sort_values("vision_to_language")
    mlm = _cells(knob, "mlm", "all")
    if len(mlm) and mlm.iloc[0]["vision_to_language"] == 0:
        row = mlm.iloc[0]
        contains = row["low"] <= 0 <= row["high"]
        yield (
            f"Negative control: where words do not follow the image, removing all "
            f"regions changes MLM by {_interval(row)}; the interval "
            f"{'contains' if contains else 'does not contain'} 0."
        )
    if len(mlm) > 1:
        grows = bool((mlm["increase"].diff().dropna() > 0).all())
        steps = ", ".join(
            f"{row['vision_to_language']:g}: {row['increase']:+.3f}"
            for row in mlm.to_dict("records")
        )
        yield (
            "Positive control: the MLM increase "
            f"{'grows' if grows else 'does not grow'} with every step of the share of "
            f"phrases that follow the image ({steps})."
        )
    for row in _cells(knob, "mrc_kl", "all").tail(1).to_dict("records"):
        found = row["low"] > 0
        yield (
            "Positive control: with right labels, masking all words "
            f"{'raises' if found else 'does not measurably raise'} MRC-KL: "
            f"{_interval(row)}."
        )
    for row in _cells(rows, "mlm", "object@0.5").to_dict("records"):
        if row["vision_to_language"] == 1 and row["labels"] == BASE.labels:
            yield _object(row, rows)


def _object(row: dict, rows: pd.DataFrame) -> str:
    """How removing the object compares with removing nothing and everything."""
    keys = ["vision_to_language", "labels", "overlap", "leaks"]
    same = rows[(rows[keys] == pd.Series(row)[keys]).all(axis=1)]
    whole = _cells(same, "mlm", "all").iloc[0]
    if row["increase"] <= 0:
        where = "not above intact"
    elif row["increase"] < whole["low"]:
        where = "between intact and all"
    elif row["low"] <= whole["increase"] and row["increase"] <= whole["high"]:
        where = "as much as all"
    else:
        where = "more than all"
    return (
        f"{row['overlap']} overlap, leaks {row['leaks']}: removing the object costs "
        f"{row['increase']:+.3f} bits of MLM, all regions {whole['increase']:+.3f}: "
        f"{where}."
    )


def _labels(row: dict) -> str:
    seeds = seeds_in_words(row["seeds"])
    over_both = evidence(row["seeds_low"], row["seeds_high"])
    if over_both == NOT_MEASURED:
        low, high, over = row["low"], row["high"], "images"
        few = f"with {seeds} a side, of these models only"
        said = {
            HIGHER: f"less with silver labels, {few}",
            LOWER: f"more with silver labels, {few}",
        }.get(evidence(low, high), f"no evidence of a difference, {few}")
    else:
        low, high, over = row["seeds_low"], row["seeds_high"], "seeds and images"
        said = {
            HIGHER: "with silver labels models use words less",
            LOWER: "with silver labels models use words more",
        }.get(over_both, "no evidence of a difference") + f" ({seeds} a side)"
    share = 1 - row["silver"] / row["gold"] if row["gold"] > 0 else float("nan")
    shrinks = f"; {share:.0%} of it gone" if low > 0 else ""
    return (
        f"{row['model']}: masking all words raises MRC-KL by {row['gold']:+.3f} bits "
        f"with gold and {row['silver']:+.3f} with silver labels; {said}: difference "
        f"{row['difference']:+.3f} bits, 95% interval over {over} {low:+.3f} to "
        f"{high:+.3f}{shrinks}."
    )


def _leaks(table: pd.DataFrame) -> Iterator[str]:
    """The settings that differ from the base in one truth, or in both."""
    whole = table[(table["condition"] == "all") & (table["vision_to_language"] == 1)]
    whole = whole[whole["labels"] == BASE.labels]
    for metric, title in _LOSSES.items():
        for model in dict.fromkeys(whole["model"]):
            own = whole[(whole["model"] == model) & (whole["metric"] == metric)]
            if len(own) < 2:
                continue
            cells = "; ".join(
                f"{row['overlap']} overlap, leaks {row['leaks']}: {_interval(row)}"
                for row in own.to_dict("records")
            )
            yield f"{model}, {title} increase with gold labels: {cells}."


def _cells(rows: pd.DataFrame, metric: str, condition: str) -> pd.DataFrame:
    return rows[(rows["metric"] == metric) & (rows["condition"] == condition)]


def _interval(row: dict | pd.Series) -> str:
    return f"{row['increase']:+.3f} bits ({row['low']:+.3f} to {row['high']:+.3f})"
