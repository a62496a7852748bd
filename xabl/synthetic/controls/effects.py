"""How much each ablation raises the losses in each setting: the study's table."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from xabl import analysis
from xabl.analysis.bootstrap import over_seeds
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
    by one. Columns: model, seeds (the fewer of the two), gold, silver (the increases),
    difference, low, high (95%, images resampled: of these models), seeds_low,
    seeds_high (seeds resampled too: `analysis.bootstrap.over_seeds`).
    """
    studies = [analysis.load_study(list(results)) for results in (gold, silver)]
    models = [model.label for model in studies[0].models]
    bootstrap = analysis.effects.bootstrap_of(studies[0])
    rows = []
    for label in models:
        # A column for each seed.
        first, second = (
            bootstrap.means(_increases(study.model(label), metric)) for study in studies
        )
        difference = first.mean() - second.mean()
        (low,), (high,) = difference.interval()
        spread = over_seeds(first, second)
        rows.append(
            {
                "model": label,
                "seeds": min(len(first.estimate), len(second.estimate)),
                "gold": first.estimate.mean(),
                "silver": second.estimate.mean(),
                "difference": difference.estimate[0],
                "low": low,
                "high": high,
                "seeds_low": spread.low,
                "seeds_high": spread.high,
            }
        )
    return pd.DataFrame(rows)


def _increases(model: analysis.Model, metric: str) -> np.ndarray:
    """What `all` adds for every example and seed."""
    cells = [
        (run.cell(metric, "all"), run.cell(metric, BASELINE)) for run in model.runs
    ]
    return np.stack([whole.bits - none.bits for whole, none in cells], axis=1)


def _seed_range(means: pd.DataFrame, row: dict) -> tuple[float, float]:
    """Smallest and largest increase among a model's seeds."""
    own = means[(means["model"] == row["model"]) & (means["metric"] == row["metric"])]
    by_condition = own.pivot(index="seed", columns="condition", values="mean")
    increases = by_condition[row["condition"]] - by_condition[BASELINE]
    return float(increases.min()), float(increases.max())
