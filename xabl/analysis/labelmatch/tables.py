"""LabelMatch in numbers: losses on its subsets, the detector's agreement, ranks."""

from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Shaped

from xabl.analysis.bootstrap import ImageBootstrap
from xabl.analysis.effects import bootstrap_of, differences, means
from xabl.analysis.files import write_table, write_text
from xabl.analysis.labelmatch.confusion import (
    CATEGORY_MAPS,
    INTENDED,
    Confusion,
    categories,
    confusion,
)
from xabl.analysis.study import Paths, Study, load_study
from xabl.errors import UserError
from xabl.results.conditions import BASELINE, Direction
from xabl.results.losses import columns_of
from xabl.results.published import CATEGORIES

LABELMATCH, LABELMATCH_AGREE = "LabelMatch", "LabelMatch-agree"
_METRICS = columns_of(Direction.LANG4VIS)


def gold_and_silver(
    study: Study,
) -> tuple[Shaped[np.ndarray, " examples"], Shaped[np.ndarray, " examples"]]:
    """Gold class and detector's top class of each example's target region; NaN: none.

    Raises:
        UserError: the results have no gold labels.
    """
    gold = study.fact("gold_class", Direction.LANG4VIS, BASELINE)
    silver = study.fact("silver_class", Direction.LANG4VIS, BASELINE)
    if gold is None or silver is None:
        raise UserError(
            "no gold labels in these results; make them with xabl labelmatch "
            "and run xabl ablate with --gold_labels"
        )
    return gold, silver


def subsets(study: Study) -> dict[str, Bool[np.ndarray, " examples"]]:
    """LabelMatch, and of it the examples where the detector agrees.

    Raises:
        UserError: the results have no gold labels.
    """
    gold, silver = gold_and_silver(study)
    has_gold = ~np.isnan(gold)
    return {LABELMATCH: has_gold, LABELMATCH_AGREE: has_gold & (gold == silver)}


def subset_means(study: Study, bootstrap: ImageBootstrap) -> pd.DataFrame:
    """`effects.means` of the region metrics; group: LabelMatch, LabelMatch-agree."""
    groups = list(subsets(study).items())
    return means(study, bootstrap, groups=groups, metrics=_METRICS)


def subset_differences(study: Study, bootstrap: ImageBootstrap) -> pd.DataFrame:
    """`effects.differences` of the region metrics on both subsets."""
    groups = list(subsets(study).items())
    return differences(study, bootstrap, groups=groups, metrics=_METRICS)


def agreement(study: Study) -> pd.DataFrame:
    """How often the detector's top class is the gold one, by phrase type and in all.

    Columns: phrase_type, examples, agree, share, phrases (distinct, lower-cased).
    """
    both = subsets(study)
    has_gold, agree = both[LABELMATCH], both[LABELMATCH_AGREE]
    types = study.phrase_types.astype(str)
    rows = []
    for name in ["all", *sorted(set(types[has_gold]))]:
        here = has_gold & ((types == name) | (name == "all"))
        phrases = {phrase.lower() for phrase in study.phrases[here]}
        rows.append(
            {
                "phrase_type": name,
                "examples": int(here.sum()),
                "agree": int((here & agree).sum()),
                "share": (here & agree).sum() / max(1, here.sum()),
                "phrases": len(phrases),
            }
        )
    return pd.DataFrame(rows)


def gold_ranks(study: Study) -> pd.DataFrame:
    """Where each model ranks the gold class, and the probability it gives it.

    Columns: model, condition, group, n, mean_rank, median_rank (1 is the top), top1
    (share ranked first), mean_probability. Seeds are pooled.
    """
    rows = []
    for model in study.models:
        for condition in study.main_conditions(Direction.LANG4VIS):
            for group, use in subsets(study).items():
                ranks, probabilities = (
                    _pooled(model.runs, column, condition, use)
                    for column in ("gold_rank", "gold_probability")
                )
                if len(ranks) and len(probabilities):
                    rows.append(
                        {
                            "model": model.label,
                            "condition": condition,
                            "group": group,
                            "n": len(ranks),
                            "mean_rank": ranks.mean(),
                            "median_rank": np.median(ranks),
                            "top1": (ranks == 1).mean(),
                            "mean_probability": probabilities.mean(),
                        }
                    )
    columns = "model condition group n mean_rank median_rank top1 mean_probability"
    return pd.DataFrame(rows, columns=columns.split())


def confusion_of(study: Study, category_map: str) -> Confusion:
    """Gold against silver, by the published seven categories."""
    gold, silver = gold_and_silver(study)
    labels = [None if np.isnan(label) else int(label) for label in gold]
    category_of = categories(labels, study.phrase_types.tolist(), category_map)
    return confusion(gold, silver, category_of, CATEGORIES)


def write_tables(results: Paths, output: Path) -> str:
    """Writes every LabelMatch table (CSV, Parquet, LaTeX) and says it in words.

    Raises:
        UserError: results that cannot be read, or without gold labels.
    """
    study = load_study(results)
    bootstrap = bootstrap_of(study)
    counts = agreement(study)
    matrices = {name: confusion_of(study, name) for name in CATEGORY_MAPS}
    tables = {
        "labelmatch_means": subset_means(study, bootstrap),
        "labelmatch_differences": subset_differences(study, bootstrap),
        "labelmatch_agreement": counts,
        "labelmatch_gold_ranks": gold_ranks(study),
        **{
            f"confusion_{name}_map": matrix.table() for name, matrix in matrices.items()
        },
    }
    for name, table in tables.items():
        write_table(output, name, table)
    whole = counts.iloc[0]
    text = "".join(f"{line}\n" for line in study.warnings()) + (
        f"LabelMatch: {whole['examples']:,} examples, {whole['phrases']:,} distinct "
        f"phrases; the detector agrees with {whole['agree']:,} of them "
        f"({whole['share']:.2%}).\n"
        f"{matrices[INTENDED].mismatches:,} mismatches, of which "
        f"{matrices[INTENDED].left_out} of categories the matrix does not show.\n"
        "Confusion matrices: rows are gold categories, columns the detector's; "
        "share_of_gold_row divides by the row's gold total, published_share by the "
        "gold total of the column's category.\n"
        + "".join(f"note: {note}\n" for note in study.notes)
    )
    write_text(output / "labelmatch.txt", text)
    return text


def _pooled(runs: tuple, column: str, condition: str, use: np.ndarray) -> np.ndarray:
    found = [run.fact(column, Direction.LANG4VIS, condition) for run in runs]
    kept = [values[use] for values in found if values is not None]
    values = np.concatenate([np.empty(0, np.float32), *kept])
    return values[~np.isnan(values)].astype(np.float64)
