"""Every model beside guessing, and beside a text-only one where there are results."""

import math

import numpy as np
import pandas as pd

from xabl.analysis.study import Study
from xabl.results.conditions import BASELINE
from xabl.results.intervals import no_interval
from xabl.results.yardsticks import of_manifest


def yardsticks(study: Study) -> pd.DataFrame:
    """What each run loses with nothing removed, beside what guessing loses (bits).

    Columns: model, seed, metric, intact, unigram, difference (intact - unigram), low,
    high (its 95% interval over images, NaN: too few), images, uniform, text_only (the
    mean of the study's first text-only model, NaN without one, and where its vocabulary
    is another), no_better (than unigram).
    Empty for results that do not know what guessing loses.
    """
    text_only = next((model for model in study.models if model.text_only()), None)
    rows = []
    for run in study.runs:
        for metric, field in of_manifest(run.manifest).items():
            cell = text_only and text_only.cell(metric, BASELINE)
            known = cell is not None and cell.bits is not None
            both = (text_only, study.model(run.label))
            known = known and study.comparable(metric, both)
            images = field.get("images", len(np.unique(study.images.astype(str))))
            few = no_interval(images)
            rows.append(
                {
                    "model": run.label,
                    "seed": run.seed,
                    "metric": metric,
                    "intact": field["intact"],
                    "unigram": field["unigram"],
                    "difference": field["intact"] - field["unigram"],
                    "low": math.nan if few else field["low"],
                    "high": math.nan if few else field["high"],
                    "images": images,
                    "uniform": field["uniform"],
                    "text_only": float(np.nanmean(cell.bits)) if known else math.nan,
                    "no_better": field["warning"] is not None,
                }
            )
    table = pd.DataFrame(rows)
    numbers = [name for name in ("low", "high", "uniform") if name in table]
    return table.astype(dict.fromkeys(numbers, float))
