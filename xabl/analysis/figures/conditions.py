"""Figures 1 and 3-8: losses by how much was ablated, one line a model."""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool

from xabl.analysis import comparisons, effects
from xabl.analysis.bootstrap import ImageBootstrap
from xabl.analysis.figures import selection
from xabl.analysis.figures.panels import Panel, Series, draw, table
from xabl.analysis.figures.style import Drawn, NotDrawn
from xabl.analysis.labelmatch.tables import subsets
from xabl.analysis.study import Study
from xabl.errors import UserError
from xabl.results.conditions import BASELINE, Condition, Direction
from xabl.results.losses import LOSSES, PUBLISHED_MAIN

_WORDS, _REGIONS = PUBLISHED_MAIN
_LABELMATCH = (_REGIONS, "mrc_xe_vg")
_BARS = (
    "Bars: 95% intervals of the difference to None (images resampled, paired), drawn "
    "around the mean."
)
_WIDTH = 3.5


def both_directions(study: Study, bootstrap: ImageBootstrap) -> Drawn:
    """Figure 1: MLM and MRC-KL, main models, the text-only baseline dashed."""
    chosen = selection.main_models(study)
    panels = _panels(chosen, bootstrap, PUBLISHED_MAIN)
    text, others = selection.text_baseline(chosen)
    caption = "Loss when the other modality is ablated (baseline: None). " + _BARS
    if text is not None and panels[0].title == Direction.VIS4LANG.words.title:
        value = _mean(text.cell(_WORDS, BASELINE).bits)
        panels[0] = dataclasses.replace(
            panels[0], reference=(f"{text.label} (text only)", value)
        )
        caption += f" Dashed: {text.label}, which sees the caption alone."
        caption += "".join(
            f" Not drawn: {other.label}, "
            f"{_mean(other.cell(_WORDS, BASELINE).bits):.3f} bits."
            for other in others
        )
    return _drawn(panels, chosen, caption)


def over_seeds(study: Study, bootstrap: ImageBootstrap) -> Drawn:
    """Figure 3: as figure 1, with bands over pretraining seeds."""
    del bootstrap  # seeds, not images, vary here
    chosen = selection.main_models(study)
    chosen = dataclasses.replace(
        chosen, models=tuple(m for m in chosen.models if len(m.runs) > 1)
    )
    if not chosen.models:
        raise NotDrawn("no model has results of more than one seed")
    spread = comparisons.seeds(chosen)
    panels = []
    for metric in PUBLISHED_MAIN:
        conditions = chosen.main_conditions(LOSSES[metric].direction)
        series = []
        for model in chosen.models:
            rows = _by_condition(spread, model.label, metric)
            if BASELINE in rows and rows[BASELINE]["seeds"] > 0:
                y, low, high = (
                    tuple(rows[c][key] if c in rows else math.nan for c in conditions)
                    for key in ("mean", "low", "high")
                )
                series.append(Series(label=model.label, y=y, low=low, high=high))
        if series:
            panels.append(_panel(metric, conditions, tuple(series), bands=True))
    if not panels:
        raise NotDrawn(f"no scores of {_or(PUBLISHED_MAIN)}")
    counts = "; ".join(
        f"{model.label}: seeds {', '.join(map(str, model.seeds))}"
        for model in chosen.models
    )
    gaps = "".join(
        f" {label} lacks seed {', '.join(map(str, seeds))}."
        for label, seeds in study.missing_seeds().items()
    )
    return _drawn(
        panels,
        chosen,
        "Mean over pretraining seeds (baseline: None). Bands: 95% t intervals of the "
        f"mean over seeds (not the variance). {counts}.{gaps}",
    )


def initialisation(study: Study, bootstrap: ImageBootstrap) -> Drawn:
    """Figure 4: models whose layers were initialised otherwise."""
    return _variants(
        study,
        bootstrap,
        "Initialisation",
        selection.INITIALISATION,
        selection.INITIALISATION_SEEDS,
    )


def training_threshold(study: Study, bootstrap: ImageBootstrap) -> Drawn:
    """Figure 5: models pretrained with another overlap threshold."""
    return _variants(
        study,
        bootstrap,
        "Overlap threshold in pretraining",
        selection.THRESHOLD,
        selection.THRESHOLD_SEEDS,
    )


def loss(study: Study, bootstrap: ImageBootstrap) -> Drawn:
    """Figure 6: cross-entropy in place of KL divergence in pretraining.

    The variant's region loss is weighted by the detector's confidence, so that the two
    region losses have an axis each.
    """
    chosen, baselines = selection.with_baselines(
        study, selection.LOSS, selection.LOSS_SEEDS
    )
    trained = {
        model.label: "mrc_xe" if selection.LOSS.fullmatch(model.label) else _REGIONS
        for model in chosen.models
    }
    panels = _panels(chosen, bootstrap, (_WORDS,))
    for metric, kind in (
        (_REGIONS, "KL"),
        ("mrc_xe", "weighted XE"),
    ):
        models = tuple(m for m in chosen.models if trained[m.label] == metric)
        part = dataclasses.replace(chosen, models=models)
        for panel in _panels(part, bootstrap, (metric,), or_none=True):
            title = f"{panel.title} ({kind})"
            panels.append(dataclasses.replace(panel, title=title))
    return _drawn(
        panels,
        chosen,
        f"Pretraining loss; baseline: {_and(baselines)}. Each region loss is the one "
        "its models were trained with; the cross-entropy is weighted by the detector's "
        f"confidence, so the two axes cannot be compared. {_BARS}",
    )


