"""Panels of a line per model over conditions; the axis is broken where it must be."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec

from xabl.analysis.figures.style import SETTINGS, line_style

# Broken when the emptiest stretch is more than this share of the whole range ...
_EMPTY = 0.6
# ... and both parts keep at least this share of the larger one's height.
_SMALLEST_PART = 0.3
_LINE = 0.15  # height of a line of an axis' labels, in inches


@dataclasses.dataclass(frozen=True, kw_only=True)
class Series:
    """One line; `low` and `high` are NaN where there is no interval."""

    label: str
    y: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Panel:
    """Lines over conditions.

    conditions: as in scores.parquet; positions: what the axis calls them.
    starts: positions where a line begins anew: another way of removing.
    reference: label and value of a dashed horizontal line.
    bands: intervals as bands, otherwise as bars.
    """

    title: str
    xlabel: str
    ylabel: str
    conditions: tuple[str, ...]
    positions: tuple[str, ...]
    series: tuple[Series, ...]
    starts: tuple[int, ...] = ()
    reference: tuple[str, float] | None = None
    bands: bool = False


def draw(panels: Sequence[Panel], labels: Sequence[str], width: float) -> Figure:
    """Panels side by side over one legend.

    Args:
        labels: every series, in the order of the legend; decides colours.
        width: of one panel, in inches.
    """
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(width * len(panels), 3.4))
        grid = figure.add_gridspec(
            1, len(panels), wspace=0.38, left=0.08, right=0.98, top=0.9, bottom=0.14
        )
        handles: dict[str, Any] = {}
        for slot, panel in zip(grid, panels, strict=True):
            handles |= draw_panel(figure, slot, panel, labels)
        order = [label for label in labels if label in handles]
        order += [label for label in handles if label not in order]
        lines = max(p.count("\n") + 1 for panel in panels for p in panel.positions)
        add_legend(figure, {label: handles[label] for label in order}, lines)
        return figure


def add_legend(figure: Figure, handles: dict[str, Any], lines: int = 1) -> None:
    """Below everything, in rows that fit.

    Args:
        lines: of the axis' labels, which push its title down.
    """
    size = figure.get_size_inches()
    longest = max(map(len, handles), default=1)
    fit = max(1, int(size[0] / (0.55 + 0.078 * longest)))
    rows = math.ceil(len(handles) / fit)
    figure.legend(
        handles.values(),
        handles.keys(),
        loc="upper center",
        bbox_to_anchor=(0.53, -0.005 - (lines - 1) * _LINE / size[1]),
        ncol=math.ceil(len(handles) / max(1, rows)),
        handlelength=3.2,
        columnspacing=1.4,
    )


def draw_panel(
    figure: Figure, slot: SubplotSpec, panel: Panel, labels: Sequence[str]
) -> dict[str, Any]:
    """One panel; returns the legend's handles by label."""
    axes, _ = _axes(figure, slot, panel)
    handles: dict[str, Any] = {}
    for ax in axes:
        for index, series in enumerate(panel.series):
            style = line_style(series.label, labels)
            # Beside each other, so that bars at one position do not hide each other.
            shift = 0.0
            if not panel.bands and len(panel.series) > 1:
                shift = 0.16 * (index / (len(panel.series) - 1) - 0.5)
            x = np.arange(len(series.y)) + shift
            handles[series.label] = _draw_series(ax, x, series, style, panel)
        if panel.reference is not None:
            label, value = panel.reference
            handles[label] = ax.axhline(
                value, color="#555555", linestyle="--", linewidth=1.2, zorder=1.5
            )
        ax.set_xlim(-0.5, len(panel.positions) - 0.5)
        ax.set_xticks(range(len(panel.positions)), panel.positions)
        ax.grid(axis="x", visible=False)
    axes[0].set_title(panel.title)
    axes[-1].set_xlabel(panel.xlabel)
    if len(axes) == 2:
        _mark_break(*axes)
    # One label for both parts of a broken axis, centred on the whole.
    holder = figure.add_subplot(slot, frameon=False)
    holder.set_xticks([])
    holder.set_yticks([])
    holder.grid(False)
    holder.set_ylabel(panel.ylabel, labelpad=40)
    holder.set_zorder(-1)
    return handles


