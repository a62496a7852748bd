"""Information lost, and being misled by what stays.

Removing the regions that show a phrase can cost more than removing all regions. What
goes when everything goes is information lost; what more goes when only the object goes
is being misled by the regions that stay and show something else. Where what stays
still helps, "misled" is negative.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from xabl.analysis.bootstrap import ImageBootstrap, over_seeds
from xabl.analysis.effects import stack
from xabl.analysis.study import Model, Study
from xabl.analysis.verdicts import evidence
from xabl.results.conditions import BASELINE, Condition, Direction, Level
from xabl.results.reading import Run

QUANTITIES = ("lost", "misled", "share")


def lost_and_misled(study: Study, bootstrap: ImageBootstrap) -> pd.DataFrame:
    """Both in bits, for every model, way of removing regions and overlap threshold.

    For one phrase: lost = loss(all) - loss(none); misled = loss(object@t) - loss(all),
    `all` removed in the same way; all over the phrases scored under the three.
    Columns: model, seeds, way, condition (the object's), threshold; lost, misled (means
    over phrases) and share (of phrases with misled > 0; with several seeds the mean of
    their shares), each with _low, _high, _seeds_low, _seeds_high (see `effects`);
    metric (the loss: `Study.word_loss`), evidence (of misled), guessing, n (phrases),
    images, gap.
    """
    rows = []
    for model in study.models:
        if model.text_only():
            continue
        for name in study.conditions(Direction.VIS4LANG):
            condition = Condition.parse(Direction.VIS4LANG, name)
            if condition.level is Level.OBJECT:
                rows.append(_row(study, model, condition, bootstrap))
    return pd.DataFrame(rows)


def by_phrase(
    run: Run, condition: Condition, metric: str
) -> tuple[Float[np.ndarray, " examples"], Float[np.ndarray, " examples"]] | None:
    """Lost and misled of every phrase in bits, NaN where not scored; None: not run.

    Args:
        condition: one that ablates the object.
        metric: the loss of words.
    """
    cells = [run.cell(metric, name) for name in names(condition)]
    if any(cell.bits is None for cell in cells):
        return None
    none, whole, part = (cell.bits for cell in cells)
    lost, misled = whole - none, part - whole
    missing = np.isnan(lost + misled)
    return np.where(missing, np.nan, lost), np.where(missing, np.nan, misled)


def names(condition: Condition) -> tuple[str, str, str]:
    """The three conditions compared: nothing removed, everything, the object alone."""
    return BASELINE, condition.whole.name, condition.name


def _row(
    study: Study, model: Model, condition: Condition, bootstrap: ImageBootstrap
) -> dict[str, object]:
    metric, guessing = study.word_loss, model.guesses(Direction.VIS4LANG)
    gaps = [model.cell(metric, name).gap for name in names(condition)]
    found = [by_phrase(run, condition, metric) for run in model.runs]
    runs = [pair for pair in found if pair is not None]
    row: dict[str, object] = {
        "model": model.label,
        "seeds": len(model.runs),
        "way": condition.way_name,
        "condition": condition.name,
        "threshold": condition.threshold,
        "metric": metric,
        "guessing": guessing,
    }
    for quantity, columns in zip(QUANTITIES, _columns(study, runs), strict=True):
        draws = bootstrap.means(columns)
        mean, spread = draws.mean(), over_seeds(draws)
        (low,), (high,) = mean.interval()
        row |= {
            quantity: mean.estimate[0],
            f"{quantity}_low": low,
            f"{quantity}_high": high,
            f"{quantity}_seeds_low": spread.low,
            f"{quantity}_seeds_high": spread.high,
            "images": int(mean.images[0]),
        }
    scored = int((~np.isnan(columns)).all(axis=1).sum()) if runs else 0
    return row | {
        "evidence": evidence(row["misled_low"], row["misled_high"], guessing),
        "n": scored,
        "gap": None if runs else next((gap for gap in gaps if gap), "no seed has all"),
    }


def _columns(
    study: Study, runs: Sequence[tuple[np.ndarray, np.ndarray]]
) -> list[np.ndarray]:
    """[examples, runs] of each of `QUANTITIES`; without runs a column of NaN."""
    if not runs:
        return [np.full((study.num_examples, 1), np.nan)] * len(QUANTITIES)
    lost, misled = (stack(study, columns) for columns in zip(*runs, strict=True))
    return [lost, misled, np.where(np.isnan(misled), np.nan, misled > 0)]
