"""Means of every condition in bits, alone and beside the published ones."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from xabl.results.columns import rows_by_condition
from xabl.results.conditions import BASELINE, Condition
from xabl.results.intervals import FEWEST_IMAGES, ImageBootstrap, no_interval
from xabl.results.losses import LOSSES, NATS_PER_BIT, STORED, columns_of, mean_bits
from xabl.results.published import NUM_EXAMPLES, SPLIT, PublishedRow


@dataclasses.dataclass(frozen=True, kw_only=True)
class SummaryRow:
    """Means of one condition.

    bits: by loss, None where there is none; scored, excluded: numbers of examples.
    """

    condition: Condition
    bits: dict[str, float | None]
    scored: int
    excluded: int


class Change(NamedTuple):
    """What a condition adds to a loss in bits, with its 95% interval over images."""

    mean: float
    low: float
    high: float
    images: int


def changes(scores: pa.Table) -> dict[tuple[Condition, str], Change]:
    """By condition and loss, over the examples scored under it and under `none`."""
    keys, columns, images = [], [], None
    intact: dict[str, np.ndarray] = {}
    for condition, part in by_condition(scores):
        order = np.argsort(part["example"].to_numpy(), kind="stable")
        if images is None:
            images = np.asarray(part["image_id"].take(order).to_pylist(), object)
        for column in columns_of(condition.direction, STORED):
            losses = part[column].to_numpy()[order] / NATS_PER_BIT
            losses = np.where(np.isfinite(losses), losses, np.nan)
            if condition.name == BASELINE:
                intact[column] = losses
            elif column in intact and not np.isnan(losses - intact[column]).all():
                keys.append((condition, column))
                columns.append(losses - intact[column])
    if not keys:
        return {}
    draws = ImageBootstrap(images.astype(str)).means(np.stack(columns, axis=1))
    low, high = draws.interval()
    numbers = (draws.estimate, low, high, draws.images)
    found = map(Change, *(column.tolist() for column in numbers))
    return dict(zip(keys, found, strict=True))


def summarise(scores: pa.Table) -> tuple[SummaryRow, ...]:
    """One row per condition of scores.parquet, by `Condition.rank`."""
    rows = []
    for condition, part in by_condition(scores):
        excluded = len(part) - part["excluded"].null_count
        rows.append(
            SummaryRow(
                condition=condition,
                bits={
                    column: _mean_bits(part[column])
                    for column in columns_of(condition.direction, STORED)
                },
                scored=len(part) - excluded,
                excluded=excluded,
            )
        )
    return tuple(rows)


def by_condition(scores: pa.Table) -> list[tuple[Condition, pa.Table]]:
    """The rows of each condition, by `Condition.rank`.

    Raises:
        UserError: a condition that is not known.
    """
    found = [
        (Condition.parse(*key), scores.take(rows))
        for key, rows in rows_by_condition(scores).items()
    ]
    return sorted(found, key=lambda pair: pair[0].rank)


def _mean_bits(column: pa.ChunkedArray) -> float | None:
    """Of the finite losses in nats; None where there is none."""
    values = column.to_numpy()
    values = values[np.isfinite(values)]
    return mean_bits(values) if len(values) else None


def summary_tsv(label: str, rows: Sequence[SummaryRow]) -> str:
    """summary.tsv: the published columns, direction, counts; means in bits."""
    names = [name for name, loss in LOSSES.items() if loss.in_summary]
    names += [
        name
        for name in LOSSES
        if name not in names and any(row.bits.get(name) is not None for row in rows)
    ]
    titles = [LOSSES[name].title for name in names]
    lines = [["Model", "Mask", "Direction", *titles, "n", "excluded"]]
    for row in rows:
        means = (row.bits.get(name) for name in names)
        lines.append(
            [
                label,
                row.condition.published_name,
                row.condition.direction.value,
                *("" if mean is None else repr(mean) for mean in means),
                str(row.scored),
                str(row.excluded),
            ]
        )
    return "".join("\t".join(line) + "\n" for line in lines)


def summary_text(
    rows: Sequence[SummaryRow],
    published: PublishedRow | None = None,
    changed: Mapping[tuple[Condition, str], Change] | None = None,
) -> str:
    """The table to print, with changes and the published means beside them if given.

    A condition of which nothing is scored has a line without a loss.
    """
    header = ["direction", "condition", "loss", "bits"]
    header += ["change", "95% interval"] if changed else []
    header += ["published", "difference"] if published else []
    lines = [[*header, "n", "excluded"]]
    for row in rows:
        if all(mean is None for mean in row.bits.values()):
            about = [row.condition.direction.value, row.condition.name]
            gap = [""] * (len(lines[0]) - len(about) - 2)
            lines.append([*about, *gap, str(row.scored), str(row.excluded)])
        for name, mean in row.bits.items():
            if mean is None:
                continue
            line = [
                row.condition.direction.value,
                row.condition.name,
                LOSSES[name].title,
            ]
            line.append(f"{mean:.4f}")
            if changed:
                change = changed.get((row.condition, name))
                line += ["", ""] if change is None else _shown(change)
            if published:
                reference = published.bits.get((name, row.condition.name))
                known = reference is not None
                line.append(f"{reference:.4f}" if known else "")
                line.append(f"{mean - reference:+.4f}" if known else "")
            lines.append([*line, str(row.scored), str(row.excluded)])
    text = aligned(lines)
    if changed:
        text += f"\nchange: in bits, from none; {_about_intervals(rows, changed)}"
    if published:
        seed = "" if published.seed is None else f", seed {published.seed}"
        text += (
            f"\npublished: {published.model}{seed}, {SPLIT} split, {NUM_EXAMPLES} "
            "examples (Frank et al. 2021)"
        )
    return text


def _about_intervals(
    rows: Sequence[SummaryRow], changed: Mapping[tuple[Condition, str], Change]
) -> str:
    """What the intervals are of, and why some or all are not there."""
    images = {change.images for change in changed.values()}
    phrases = f"{max(row.scored for row in rows)} examples of {max(images)} images"
    few = no_interval(max(images))
    if few:
        return f"no interval: {phrases} are too few; it needs {FEWEST_IMAGES} images"
    some = (
        ""
        if no_interval(min(images)) is None
        else (f"; none over fewer than {FEWEST_IMAGES} images")
    )
    return (
        f"interval: over images ({phrases}), of this model and not of other seeds{some}"
    )


def _shown(change: Change) -> list[str]:
    ends = change.low, change.high
    known = no_interval(change.images) is None
    return [f"{change.mean:+.4f}", "{:+.4f} to {:+.4f}".format(*ends) if known else ""]


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Columns of text, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    numeric = [
        all(_is_number(cell) for cell in column[1:])
        for column in zip(*lines, strict=True)
    ]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in lines
    )


def _is_number(cell: str) -> bool:
    return not cell or cell.lstrip("+-").replace(".", "", 1).isdigit()