def table(panels: Sequence[Panel]) -> pd.DataFrame:
    """What the panels show: panel, series, condition, value, low, high."""
    rows = []
    for panel in panels:
        for series in panel.series:
            for i, condition in enumerate(panel.conditions):
                rows.append(
                    (panel.title, series.label, condition)
                    + (series.y[i], series.low[i], series.high[i])
                )
        if panel.reference is not None:
            label, value = panel.reference
            rows.append((panel.title, label, "none", value, math.nan, math.nan))
    columns = ["panel", "series", "condition", "value", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def broken_range(
    extents: Sequence[tuple[float, float]],
) -> tuple[tuple[float, float], ...]:
    """The one or two ranges of the axis that show all extents (low, high), upper first.

    Two ranges when the widest empty stretch is most of the whole.
    """
    merged: list[list[float]] = []
    for low, high in sorted(extents):
        if merged and low <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], high)
        else:
            merged.append([low, high])
    whole = (merged[0][0], merged[-1][1])
    stretches = [
        (after[0] - before[1], before[1], after[0])
        for before, after in zip(merged, merged[1:], strict=False)
    ]
    if not stretches:
        return (_padded(*whole, whole[1] - whole[0]),)
    widest, below, above = max(stretches)
    if widest <= _EMPTY * (whole[1] - whole[0]):
        return (_padded(*whole, whole[1] - whole[0]),)
    largest = max(below - whole[0], whole[1] - above)
    if largest == 0:  # two flat lines: show them in one range, there is no shape
        return (_padded(*whole, whole[1] - whole[0]),)
    return _padded(above, whole[1], largest), _padded(whole[0], below, largest)


def _padded(low: float, high: float, scale: float) -> tuple[float, float]:
    """A little room, and no range much smaller than `scale`."""
    if scale == 0:
        scale = max(abs(low), 1e-3) * 0.1
    missing = max(0.0, _SMALLEST_PART * scale - (high - low)) / 2
    return low - missing - 0.08 * scale, high + missing + 0.08 * scale


def _axes(
    figure: Figure, slot: SubplotSpec, panel: Panel
) -> tuple[list[Axes], tuple[tuple[float, float], ...]]:
    """The upper and lower part, or the one; both parts have the same scale."""
    extents = []
    for series in panel.series:
        values = [v for v in (*series.y, *series.low, *series.high) if v == v]
        if values:
            extents.append((min(values), max(values)))
    if panel.reference is not None:
        extents.append((panel.reference[1], panel.reference[1]))
    ranges = broken_range(extents)
    parts = slot.subgridspec(
        len(ranges), 1, height_ratios=[high - low for low, high in ranges], hspace=0.1
    )
    axes = []
    for index, limits in enumerate(ranges):
        ax = figure.add_subplot(parts[index])
        ax.set_ylim(*limits)
        ax.locator_params(axis="y", nbins=6 if len(ranges) == 1 else 4)
        axes.append(ax)
    return axes, ranges


def _draw_series(
    ax: Axes, x: np.ndarray, series: Series, style: dict[str, Any], panel: Panel
) -> Any:
    x, y, low, high = (
        np.insert(np.array(values, float), panel.starts, np.nan)  # breaks the line
        for values in (x, series.y, series.low, series.high)
    )
    (line,) = ax.plot(x, y, **style)
    if np.isnan(low).all():
        return line
    if panel.bands:
        ax.fill_between(x, low, high, color=style["color"], alpha=0.18, linewidth=0)
    else:
        ax.errorbar(
            x,
            y,
            yerr=[y - low, high - y],
            fmt="none",
            ecolor=style["color"],
            elinewidth=1,
            capsize=2.5,
        )
    return line


def _mark_break(upper: Axes, lower: Axes) -> None:
    upper.spines["bottom"].set_visible(False)
    upper.tick_params(axis="x", bottom=False, labelbottom=False)
    mark = {
        "marker": [(-1, -0.6), (1, 0.6)],
        "markersize": 7,
        "linestyle": "none",
        "color": "black",
        "markeredgewidth": 1,
        "clip_on": False,
    }
    upper.plot([0], [0], transform=upper.transAxes, **mark)
    lower.plot([0], [1], transform=lower.transAxes, **mark)
