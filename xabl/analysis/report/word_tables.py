"""The report's tables of losses by class of word, and of guessing."""

import math

from xabl.analysis.bootstrap import ImageBootstrap
from xabl.analysis.report.html_tables import (
    Cell,
    Table,
    estimate,
    intervals,
    number,
    pivot,
)
from xabl.analysis.study import Study
from xabl.analysis.verdicts import listed
from xabl.analysis.word_classes import by_word_class, title
from xabl.analysis.yardsticks import yardsticks
from xabl.results.conditions import Condition, Direction
from xabl.results.losses import LOSSES
from xabl.results.yardsticks import UNKNOWN_TOKENS


def word_tables(
    study: Study, bootstrap: ImageBootstrap
) -> tuple[tuple[Table, ...], tuple[Table, ...]]:
    """What every main ablation of regions adds, class by class.

    First those of the published way of removing, then those of the others.
    """
    table = by_word_class(study, bootstrap)
    published, others = [], []
    for name, rows in table.groupby("condition", sort=False) if len(table) else ():
        condition = Condition.parse(Direction.VIS4LANG, name)
        if condition.is_main:
            (others if condition.way else published).append(
                pivot(
                    rows.assign(word_class=rows["word_class"].map(title)),
                    rows="word_class",
                    title="Class of word",
                    value="difference",
                    caption=f"{condition.removing}: bits added to the loss of a word "
                    "(the sum over its tokens), by the class of the word. Last, the "
                    "mean over phrases.",
                )
            )
    return tuple(filter(None, published)), tuple(filter(None, others))


def yardsticks_table(study: Study) -> Table | None:
    """Every run beside guessing."""
    table = yardsticks(study)
    if table.empty:
        return None
    labels = [run.label for run in study.runs if run.tokens_a_word is not None]
    unknown = [f"{listed(dict.fromkeys(labels))}: {UNKNOWN_TOKENS}."] if labels else []
    rows = []
    for row in table.to_dict(orient="records"):
        seed = "" if row["seed"] is None else f", seed {row['seed']:g}"
        text_only = row["text_only"]
        rows.append(
            (
                Cell(text=f"{row['model']}{seed}", header=True),
                Cell(text=LOSSES[row["metric"]].title),
                number(row["intact"]),
                number(row["unigram"]),
                estimate(row, "difference", True),
                number(row["uniform"]),
                *(() if math.isnan(text_only) else (number(text_only),)),
            )
        )
    width = max(map(len, rows))
    columns = ("Model", "Loss", "Intact", "Unigram", "Intact - unigram", "Uniform")
    return Table(
        caption="With nothing removed, beside guessing by frequency in the split "
        "(unigram), guessing all answers alike (uniform)"
        + (" and a text-only model" if width > len(columns) else "")
        + f". Bits. {intervals(table['images'])}",
        columns=(*columns, "Text only")[:width],
        rows=tuple(
            (*row, *(Cell(text="", numeric=True),) * (width - len(row))) for row in rows
        ),
        notes=tuple(unknown),
    )
