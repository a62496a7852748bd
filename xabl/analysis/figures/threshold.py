"""Figure 2: MLM against the overlap threshold, with the share of regions ablated."""

import math

import matplotlib
from matplotlib.figure import Figure

from xabl.analysis import effects
from xabl.analysis.bootstrap import ImageBootstrap
from xabl.analysis.figures import selection
from xabl.analysis.figures.panels import Panel, Series, add_legend, draw_panel, table
from xabl.analysis.figures.style import SETTINGS, Drawn, NotDrawn, intervals
from xabl.analysis.study import Study
from xabl.results.conditions import Condition, Direction, in_order
from xabl.results.losses import LOSSES


def overlap_threshold(study: Study, bootstrap: ImageBootstrap) -> Drawn:
    """A line per main model, and above it bars of the mean share of ablated regions."""
    chosen = selection.main_models(study)
    rows = effects.thresholds(chosen, bootstrap)
    if rows.empty or rows["threshold"].nunique() < 2:
        raise NotDrawn("fewer than two overlap thresholds were run")
    direction = Direction.VIS4LANG
    conditions = in_order(direction, rows["condition"])
    known = [Condition.parse(direction, name) for name in conditions]
    loss = chosen.word_loss
    title = LOSSES[loss].title
    series = []
    for model in chosen.models:
        own = rows[rows["model"] == model.label].set_index("condition")
        own = own.reindex(conditions)
        if own["mean"].notna().sum() > 1 and not model.text_only():
            columns = (own[name].tolist() for name in ("mean", "low", "high"))
            y, low, high = (tuple(column) for column in columns)
            series.append(Series(label=model.label, y=y, low=low, high=high))
    if not series:
        raise NotDrawn("no model was run with several overlap thresholds")
    panel = Panel(
        title="",
        xlabel="Regions ablated: overlap with the phrase above threshold",
        ylabel=f"{title} (bits)",
        conditions=conditions,
        positions=tuple(condition.published_name for condition in known),
        series=tuple(series),
    )
    shares = [effects.ablated_share(chosen, condition) for condition in conditions]
    labels = [one.label for one in series]
    values = table([panel]).drop(columns="panel")
    by_condition = dict(zip(conditions, shares, strict=True))
    values["ablated_share"] = values["condition"].map(by_condition)
    values["threshold"] = [
        math.nan if condition.threshold is None else condition.threshold
        for condition in known
    ] * len(series)
    gaps = [
        f"{model.label}: {sum(missing)} of {len(missing)} conditions were not run"
        for model in chosen.models
        if model.label in labels
        if any(missing := [model.cell(loss, c).bits is None for c in conditions])
    ]
    caption = (
        f"{title} loss against the overlap threshold above which a region is ablated "
        "(baseline: None). Bars on top: mean share of an image's regions ablated. "
        + intervals(
            bootstrap, "Error bars: 95% intervals of the mean (images resampled)"
        )
        + selection.guesses(chosen, labels, [direction])
    )
    if gaps:
        caption += f" Gaps: {'; '.join(gaps)}."
    return Drawn(figure=_draw(panel, shares, labels), table=values, caption=caption)


def _draw(panel: Panel, shares: list[float], labels: list[str]) -> Figure:
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(6.5, 4.4))
        grid = figure.add_gridspec(
            2,
            1,
            height_ratios=(1, 3.2),
            hspace=0.1,
            left=0.1,
            right=0.98,
            top=0.97,
            bottom=0.12,
        )
        handles = draw_panel(figure, grid[1], panel, labels)
        top = figure.add_subplot(grid[0])
        heights = [0.0 if math.isnan(share) else share for share in shares]
        bars = top.bar(
            range(len(shares)), heights, color="#bbbbbb", edgecolor="#555555"
        )
        top.bar_label(
            bars,
            ["?" if math.isnan(share) else f"{share:.2f}" for share in shares],
            fontsize=7.5,
            padding=1.5,
        )
        top.set_xlim(-0.5, len(shares) - 0.5)
        top.set_ylim(0, 1.25)
        top.set_yticks([0, 0.5, 1])
        top.set_xticks(range(len(shares)), [])
        top.grid(axis="x", visible=False)
        top.set_ylabel("Ablated\nshare")
        add_legend(figure, handles)
        return figure
