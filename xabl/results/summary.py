"""Means of every condition in bits, alone and beside the published ones."""

import dataclasses
from collections.abc import Sequence

from xabl.ablation.distinct_inputs import NOT_SCORED
from xabl.ablation.engine.pair_scores import LOSSES, AblationScores
from xabl.results.conditions import Condition
from xabl.results.published import NUM_EXAMPLES, SPLIT, PublishedRow

# Column titles as in the published tables, in order; the last two only where scored.
TITLES = {
    "mlm": "MLM",
    "mrc_kl": "MRC-KL",
    "mrc_xe": "MRC-XE",
    "mrc_xe_corrected": "MRC-XE-corrected",
    "mrc_kl_aligned": "MRC-KL-aligned",
    "mrc_xe_vg": "MRC-XE-VG",
}
_ALWAYS = ("mlm", "mrc_kl", "mrc_xe", "mrc_xe_corrected")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SummaryRow:
    """Means of one condition.

    bits: by loss, None where there is none; scored, excluded: numbers of examples.
    """

    condition: Condition
    bits: dict[str, float | None]
    scored: int
    excluded: int


def summarise(scores: AblationScores) -> tuple[SummaryRow, ...]:
    """One row a condition."""
    plan = scores.plan
    rows = []
    for column, condition in enumerate(plan.conditions):
        scored = int((plan.pair[:, column] != NOT_SCORED).sum())
        rows.append(
            SummaryRow(
                condition=condition,
                bits={
                    name: scores.mean_bits(name, condition)
                    for name in LOSSES[condition.direction]
                },
                scored=scored,
                excluded=len(plan.examples) - scored,
            )
        )
    return tuple(rows)


def summary_tsv(label: str, rows: Sequence[SummaryRow]) -> str:
    """summary.tsv: the published columns, direction, counts; means in bits."""
    names = [
        name
        for name in TITLES
        if name in _ALWAYS or any(row.bits.get(name) is not None for row in rows)
    ]
    lines = [
        ["Model", "Mask", "Direction", *(TITLES[n] for n in names), "n", "excluded"]
    ]
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
    rows: Sequence[SummaryRow], published: PublishedRow | None = None
) -> str:
    """The table to print, with the published means beside one's own if given."""
    header = ["direction", "condition", "loss", "bits"]
    header += ["published", "difference"] if published else []
    lines = [[*header, "n", "excluded"]]
    for row in rows:
        for name, mean in row.bits.items():
            if mean is None:
                continue
            line = [row.condition.direction.value, row.condition.name, TITLES[name]]
            line.append(f"{mean:.4f}")
            if published:
                reference = published.bits.get((name, row.condition.name))
                known = reference is not None
                line.append(f"{reference:.4f}" if known else "")
                line.append(f"{mean - reference:+.4f}" if known else "")
            lines.append([*line, str(row.scored), str(row.excluded)])
    text = aligned(lines)
    if published:
        seed = "" if published.seed is None else f", seed {published.seed}"
        text += (
            f"\npublished: {published.model}{seed}, {SPLIT} split, {NUM_EXAMPLES} "
            "examples (Frank et al. 2021)"
        )
    return text


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
