"""Figure 9: the detector's categories against those the captions give."""

import math

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from xabl.analysis.bootstrap import ImageBootstrap
from xabl.analysis.figures.style import SETTINGS, Drawn, NotDrawn
from xabl.analysis.labelmatch.confusion import (
    BY_GOLD_ROW,
    BY_PUBLISHED_COLUMN,
    INTENDED,
    PUBLISHED,
)
from xabl.analysis.labelmatch.tables import confusion_of
from xabl.analysis.study import Study
from xabl.errors import UserError

# Map of classes to categories, normalisation, and what a cell is then.
_PANELS = (
    (INTENDED, BY_GOLD_ROW, "Share of the row's gold total"),
    (
        PUBLISHED,
        BY_PUBLISHED_COLUMN,
        "As published: over the column's\ngold total, published categories",
    ),
)


def confusion_matrix(study: Study, bootstrap: ImageBootstrap) -> Drawn:
    """Silver against gold: rows normalised, and beside it as published."""
    del bootstrap
    try:
        matrices = {name: confusion_of(study, name) for name, _, _ in _PANELS}
    except UserError as error:
        raise NotDrawn(str(error)) from error
    intended = matrices[INTENDED]
    if not intended.mismatches:
        raise NotDrawn("the detector agrees with every gold class")
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(8.6, 4.3))
        grid = figure.add_gridspec(
            1, 2, wspace=0.38, left=0.11, right=0.98, top=0.86, bottom=0.22
        )
        for slot, (name, normalisation, title) in zip(grid, _PANELS, strict=True):
            shares = matrices[name].shares(normalisation)
            names = matrices[name].categories
            ax = figure.add_subplot(slot)
            ax.imshow(shares, cmap="Greys", vmin=0, vmax=0.75, aspect="equal")
            for i in range(len(names)):
                for j in range(len(names)):
                    value = shares[i, j]
                    ax.text(
                        j,
                        i,
                        "-" if math.isnan(value) else f"{value:.2f}",
                        ha="center",
                        va="center",
                        fontsize=7.5,
                        color="white" if value > 0.4 else "black",
                    )
            ax.set_xticks(
                range(len(names)),
                names,
                rotation=40,
                ha="right",
                rotation_mode="anchor",
            )
            ax.set_yticks(range(len(names)), names)
            ax.tick_params(length=0)
            ax.grid(False)
            ax.set_title(title)
            ax.set_xlabel("Detector's top class (silver)")
            ax.set_ylabel("Class named by the caption (gold)")
    table = intended.table().assign(category_map=INTENDED)
    other = matrices[PUBLISHED].table().assign(category_map=PUBLISHED)
    total = intended.matches + intended.mismatches
    return Drawn(
        figure=figure,
        table=pd.concat([table, other], ignore_index=True),
        caption=(
            f"LabelMatch examples on which the detector's top class is not the gold "
            f"one ({intended.mismatches:,} of {total:,}), by category; the diagonal is "
            "confusion within a category. Left: each row over its own gold total, "
            "matches included. Right: the published normalisation, in which only the "
            "diagonal is a share of a category."
        ),
    )
