"""How much each ablation raises the losses in each setting: the study's table."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from xabl import analysis
from xabl.results.conditions import BASELINE
from xabl.results.losses import PUBLISHED_MAIN
from xabl.synthetic.controls.grid import Setting

METRICS = PUBLISHED_MAIN


def effects(setting: Setting, results: Sequence[Path]) -> pd.DataFrame:
    """Increases of both losses in one setting, in bits: a row for each ablation.

    Columns: the setting's fields, model, seeds, metric, condition, none (loss without
    ablation), increase, low, high (95% interval of the mean over seeds, images
    resampled), smallest, largest (of the seeds' increases), n (examples).
    """
    study = analysis.load_study(list(results))
    bootstrap = analysis.effects.bootstrap_of(study)
    table = analysis.effects.differences(study, bootstrap, metrics=METRICS)
    table = table.rename(columns={"difference": "increase"})
    by_seed = analysis.comparisons.run_means(study)
    ranges = [_seed_range(by_seed, row) for row in table.to_dict("records")]
    table["smallest"], table["largest"] = zip(*ranges, strict=True)
    for position, (name, value) in enumerate(dataclasses.asdict(setting).items()):
        table.insert(position, name, value)
    names = [*dataclasses.asdict(setting), "model", "seeds", "metric", "condition"]
    numbers = ["none", "increase", "low", "high", "smallest", "largest", "n"]
    return table[names + numbers]


def effect_of_labels(
    gold: Sequence[Path], silver: Sequence[Path], metric: str = "mrc_kl"
) -> pd.DataFrame:
    """How much less `all` raises a loss with silver labels than with gold ones.

    The two settings have the same images and captions, so examples are compared one
    by one. Columns: model, gold, silver (the increases), difference, low, high (95%).
    """
    studies = [analysis.load_study(list(results)) for results in (gold, silver)]
    models = [model.label for model in studies[0].models]
    increases = np.stack(
        [_increases(study, label, metric) for study in studies for label in models],
        axis=1,
    )
    draws = analysis.effects.bootstrap_of(studies[0]).means(increases)
    first, second = draws[: len(models)], draws[len(models) :]
    difference = first - second
    low, high = difference.interval()
    return pd.DataFrame(
        {
            "model": models,
            "gold": first.estimate,
            "silver": second.estimate,
            "difference": difference.estimate,
            "low": low,
            "high": high,
        }
    )


def _increases(study: analysis.Study, label: str, metric: str) -> np.ndarray:
    model = study.model(label)
    return model.cell(metric, "all").bits - model.cell(metric, BASELINE).bits


def _seed_range(means: pd.DataFrame, row: dict) -> tuple[float, float]:
    """Smallest and largest increase among a model's seeds."""
    own = means[(means["model"] == row["model"]) & (means["metric"] == row["metric"])]
    by_condition = own.pivot(index="seed", columns="condition", values="mean")
    increases = by_condition[row["condition"]] - by_condition[BASELINE]
    return float(increases.min()), float(increases.max())
