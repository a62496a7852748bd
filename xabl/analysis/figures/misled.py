"""Figure 10: information lost, and being misled by the regions that stay."""

import pandas as pd

from xabl.analysis import misled
from xabl.analysis.bootstrap import ImageBootstrap
from xabl.analysis.figures import selection
from xabl.analysis.figures.panels import Panel, Series, draw, table
from xabl.analysis.figures.style import Drawn, NotDrawn, intervals
from xabl.analysis.study import Study
from xabl.analysis.verdicts import listed, seeds_in_words
from xabl.results.conditions import Condition, Direction
from xabl.results.losses import LOSSES

_TITLES = {
    "lost": "Information lost",
    "misled": "Misled by what stays",
}
_LABELS = {
    "lost": "loss(all) - loss(none) (bits)",
    "misled": "loss(object) - loss(all) (bits)",
}
_WIDTH, _WAY_WIDTH = 3.6, 1.15


def lost_and_misled(study: Study, bootstrap: ImageBootstrap) -> Drawn:
    """A panel for each of the two; ways of removing side by side, a mark per model."""
    chosen = selection.main_models(study)
    rows = misled.lost_and_misled(chosen, bootstrap)
    if not rows.empty:
        known = [Condition.parse(Direction.VIS4LANG, n) for n in rows["condition"]]
        rows = rows[[condition.is_main for condition in known]]
        rows = rows[rows["misled"].notna()]
    if rows.empty:
        raise NotDrawn(
            "no model was run with both the object's regions and all regions removed"
        )
    panels = [_panel(rows, quantity) for quantity in _TITLES]
    labels = list(dict.fromkeys(rows["model"]))
    counts = listed(
        f"{model.label} {seeds_in_words(len(model.runs))}"
        for model in chosen.models
        if model.label in labels
    )
    threshold = rows["threshold"].iloc[0]
    caption = (
        "What goes when all regions go (information lost), and what more goes when "
        f"only those go that overlap the phrase by more than {threshold:g} (misled by "
        "the regions that stay; below 0: they still help), by way of removing; in bits "
        f"of {LOSSES[rows['metric'].iloc[0]].title}. "
        + intervals(
            bootstrap,
            "Bars: 95% intervals, images resampled: of these models "
            f"({counts}), not of other seeds",
        )
        + selection.guesses(chosen, labels, [Direction.VIS4LANG])
    )
    width = max(_WIDTH, _WAY_WIDTH * len(panels[0].positions))
    return Drawn(
        figure=draw(panels, labels, width), table=table(panels), caption=caption
    )


def _panel(rows: pd.DataFrame, quantity: str) -> Panel:
    by_way = dict(zip(rows["condition"], rows["way"], strict=True))
    conditions = tuple(by_way)
    series = []
    for label, own in rows.groupby("model", sort=False):
        own = own.set_index("condition").reindex(conditions)
        names = (quantity, f"{quantity}_low", f"{quantity}_high")
        y, low, high = (tuple(own[name].tolist()) for name in names)
        series.append(Series(label=label, y=y, low=low, high=high))
    return Panel(
        title=_TITLES[quantity],
        xlabel="Way of removing regions",
        ylabel=_LABELS[quantity],
        conditions=conditions,
        positions=tuple(way.replace("_", " ") for way in by_way.values()),
        series=tuple(series),
        starts=tuple(range(1, len(conditions))),  # marks, not lines
    )
