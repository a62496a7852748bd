"""A measurement of the ablation as a picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot  # noqa: E402  (after the choice of backend)
from matplotlib.axes import Axes  # noqa: E402

from xabl.analysis.figures.style import COLOURS, SETTINGS, render  # noqa: E402
from xabl.support.atomic import new_file  # noqa: E402

_PHASES = ("load", "plan", "compile", "score", "write")
_GROWTH = ("images", "conditions", "models", "devices")


def save(result: Mapping[str, Any], path: Path) -> None:
    """Draws what a kept result of `benchmarks.ablation` holds, as an SVG file."""
    with matplotlib.rc_context(SETTINGS):
        growing = [
            name
            for name in _GROWTH
            if any(run["grows"] == name for run in result["growth"])
        ]
        rows = 2 if growing else 1
        figure = pyplot.figure(figsize=(9, 0.4 + 2.6 * rows), layout="constrained")
        parts = figure.subfigures(rows, 1, squeeze=False)[:, 0]
        machine = result["machine"]
        figure.suptitle(
            f"{result['model']}, {result['date'][:10]}: {machine['device']}, "
            f"{machine['cores']} cores of {machine['processor']}"
        )
        rates, shares, phases = parts[0].subplots(1, 3)
        _rates(rates, result)
        _shares(shares, result)
        _phases(phases, result)
        if growing:
            axes = parts[1].subplots(1, len(growing), squeeze=False)[0]
            for name, one in zip(growing, axes, strict=True):
                runs = [run for run in result["growth"] if run["grows"] == name]
                _grow(one, name, runs, labelled=one is axes[0])
        content = render(figure, "svg")
        pyplot.close(figure)
    with new_file(path, overwrite=True) as temporary:
        temporary.write_bytes(content)


def _rates(axes: Axes, result: Mapping[str, Any]) -> None:
    names, values = ["naive way"], [result["naive"]["inputs_per_second"]]
    for facts in result["precisions"]:
        names.append(f"ours,\n{facts['precision']}")
        values.append(facts["inputs_per_second"])
    colours = [COLOURS[1]] + [COLOURS[0]] * (len(names) - 1)
    bars = axes.bar(names, values, color=colours)
    axes.bar_label(bars, [f"{value:.3g}" for value in values])
    axes.margins(y=0.15)
    axes.set_title(f"inputs a second: {result['ratio']:.2f} times the naive way")


def _shares(axes: Axes, result: Mapping[str, Any]) -> None:
    names = [facts["precision"] for facts in result["precisions"]]
    shares = [100 * f["share_of_matrix_product_rate"] for f in result["precisions"]]
    bars = axes.bar(names, shares, color=COLOURS[2])
    axes.bar_label(bars, [f"{share:.0f}" for share in shares])
    axes.set_ylim(0, 105)
    axes.set_title("% of the matrix-product rate")


def _phases(axes: Axes, result: Mapping[str, Any]) -> None:
    seconds = [result["precisions"][0]["seconds"][phase] for phase in _PHASES]
    bars = axes.barh(_PHASES, seconds, color=COLOURS[5])
    axes.bar_label(bars, [f"{value:.2f}" for value in seconds], padding=2)
    axes.invert_yaxis()
    axes.margins(x=0.2)
    axes.set_title("seconds by phase")


def _grow(axes: Axes, name: str, runs: list[Mapping], *, labelled: bool) -> None:
    """Seconds on the left axis, gigabytes on the right one."""
    sizes = [run["size"] for run in runs]
    seconds = axes.plot(
        sizes,
        [run["seconds"] for run in runs],
        marker="o",
        color=COLOURS[0],
        label="seconds",
    )
    memory = axes.twinx()
    memory.grid(False)
    bytes_ = memory.plot(
        sizes,
        [run["host_peak_gb"] for run in runs],
        marker="s",
        linestyle="--",
        color=COLOURS[1],
        label="host memory, GB",
    )
    # From 0, and not both to the same height: lines that fall together hide each other.
    for one, room in ((axes, 1.1), (memory, 1.5)):
        one.set_ylim(0, room * one.dataLim.ymax)
    axes.set_xticks(sizes)
    axes.set_xlabel(name)
    images = "" if name == "images" else f", {runs[0]['images']} images each"
    axes.set_title(f"whole runs{images}")
    if labelled:
        axes.legend(handles=[*seconds, *bytes_], loc="lower right")
