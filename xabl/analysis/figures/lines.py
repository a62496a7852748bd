"""Figures 1 and 3-8: losses by how much was ablated, one line per model."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool

from xabl.analysis import comparisons, effects
from xabl.analysis.bootstrap import ImageBootstrap
from xabl.analysis.figures import selection
from xabl.analysis.figures.panels import Panel, Series, draw, table
from xabl.analysis.figures.style import Drawn, NotDrawn, intervals
from xabl.analysis.labelmatch.tables import LABELMATCH, subsets
from xabl.analysis.study import Study
from xabl.analysis.verdicts import seeds_said
from xabl.errors import UserError
from xabl.results.conditions import BASELINE, Condition, Direction
from xabl.results.losses import LOSSES, PUBLISHED_MAIN, columns_of

_WORDS, _REGIONS = PUBLISHED_MAIN
_LABELMATCH = (_REGIONS, "mrc_xe_vg")
_BARS = (
    "Bars: 95% intervals of the difference to None (images resampled, paired), drawn "
    "around the mean: of these models, not of other seeds"
)
_UNIT = " (bits)"
_WIDTH, _POSITION_WIDTH = 3.5, 1.15


def both_directions(study: Study, bootstrap: ImageBootstrap) -> Drawn:
    """Figure 1: the losses that answer, main models, the text-only baseline dashed."""
    chosen = selection.main_models(study)
    words = chosen.word_loss
    panels = _panels(chosen, bootstrap, chosen.main_metrics())
    text, others = selection.text_baseline(chosen)
    caption = (
        "Loss when the other modality is ablated (baseline: None): "
        f"{'; '.join(chosen.ways_in_words())}. {intervals(bootstrap, _BARS)}"
    )
    if text is not None and panels[0].title == Direction.VIS4LANG.wording.title:
        value = _mean(text.cell(words, BASELINE).bits)
        panels[0] = dataclasses.replace(
            panels[0], reference=(f"{text.label} (text only)", value)
        )
        caption += f" Dashed: {text.label}, which sees the caption alone."
        caption += "".join(
            f" Not drawn: {other.label}, "
            f"{_mean(other.cell(words, BASELINE).bits):.3f} bits."
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
    panels = _panels_of(chosen, spread, chosen.main_metrics(), bands=True)
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


def variants(
    study: Study, bootstrap: ImageBootstrap, *, of: selection.Variants
) -> Drawn:
    """Figures 4 and 5: variants of some models, each beside its baseline."""
    chosen, baselines = selection.with_baselines(study, of)
    panels = _panels(chosen, bootstrap, chosen.main_metrics())
    caption = f"{of.what}; baseline: {_and(baselines)}. {intervals(bootstrap, _BARS)}"
    return _drawn(panels, chosen, caption)


def loss(study: Study, bootstrap: ImageBootstrap) -> Drawn:
    """Figure 6: cross-entropy in place of KL divergence in pretraining.

    The variant's region loss is weighted by the detector's confidence, so that the two
    region losses have an axis each.
    """
    chosen, baselines = selection.with_baselines(study, selection.LOSS)
    is_variant = selection.LOSS.labels.fullmatch
    trained = {
        model.label: "mrc_xe" if is_variant(model.label) else _REGIONS
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
        f"{selection.LOSS.what}; baseline: {_and(baselines)}. Each region loss is the "
        "one its models were trained with; the cross-entropy is weighted by the "
        "detector's confidence, so the two axes cannot be compared. "
        f"{intervals(bootstrap, _BARS)}",
    )


def labelmatch(study: Study, bootstrap: ImageBootstrap, *, subset: str) -> Drawn:
    """Figures 7 and 8: MRC-KL and cross-entropy to the gold class on a subset."""
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
        if subset == LABELMATCH
        else "LabelMatch examples on which the detector's top class is the gold one"
    )
    return _drawn(
        panels,
        chosen,
        f"{subset}: {use.sum():,} {what} (baseline: None). Gold: the class that the "
        "phrase's noun names. Left: divergence from the detector's distribution; "
        f"right: cross-entropy to the gold class. {intervals(bootstrap, _BARS)}",
    )


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
    keys = ["model", "metric", "condition"]
    changes = changes[[*keys, "difference", "low", "high"]]
    table = means[[*keys, "mean"]].merge(changes, how="left", on=keys)
    for end in ("low", "high"):
        table[end] = table["mean"] + (table[end] - table["difference"])
    seeing = tuple(model for model in study.models if not model.text_only())
    panels = _panels_of(dataclasses.replace(study, models=seeing), table, metrics)
    if not panels and not or_none:
        raise NotDrawn(
            f"no model that sees both modalities has scores of {_or(metrics)}"
        )
    return panels


def _panels_of(
    study: Study, rows: pd.DataFrame, metrics: Sequence[str], bands: bool = False
) -> list[Panel]:
    """A panel for each metric; rows: model, metric, condition, mean, low, high."""
    panels = []
    for metric in metrics:
        conditions = study.main_conditions(LOSSES[metric].direction)
        series = []
        for model in study.models:
            own = rows[(rows["model"] == model.label) & (rows["metric"] == metric)]
            own = own.set_index("condition").reindex(conditions)
            ends = (own[name].tolist() for name in ("mean", "low", "high"))
            y, low, high = map(tuple, ends)
            if not math.isnan(y[conditions.index(BASELINE)]):
                series.append(Series(label=model.label, y=y, low=low, high=high))
        if series:
            panels.append(_panel(metric, conditions, tuple(series), bands))
    titles = [panel.title for panel in panels]
    return [
        panel
        if titles.count(panel.title) == 1
        else dataclasses.replace(
            panel, title=f"{panel.title}, {panel.ylabel.removesuffix(_UNIT)}"
        )
        for panel in panels
    ]


def _panel(
    metric: str,
    conditions: tuple[str, ...],
    series: tuple[Series, ...],
    bands: bool = False,
) -> Panel:
    direction = LOSSES[metric].direction
    known = [Condition.parse(direction, name) for name in conditions]
    return Panel(
        title=direction.wording.title,
        xlabel=f"Ablated {direction.wording.ablated}",
        ylabel=f"{LOSSES[metric].title}{_UNIT}",
        conditions=conditions,
        positions=tuple(condition.axis_title for condition in known),
        starts=tuple(
            place
            for place in range(1, len(known))
            if known[place].way != known[place - 1].way
        ),
        series=series,
        bands=bands,
    )


def _drawn(panels: list[Panel], study: Study, caption: str) -> Drawn:
    labels = [model.label for model in study.models]
    shown = {series.label for panel in panels for series in panel.series}
    lines = [label for label in labels if label in shown]
    regions = Direction.LANG4VIS.wording.title
    absent = selection.not_shown(study, columns_of(Direction.LANG4VIS))
    if absent and any(panel.title.startswith(regions) for panel in panels):
        caption += f" Without a region loss to show: {'; '.join(absent)}."
    if not any(panel.bands for panel in panels):
        caption += f" {seeds_said({m.label: len(m.runs) for m in study.models})}"
    caption += selection.guesses(study, lines, Direction)
    width = max(_WIDTH, *(_POSITION_WIDTH * len(panel.positions) for panel in panels))
    return Drawn(
        figure=draw(panels, lines, width), table=table(panels), caption=caption
    )


def _mean(bits: np.ndarray | None) -> float:
    return math.nan if bits is None else float(np.nanmean(bits, dtype=np.float64))


def _or(metrics: Sequence[str]) -> str:
    return " or ".join(LOSSES[metric].title for metric in metrics)


def _and(names: Sequence[str]) -> str:
    return " and ".join(names)