def labelmatch(study: Study, bootstrap: ImageBootstrap) -> Drawn:
    """Figure 7: MRC-KL and cross-entropy to the gold class on LabelMatch."""
    return _labelmatch(study, bootstrap, "LabelMatch")


def labelmatch_agree(study: Study, bootstrap: ImageBootstrap) -> Drawn:
    """Figure 8: as figure 7, where the detector's top class is the gold one."""
    return _labelmatch(study, bootstrap, "LabelMatch-agree")


def _labelmatch(study: Study, bootstrap: ImageBootstrap, subset: str) -> Drawn:
    try:
        use = subsets(study)[subset]
    except UserError as error:
        raise NotDrawn(str(error)) from error
    if not use.any():
        raise NotDrawn(f"no example of {subset}")
    chosen = selection.main_models(study)
    panels = [
        dataclasses.replace(panel, title=LOSSES[metric].title)
        for metric in _LABELMATCH
        for panel in _panels(chosen, bootstrap, (metric,), use=use, or_none=True)
    ]
    if not panels:
        raise NotDrawn(f"no scores of {_or(_LABELMATCH)}")
    what = (
        "examples whose noun is a detector class"
        if subset == "LabelMatch"
        else "LabelMatch examples on which the detector's top class is the gold one"
    )
    return _drawn(
        panels,
        chosen,
        f"{subset}: {use.sum():,} {what} (baseline: None). Left: divergence from the "
        f"detector's distribution; right: cross-entropy to the gold class. {_BARS}",
    )


def _variants(
    study: Study,
    bootstrap: ImageBootstrap,
    what: str,
    variant: re.Pattern[str],
    seeds: Mapping[str, int],
) -> Drawn:
    chosen, baselines = selection.with_baselines(study, variant, dict(seeds))
    panels = _panels(chosen, bootstrap, PUBLISHED_MAIN)
    return _drawn(panels, chosen, f"{what}; baseline: {_and(baselines)}. {_BARS}")


def _panels(
    study: Study,
    bootstrap: ImageBootstrap,
    metrics: Sequence[str],
    use: Bool[np.ndarray, " examples"] | None = None,
    or_none: bool = False,
) -> list[Panel]:
    """A panel for each metric that some model has under `none`."""
    groups = (("all", use),)
    means = effects.means(study, bootstrap, groups=groups, metrics=metrics)
    changes = effects.differences(study, bootstrap, groups=groups, metrics=metrics)
    panels = []
    for metric in metrics:
        conditions = study.main_conditions(LOSSES[metric].direction)
        series = []
        for model in study.models:
            levels = _by_condition(means, model.label, metric)
            change = _by_condition(changes, model.label, metric)
            if model.text_only() or BASELINE not in levels:
                continue
            y = tuple(levels.get(c, {}).get("mean", math.nan) for c in conditions)
            if math.isnan(y[0]):
                continue
            ends = []
            for end in ("low", "high"):
                shifts = (
                    change[c][end] - change[c]["difference"]
                    if c in change
                    else math.nan
                    for c in conditions
                )
                ends.append(tuple(v + s for v, s in zip(y, shifts, strict=True)))
            series.append(Series(label=model.label, y=y, low=ends[0], high=ends[1]))
        if series:
            panels.append(_panel(metric, conditions, tuple(series)))
    if not panels and not or_none:
        raise NotDrawn(
            f"no model that sees both modalities has scores of {_or(metrics)}"
        )
    return panels


def _panel(
    metric: str,
    conditions: tuple[str, ...],
    series: tuple[Series, ...],
    bands: bool = False,
) -> Panel:
    direction = LOSSES[metric].direction
    return Panel(
        title=direction.words.title,
        xlabel=f"Ablated {direction.words.ablated}",
        ylabel=f"{LOSSES[metric].title} (bits)",
        conditions=conditions,
        positions=tuple(Condition.parse(direction, c).axis_name for c in conditions),
        series=series,
        bands=bands,
    )


def _drawn(panels: list[Panel], study: Study, caption: str) -> Drawn:
    labels = [model.label for model in study.models]
    shown = {series.label for panel in panels for series in panel.series}
    lines = [label for label in labels if label in shown]
    absent = [
        note
        for note in selection.not_shown(study, _LABELMATCH)
        if not study.model(note.rsplit(" (", 1)[0]).text_only()
    ]
    if absent and any(
        panel.title.startswith(Direction.LANG4VIS.words.title) for panel in panels
    ):
        caption += f" Without a region loss to show: {'; '.join(absent)}."
    several = [f"{m.label} {len(m.runs)}" for m in study.models if len(m.runs) > 1]
    if several and not any(panel.bands for panel in panels):
        caption += f" Means over seeds ({', '.join(several)})."
    return Drawn(
        figure=draw(panels, lines, _WIDTH), table=table(panels), caption=caption
    )


def _by_condition(
    frame: pd.DataFrame, label: str, metric: str
) -> dict[str, dict[str, Any]]:
    if frame.empty:
        return {}
    rows = frame[(frame["model"] == label) & (frame["metric"] == metric)]
    return {row["condition"]: row for row in rows.to_dict("records")}


def _mean(bits: np.ndarray | None) -> float:
    return math.nan if bits is None else float(np.nanmean(bits, dtype=np.float64))


def _or(metrics: Sequence[str]) -> str:
    return " or ".join(LOSSES[metric].title for metric in metrics)


def _and(names: Sequence[str]) -> str:
    return " and ".join(names)
