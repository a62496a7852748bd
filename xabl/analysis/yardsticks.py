"""Every model beside guessing, and beside a text-only one where there are results."""

import math

import numpy as np
import pandas as pd

from xabl.analysis.study import Study
from xabl.results.conditions import BASELINE
from xabl.results.yardsticks import of_manifest


def yardsticks(study: Study) -> pd.DataFrame:
    """What each run loses with nothing removed, beside what guessing loses (bits).

    Columns: model, seed, metric, intact, unigram, difference (intact - unigram), low,
    high (its 95% interval over images, NaN: too few), uniform, text_only (the mean of
    the study's first text-only model, NaN without one), no_better (than unigram).
    Empty for results that do not know what guessing loses.
    """
    text_only = next((model for model in study.models if model.text_only()), None)
    rows = []
    for run in study.runs:
        for metric, field in of_manifest(run.manifest).items():
            cell = text_only and text_only.cell(metric, BASELINE)
            known = cell is not None and cell.bits is not None
            rows.append(
                {
                    "model": run.label,
                    "seed": run.seed,
                    "metric": metric,
                    "intact": field["intact"],
                    "unigram": field["unigram"],
                    "difference": field["intact"] - field["unigram"],
                    "low": field["low"],
                    "high": field["high"],
                    "uniform": field["uniform"],
                    "text_only": float(np.nanmean(cell.bits)) if known else math.nan,
                    "no_better": field["warning"] is not None,
                }
            )
    table = pd.DataFrame(rows)
    numbers = [name for name in ("low", "high", "uniform") if name in table]
    return table.astype(dict.fromkeys(numbers, float))
