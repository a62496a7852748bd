"""Figure 11: which words need the image: changes by class of word."""

import math

import pandas as pd

from xabl.analysis.bootstrap import ImageBootstrap
from xabl.analysis.figures import selection
from xabl.analysis.figures.panels import Panel, Series, draw, table
from xabl.analysis.figures.style import Drawn, NotDrawn, intervals
from xabl.analysis.study import Study
from xabl.analysis.verdicts import seeds_said
from xabl.analysis.word_classes import axis_title, by_word_class
from xabl.results.conditions import Condition, Direction

_WIDTH = 4.6


def by_class_of_word(study: Study, bootstrap: ImageBootstrap) -> Drawn:
    """A panel per main condition in the published way, a mark per model and class."""
    rows = by_word_class(selection.main_models(study), bootstrap)
    if not rows.empty:
        known = [Condition.parse(Direction.VIS4LANG, n) for n in rows["condition"]]
        rows = rows[[c.is_main and c.way is None for c in known]]
    if rows.empty:
        raise NotDrawn("no run has losses by word of an ablation of regions")
    panels = [_panel(name, own) for name, own in rows.groupby("condition", sort=False)]
    labels = list(dict.fromkeys(rows["model"]))
    caption = (
        "What ablating regions adds to the loss of a word (the sum over its tokens), "
        "by the class of the word; last, the mean over phrases. "
        + intervals(bootstrap, "Bars: 95% intervals, images resampled")
        + f" {seeds_said(dict(zip(rows['model'], rows['seeds'], strict=True)))}"
        + selection.guesses(study, labels, [Direction.VIS4LANG])
    )
    return Drawn(
        figure=draw(panels, labels, _WIDTH), table=table(panels), caption=caption
    )


def _panel(condition: str, rows: pd.DataFrame) -> Panel:
    classes = tuple(dict.fromkeys(rows["word_class"]))
    series = []
    for label, own in rows.groupby("model", sort=False):
        own = own.set_index("word_class").reindex(classes)
        y, low, high = (tuple(own[n].tolist()) for n in ("difference", "low", "high"))
        series.append(Series(label=label, y=y, low=low, high=high))
    ends = [v for s in series for v in (*s.low, *s.high) if not math.isnan(v)]
    return Panel(
        title=Condition.parse(Direction.VIS4LANG, condition).removing,
        xlabel="Class of word",
        ylabel="Change from none (bits)",
        conditions=classes,
        positions=tuple(axis_title(name) for name in classes),
        series=tuple(series),
        starts=tuple(range(1, len(classes))),  # marks, not lines
        reference=("0 bits", 0.0) if ends and min(ends) < 0 < max(ends) else None,
    )
