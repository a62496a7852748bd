"""The figure of the controls study: the measured influence against the known truth."""

from collections.abc import Sequence

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xabl.analysis.figures.style import SETTINGS, Drawn, line_style

_CAPTION = (
    "Increase of the loss when the other modality is removed (condition all), in bits. "
    "Points: mean over seeds, with 95% intervals (images resampled); small dots: the "
    "smallest and largest seed. A: MLM against the share of phrases whose words follow "
    "the image (gold labels, low overlap, no leaks). B, C: MRC-KL and MLM at 1, by the "
    "detector's labels, the overlap of regions in pretraining, and leaks that survive "
    "masking."
)


def draw(table: pd.DataFrame) -> Drawn:
    """Three panels from the rows of `effects` under the condition all."""
    rows = table[table["condition"] == "all"]
    models = list(dict.fromkeys(rows["model"]))
    base = (rows["labels"] == "gold") & (rows["overlap"] == "low")
    knob = rows[base & (rows["leaks"] == "none")]
    grid = rows[rows["vision_to_language"] == 1]
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(10.5, 3.6))
        axes = figure.subplots(1, 3, width_ratios=(1, 1.5, 1.5))
        _draw_knob(axes[0], knob[knob["metric"] == "mlm"], models)
        _draw_grid(axes[1], grid[grid["metric"] == "mrc_kl"], models)
        _draw_grid(axes[2], grid[grid["metric"] == "mlm"], models)
        axes[0].set_title("A  vision for language")
        axes[1].set_title("B  language for vision")
        axes[2].set_title("C  vision for language")
        axes[0].set_ylabel("MLM increase (bits)")
        axes[1].set_ylabel("MRC-KL increase (bits)")
        axes[2].set_ylabel("MLM increase (bits)")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="lower center", ncol=len(labels), frameon=False
        )
        figure.subplots_adjust(
            left=0.06, right=0.99, top=0.92, bottom=0.31, wspace=0.25
        )
    return Drawn(figure=figure, table=rows, caption=_CAPTION)


def _draw_knob(axes: Axes, rows: pd.DataFrame, models: Sequence[str]) -> None:
    for number, model in enumerate(models):
        own = rows[rows["model"] == model].sort_values("vision_to_language")
        places = own["vision_to_language"] + _shift(number, models, 0.02)
        _draw_points(axes, places, own, model, models, line=True)
    axes.set_xticks(sorted(rows["vision_to_language"].unique()))
    axes.set_xlabel("share of phrases that follow the image")


def _draw_grid(axes: Axes, rows: pd.DataFrame, models: Sequence[str]) -> None:
    order = rows.drop_duplicates(["labels", "overlap", "leaks"]).sort_values(
        ["labels", "overlap", "leaks"], ascending=[True, False, False]
    )
    names = list(zip(order["labels"], order["overlap"], order["leaks"], strict=True))
    for number, model in enumerate(models):
        own = rows[rows["model"] == model]
        keys = zip(own["labels"], own["overlap"], own["leaks"], strict=True)
        places = pd.Series([names.index(key) for key in keys], own.index, dtype=float)
        places += _shift(number, models, 0.16)
        _draw_points(axes, places, own, model, models, line=False)
    axes.set_xticks(range(len(names)), ["\n".join(name) for name in names])
    axes.set_xlabel("labels, overlap, leaks")


def _draw_points(
    axes: Axes,
    places: pd.Series,
    rows: pd.DataFrame,
    model: str,
    models: Sequence[str],
    *,
    line: bool,
) -> None:
    style = line_style(model, models)
    if not line:
        style["linestyle"] = "none"
    axes.axhline(0, color="#555555", linewidth=0.8, zorder=1)
    axes.plot(places, rows["increase"], label=model, **style)
    axes.errorbar(
        places,
        rows["increase"],
        yerr=[rows["increase"] - rows["low"], rows["high"] - rows["increase"]],
        fmt="none",
        ecolor=style["color"],
        elinewidth=1,
        capsize=2.5,
    )
    for end in ("smallest", "largest"):
        axes.plot(places, rows[end], ".", color=style["color"], markersize=3)


def _shift(number: int, models: Sequence[str], width: float) -> float:
    """Puts models side by side, so that no point hides another."""
    return width * (number - (len(models) - 1) / 2)
