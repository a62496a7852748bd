"""What is asked about foils, what is kept of it, and the one table.

A pair is right when the model finds that the caption matches the image better than the
foil does. Equal scores are half right, which is what guessing gives.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from xabl.results.conditions import Level

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

    accuracy: share of pairs that are right.
    fall: from the intact accuracy.
    error: standard error of `fall`, over pairs.
    """

    group: str
    condition: FoilCondition
    pairs: int
    accuracy: float
    fall: float
    error: float


def scores_table(
    names: Sequence[str],
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
    group_of = np.array(table["group"].to_pylist()[:: len(FOIL_CONDITIONS)], object)
    groups = list(dict.fromkeys(group_of))
    chosen = {group: right[group_of == group] for group in groups}
    if len(groups) > 1:
        chosen[ALL_GROUPS] = right
    return tuple(
        _row(group, condition, values[:, 0], values[:, column])
        for group, values in chosen.items()
        for column, condition in enumerate(FOIL_CONDITIONS)
    )


def _row(
    group: str,
    condition: FoilCondition,
    intact: Float[np.ndarray, " pairs"],
    right: Float[np.ndarray, " pairs"],
) -> FoilRow:
    falls = intact - right
    count = len(falls)
    error = falls.std(ddof=1) / np.sqrt(count) if count > 1 else np.nan
    return FoilRow(
        group=group,
        condition=condition,
        pairs=count,
        accuracy=float(right.mean()),
        fall=float(falls.mean()),
        error=float(error),
    )


def foils_tsv(label: str, rows: Sequence[FoilRow]) -> str:
    """foils.tsv: a line for each group and condition; shares of 1."""
    lines = [["Model", "Group", "Ablated", "n", "Accuracy", "Fall", "Error"]]
    for row in rows:
        numbers = (row.accuracy, row.fall, row.error)
        lines.append(
            [label, row.group, row.condition.name, str(row.pairs), *map(repr, numbers)]
        )
    return "".join("\t".join(line) + "\n" for line in lines)


def foils_text(rows: Sequence[FoilRow]) -> str:
    """The table to print, in percent: a line for each group."""
    lines = [["group", "n", *(c.title for c in FOIL_CONDITIONS)]]
    for first in range(0, len(rows), len(FOIL_CONDITIONS)):
        of_group = rows[first : first + len(FOIL_CONDITIONS)]
        cells = [
            f"{100 * row.accuracy:.1f}"
            + (
                ""
                if row.condition is INTACT
                else f" ({-100 * row.fall:+.1f} ±{196 * row.error:.1f})"
            )
            for row in of_group
        ]
        lines.append([of_group[0].group, str(of_group[0].pairs), *cells])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) for cell, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    )
