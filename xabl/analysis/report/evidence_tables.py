"""Tables of what is lost and what misleads, of both directions, of pairs of models."""

import dataclasses
import functools
import math

import pandas as pd

from xabl.analysis.bootstrap import FEWEST_SEEDS
from xabl.analysis.report.html_tables import (
    DASH,
    Cell,
    Table,
    count,
    estimate,
    interval,
    intervals,
    number,
    probability,
    typeset,
)
from xabl.analysis.verdicts import bits, percent, points, seeds_in_words
from xabl.results.conditions import Condition, Direction, Level
from xabl.results.losses import LOSSES

_FEW = f"fewer than {FEWEST_SEEDS} seeds"


def misled_table(rows: pd.DataFrame) -> Table | None:
    """`misled.lost_and_misled` at the main threshold."""
    if rows.empty:
        return None
    known = [Condition.parse(Direction.VIS4LANG, name) for name in rows["condition"]]
    chosen = rows[[condition.is_main for condition in known]]
    chosen = chosen[chosen["gap"].isna()]
    if chosen.empty:
        return None
    lines = [
        (
            Cell(text=row["model"], header=True),
            count(int(row["seeds"])),
            Cell(text=row["way"]),
            _spread(row, "lost"),
            _spread(row, "misled"),
            _seeds(row, "misled"),
            Cell(
                text=f"{row['share']:.0%}",
                interval=interval(row["share_low"], row["share_high"], "{:.0%}".format),
                numeric=True,
                value=row["share"],
                low=row["share_low"],
                high=row["share_high"],
            ),
            count(int(row["n"])),
        )
        for row in chosen.to_dict(orient="records")
    ]
    loss = LOSSES[chosen["metric"].iloc[0]].title
    threshold = chosen["threshold"].iloc[0]
    return Table(
        caption=f"Lost or misled, in bits of {loss}. Lost: what goes when all regions "
        "go, loss(all) \N{MINUS SIGN} loss(none). Misled: what more goes when only the "
        f"regions go that overlap the phrase by more than {threshold:g}, loss(object) "
        "\N{MINUS SIGN} loss(all): those that stay show something else. Below 0, what "
        "stays still helps on average. More with object alone: the share of phrases "
        f"that cost more without the object's regions than without any. "
        f"{intervals(chosen['images'])}",
        columns=(
            *("Model", "Seeds", "Way", "Lost", "Misled", "Misled, other seeds"),
            *("More with object alone", "Phrases"),
        ),
        rows=tuple(lines),
    )


def asymmetry_table(rows: pd.DataFrame) -> Table | None:
    """`asymmetry.asymmetry`, where it was measured."""
    chosen = rows[rows["gap"].isna()] if len(rows) else rows
    if chosen.empty:
        return None
    words = LOSSES[chosen["mlm"].iloc[0]].title
    of_regions = [LOSSES[name].title for name in chosen["kl"].unique()]
    is_one = len(of_regions) == 1
    regions = of_regions[0] if is_one else "Of regions"
    lines = []
    for row in chosen.to_dict(orient="records"):
        lines.append(
            (
                Cell(text=row["model"], header=True),
                count(int(row["seeds"])),
                Cell(text=row["regions"]),
                Cell(text=row["words"]),
                number(row["mlm_bits"], signed=True),
                dataclasses.replace(
                    number(row["kl_bits"], signed=True),
                    interval="" if is_one else LOSSES[row["kl"]].title,
                ),
                _spread(row, "bits"),
                _seeds(row, "bits"),
                Cell(text=typeset(percent(row["mlm_relative"])), numeric=True),
                Cell(text=typeset(percent(row["kl_relative"])), numeric=True),
                Cell(
                    text=typeset(points(row["relative"])),
                    interval=interval(
                        row["relative_low"], row["relative_high"], points
                    ),
                    numeric=True,
                ),
            )
        )
    return Table(
        caption="Vision for language against language for vision: what removing all "
        f"regions adds to {words}, what removing all words adds to "
        f"{' or '.join(of_regions)}, and the difference; in bits, and in percent of "
        "the intact loss (difference in percentage points). Other seeds: over seeds "
        "and images. "
        f"{intervals(chosen['images'])}",
        columns=(
            *("Model", "Seeds", "Regions", "Words", words, regions, "Difference"),
            *("Other seeds", f"{words}, %", f"{regions}, %", "Difference, %"),
        ),
        rows=tuple(lines),
    )


def pairs_table(pairs: pd.DataFrame) -> Table | None:
    """Pairs of models: how much more ablating everything costs the first."""
    if pairs.empty:
        return None
    chosen = pairs[(pairs["quantity"] == "effect") & (pairs["condition"] == Level.ALL)]
    if chosen.empty:
        return None
    lines = []
    for row in chosen.to_dict(orient="records"):
        p = probability(row["seeds_p_holm"])
        measured = not math.isnan(row["seeds_p_holm"])
        lines.append(
            (
                Cell(text=row["first"], header=True),
                Cell(text=row["second"]),
                Cell(text=f"{row['seeds_first']}, {row['seeds_second']}"),
                Cell(text=LOSSES[row["metric"]].title),
                estimate(row, "difference", signed=True),
                Cell(text=row["evidence"]),
                Cell(text=row["seeds_evidence"], note="" if measured else _FEW),
                _seeds(row, "", p.text),
            )
        )
    counted = pairs["seeds_p"].notna().sum()
    return Table(
        caption="Pairs, in bits: what ablating everything adds to the first one's "
        "loss, minus what it adds to the second's. These models: the interval is over "
        "images, and says of two runs that they differ, not why. With other seeds: "
        "whether models trained alike would; it needs "
        f"{seeds_in_words(FEWEST_SEEDS)} on each side, and is over seeds and images"
        + (
            f", its p corrected for all {counted} comparisons made (Holm 1979)."
            if counted
            else "."
        ),
        columns=(
            *("First", "Second", "Seeds", "Loss", "Difference", "First: these models"),
            *("With other seeds", "p, other seeds"),
        ),
        rows=tuple(lines),
    )


def _spread(row, name: str) -> Cell:
    """A number in bits with its interval over images."""
    named = {"value": row[name], "low": row[f"{name}_low"], "high": row[f"{name}_high"]}
    return estimate(
        named | {"gap": row["gap"], "images": row["images"]}, "value", signed=True
    )


def _seeds(row, name: str, text: str = "") -> Cell:
    """The interval over seeds and images, or a dash and why."""
    prefix = f"{name}_" if name else ""
    ends = (row[f"{prefix}seeds_{end}"] for end in ("low", "high"))
    shown = interval(*ends, functools.partial(bits, signed=True))
    if not shown:
        return Cell(text=DASH, numeric=True, note=_FEW)
    return Cell(text=text, interval=shown, numeric=True)
