"""How figures look: told apart by colour, marker and line, on screen and in print."""

import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd

matplotlib.use("Agg")

from matplotlib.figure import Figure  # noqa: E402  (after the choice of backend)

from xabl.analysis.files import write, write_tsv  # noqa: E402
from xabl.results.intervals import ImageBootstrap, no_interval  # noqa: E402

FORMATS = ("pdf", "svg", "png")
# Okabe & Ito's palette without its yellow, which is too pale for lines on white; its
# orange and sky blue are darker here, to contrast with white by more than 3 to 1.
COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#000000",
    "#BF8600",
    "#3A94CC",
)
# 7, 11 and 5: no two of the first 55 series look the same without colour.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "p")
LINES: tuple[Any, ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (3, 1, 1, 1)),
    (0, (1, 1)),
    (0, (8, 1.5, 1, 1.5, 1, 1.5)),
)
# The same model looks the same in every figure.
_FIXED = ("UNITER", "VL-BERT", "VisualBERT", "ViLBERT", "LXMERT")
SETTINGS = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.4,
    "lines.markersize": 5,
    "pdf.fonttype": 42,  # text stays text
    "text.parse_math": False,  # a dollar in a label is a dollar
    "svg.fonttype": "none",
    "svg.hashsalt": "xabl",  # the same figure is the same file
}
# No dates or versions in the files, for the same reason.
_METADATA: dict[str, dict[str, None]] = {
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """A figure, the table it was drawn from, and what to read under it."""

    figure: Figure
    table: pd.DataFrame
    caption: str

    def _repr_png_(self) -> bytes:
        """How a notebook shows it."""
        return render(self.figure, "png")


class NotDrawn(Exception):
    """The results lack what a figure shows; the message says what."""


def intervals(bootstrap: ImageBootstrap, bars: str) -> str:
    """What a caption says of intervals: what the bars are, or why there are none."""
    few = no_interval(bootstrap.num_images)
    return f"{bars}." if few is None else f"No bars: {few}."


def line_style(label: str, labels: Sequence[str]) -> dict[str, Any]:
    """Colour, marker and line of one series among `labels`."""
    taken = {name: _fixed(name) for name in labels if _fixed(name) is not None}
    free = [i for i in range(len(labels) + len(_FIXED)) if i not in taken.values()]
    others = [name for name in labels if name not in taken]
    index = taken[label] if label in taken else free[others.index(label)]
    return {
        "color": COLOURS[index % len(COLOURS)],
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": LINES[index % len(LINES)],
    }


def _fixed(label: str) -> int | None:
    """Place of a main model; "UNITER, seed 42" looks like UNITER."""
    name = label.split(", seed")[0]
    return _FIXED.index(name) if name in _FIXED else None


def render(figure: Figure, suffix: str, **settings: Any) -> bytes:
    """The figure as a file of one of `FORMATS`; the same figure, the same bytes.

    Args:
        settings: of Matplotlib, in place of those in `SETTINGS`.
    """
    buffer = io.BytesIO()
    with matplotlib.rc_context(SETTINGS | settings):
        figure.savefig(
            buffer,
            format=suffix,
            dpi=200,
            bbox_inches="tight",
            metadata=_METADATA[suffix],
        )
    return buffer.getvalue()


def save(drawn: Drawn, folder: Path, name: str) -> list[Path]:
    """Writes PDF, SVG, PNG and the table (TSV); returns the paths."""
    paths = []
    for suffix in FORMATS:
        content = render(drawn.figure, suffix)
        path = folder / f"{name}.{suffix}"
        write(path, lambda temporary, b=content: temporary.write_bytes(b))
        paths.append(path)
    path = folder / f"{name}.tsv"
    write_tsv(path, drawn.table)
    return [*paths, path]
