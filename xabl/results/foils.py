"""What is asked about foils, what is kept of it, and the one table.

A pair is right when the model finds that the caption matches the image better than the
foil does. Equal scores are half right, which is what guessing gives.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float, Shaped

from xabl.results.conditions import Level
from xabl.results.format import MANIFEST, manifest_text
from xabl.results.intervals import ImageBootstrap, no_interval
from xabl.support import provenance

SCORES_FILE, TABLE_FILE = "foils.parquet", "foils.tsv"
ALL_GROUPS = "all"
# Nats. Two equal inputs in one batch differ by about 1e-6.
_EQUAL = 1e-5


@dataclasses.dataclass(frozen=True, kw_only=True)
class FoilCondition:
    """What the matching head does not see.

    name: in files.
    title: in the table.
    words: NONE, PHRASE (those in which caption and foil differ) or ALL become [MASK].
    regions: NONE or ALL get the average features of the images. There are no boxes for
        what differs, so nothing is between.
    """

    name: str
    title: str
    words: Level
    regions: Level


INTACT = FoilCondition(
    name="intact", title="Intact", words=Level.NONE, regions=Level.NONE
)
FOIL_CONDITIONS = (
    INTACT,
    FoilCondition(
        name="regions", title="All regions", words=Level.NONE, regions=Level.ALL
    ),
    FoilCondition(
        name="differing_words",
        title="Differing words",
        words=Level.PHRASE,
        regions=Level.NONE,
    ),
    FoilCondition(name="words", title="All words", words=Level.ALL, regions=Level.NONE),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FoilRow:
    """A group of pairs under one condition.

    images: how many images the pairs are of.
    accuracy: share of pairs that are right.
    fall: from the intact accuracy.
    low, high: 95% interval of `fall`, by resampling images; NaN where they are too few
        (`intervals.no_interval`).
    """

    group: str
    condition: FoilCondition
    pairs: int
    images: int
    accuracy: float
    fall: float
    low: float
    high: float


def scores_table(
    names: Sequence[str],
    images: Sequence[str],
    groups: Sequence[str],
    scores: Float[np.ndarray, "pairs conditions 2"],
) -> pa.Table:
    """foils.parquet: a row for each pair and condition.

    Args:
        scores: of caption and foil: log-odds, in nats, that text and image match.
    """
    count, conditions = scores.shape[:2]
    return pa.table(
        {
            "pair": np.repeat(np.array(names, object), conditions),
            "image": np.repeat(np.array(images, object), conditions),
            "group": np.repeat(np.array(groups, object), conditions),
            "condition": [c.name for c in FOIL_CONDITIONS] * count,
            "caption": scores[..., 0].ravel().astype(np.float32),
            "foil": scores[..., 1].ravel().astype(np.float32),
        }
    )


def summarise_foils(table: pa.Table) -> tuple[FoilRow, ...]:
    """Accuracies of every group, and of all pairs if there are several groups."""
    margins = table["caption"].to_numpy() - table["foil"].to_numpy()
    right = np.where(np.abs(margins) < _EQUAL, 0.5, margins > 0)
    right = right.reshape(-1, len(FOIL_CONDITIONS))
    first = table.take(np.arange(0, len(table), len(FOIL_CONDITIONS)))
    groups, images = (
        np.array(first[n].to_pylist(), object) for n in ("group", "image")
    )
    chosen = {group: groups == group for group in dict.fromkeys(groups)}
    if len(chosen) > 1:
        chosen[ALL_GROUPS] = np.full(len(groups), True)
    return tuple(
        row
        for group, rows in chosen.items()
        for row in _rows(group, images[rows], right[rows])
    )


def _rows(
    group: str,
    images: Shaped[np.ndarray, " pairs"],
    right: Float[np.ndarray, "pairs conditions"],
) -> Iterator[FoilRow]:
    falls = ImageBootstrap(images).means(right[:, :1] - right)
    bounds = falls.interval()
    for condition, accuracy, fall, low, high in zip(
        FOIL_CONDITIONS, right.mean(axis=0), falls.estimate, *bounds, strict=True
    ):
        yield FoilRow(
            group=group,
            condition=condition,
            pairs=len(right),
            images=int(falls.images[0]),
            accuracy=float(accuracy),
            fall=float(fall),
            low=float(low),
            high=float(high),
        )


def write_foils(
    folder: Path, table: pa.Table, *, model: Mapping[str, Any], data: Mapping[str, Any]
) -> tuple[FoilRow, ...]:
    """Writes the scores, the table and the manifest of a run; returns the table's rows.

    Args:
        model: what the manifest says of it; `label` is its name in the table.
        data: what it says of pairs and regions.
    """
    rows = summarise_foils(table)
    pq.write_table(table, folder / SCORES_FILE, compression="zstd")
    tsv = foils_tsv(model["label"], rows)
    (folder / TABLE_FILE).write_text(tsv, encoding="utf-8")
    manifest = {
        "model": model,
        "data": data,
        "versions": provenance.versions(),
        "git_commit": provenance.git_commit(),
        "finished": provenance.now(),
    }
    (folder / MANIFEST).write_text(manifest_text(manifest), encoding="utf-8")
    return rows


def foils_tsv(label: str, rows: Sequence[FoilRow]) -> str:
    """foils.tsv: a line for each group and condition; shares of 1."""
    lines = [["Model", "Group", "Ablated", "n", "Accuracy", "Fall", "Low", "High"]]
    for row in rows:
        numbers = (row.accuracy, row.fall, row.low, row.high)
        lines.append(
            [label, row.group, row.condition.name, str(row.pairs), *map(repr, numbers)]
        )
    return "".join("\t".join(line) + "\n" for line in lines)


def foils_text(rows: Sequence[FoilRow]) -> str:
    """The table to print, in percent: a line for each group, and what brackets are."""
    lines = [["group", "n", *(c.title for c in FOIL_CONDITIONS)]]
    for first in range(0, len(rows), len(FOIL_CONDITIONS)):
        of_group = rows[first : first + len(FOIL_CONDITIONS)]
        cells = [f"{100 * row.accuracy:.1f}{_change(row)}" for row in of_group]
        lines.append([of_group[0].group, str(of_group[0].pairs), *cells])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = [
        "  ".join(
            cell.ljust(width) for cell, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    ]
    few = {row.group: no_interval(row.images) for row in rows}
    return "\n".join(
        [
            *table,
            "in brackets: the change from intact, in points, with its 95% interval "
            "over images",
            *(f"{group}: {reason}" for group, reason in few.items() if reason),
        ]
    )


def _change(row: FoilRow) -> str:
    if row.condition is INTACT:
        return ""
    interval = f", {-100 * row.high:+.1f} to {-100 * row.low:+.1f}"
    return f" ({-100 * row.fall:+.1f}{'' if no_interval(row.images) else interval})"
