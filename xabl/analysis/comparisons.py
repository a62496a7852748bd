"""Seeds, pairs of models, and the published numbers beside one's own (all in bits)."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from xabl.analysis.bootstrap import (
    CONFIDENCE,
    FEWEST_SEEDS,
    Draws,
    ImageBootstrap,
    Spread,
    over_seeds,
    p_values,
    paired,
)
from xabl.analysis.effects import bits_of, stack
from xabl.analysis.study import Model, Study
from xabl.analysis.verdicts import evidence
from xabl.results.conditions import BASELINE, Direction
from xabl.results.losses import LOSSES
from xabl.results.published import NUM_EXAMPLES, PUBLISHED, SPLIT, PublishedRow
from xabl.results.reading import Run


def run_means(study: Study) -> pd.DataFrame:
    """The mean of every run by itself, in the published tables' terms.

    Columns: model, seed, direction, metric, condition, mean, n, excluded, gap.
    """
    rows = []
    for run in study.runs:
        for metric in study.metrics():
            direction = LOSSES[metric].direction.value
            for condition in study.conditions(direction):
                cell = run.cell(metric, condition)
                bits = None if cell.bits is None else cell.bits[~np.isnan(cell.bits)]
                excluded = run.excluded_counts(direction, condition)
                rows.append(
                    {
                        "model": run.label,
                        "seed": run.seed,
                        "direction": direction,
                        "metric": metric,
                        "condition": condition,
                        "mean": (
                            math.nan if bits is None else bits.mean(dtype=np.float64)
                        ),
                        "n": 0 if bits is None else len(bits),
                        "excluded": sum(excluded.values()),
                        "gap": cell.gap,
                    }
                )
    table = pd.DataFrame(rows)
    table["seed"] = table["seed"].astype("Int64")
    return table


def seeds(study: Study) -> pd.DataFrame:
    """Mean and spread over the pretraining seeds of each model.

    Columns: model, metric, condition, seeds, mean, sd (n - 1), smallest, largest, low,
    high (95% t interval of the mean over seeds), missing (seeds that other models have
    or that have a gap, comma-separated).
    """
    table = run_means(study)
    absent = study.missing_seeds()
    rows = []
    for (label, metric, condition), group in table.groupby(
        ["model", "metric", "condition"], sort=False
    ):
        if study.model(label).text_only() and group["mean"].isna().all():
            continue
        means = group["mean"].dropna().to_numpy(float)
        gaps = group.loc[group["mean"].isna(), "seed"].dropna().tolist()
        if not len(means):
            gaps = []  # the model has no such score at all: no seed is special
        count = len(means)
        sd = means.std(ddof=1) if count > 1 else math.nan
        half = (
            stats.t.ppf((1 + CONFIDENCE) / 2, count - 1) * sd / math.sqrt(count)
            if count > 1
            else math.nan
        )
        mean = means.mean() if count else math.nan
        missing = sorted({*absent.get(label, ()), *map(int, gaps)})
        rows.append(
            {
                "model": label,
                "metric": metric,
                "condition": condition,
                "seeds": count,
                "mean": mean,
                "sd": sd,
                "smallest": means.min() if count else math.nan,
                "largest": means.max() if count else math.nan,
                "low": mean - half,
                "high": mean + half,
                "missing": ", ".join(map(str, missing)),
            }
        )
    return pd.DataFrame(rows)


def compare_models(
    study: Study,
    bootstrap: ImageBootstrap,
    pairs: Sequence[tuple[str, str]] | None = None,
    metrics: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Pairs of models on the same examples and resamples; by default every pair.

    By default the loss of each direction is the one that answers in both models
    (`Study.shared_loss`). A loss that means another thing in each, as one by token of
    different vocabularies, is left out even if asked for.

    Two quantities: `loss` (first - second under a condition) and `effect` (what the
    ablation adds to the first - what it adds to the second). Low, high, p and evidence
    are of these very models: images are resampled. Whether models trained like the
    first differ from models trained like the second is said by the columns with
    seeds_: seeds are resampled too (`bootstrap.over_seeds`); NaN, and "not measured",
    where one of them has fewer than three. p is corrected over the whole table (Holm
    1979). Columns: first, second, seeds_first, seeds_second (how many), quantity,
    metric, condition, difference, low, high, p, p_holm, evidence (by the interval and
    p_holm < 0.05), seeds_low, seeds_high, seeds_p, seeds_p_holm, seeds_evidence, n,
    images, guessing (the labels of those that do no better than a guess, as words).

    Raises:
        UserError: a label without results.
    """
    if pairs is None:
        models = list(itertools.combinations(study.models, 2))
    else:
        models = [(study.model(a), study.model(b)) for a, b in pairs]
    keys, columns, spreads, guessing = [], [], [], []
    for first, second in models:
        both = (first, second)
        for metric in _shared(study, both) if metrics is None else metrics:
            if not study.comparable(metric, both):
                continue
            guesses = [m.label for m in both if m.guesses(LOSSES[metric].direction)]
            for condition in study.main_conditions(LOSSES[metric].direction):
                for quantity in ("loss", "effect"):
                    what = (quantity, metric, condition)
                    values = _difference(first, second, *what)
                    if values is None:
                        continue
                    sizes = len(first.runs), len(second.runs)
                    keys.append((first.label, second.label, *sizes, *what))
                    columns.append(values)
                    guessing.append(" and ".join(guesses))
                    use = ~np.isnan(values)
                    spread = Spread(estimate=math.nan)
                    if min(sizes) >= FEWEST_SEEDS:
                        spread = over_seeds(
                            _by_seed(study, first, what, bootstrap, use),
                            _by_seed(study, second, what, bootstrap, use),
                        )
                    spreads.append(spread)
    names = "first second seeds_first seeds_second quantity metric condition"
    table = pd.DataFrame(keys, columns=names.split())
    values = np.stack(columns, axis=1) if columns else np.empty((study.num_examples, 0))
    draws = bootstrap.means(values)
    table["difference"] = draws.estimate
    table["low"], table["high"] = draws.interval()
    table["p"] = p_values(draws)
    table["images"], table["guessing"] = draws.images, guessing
    for name in ("low", "high", "p"):
        table[f"seeds_{name}"] = [getattr(spread, name) for spread in spreads]
    for of in ("", "seeds_"):
        table[f"{of}p_holm"] = holm(table[f"{of}p"].to_numpy(float))
        table[f"{of}evidence"] = [
            evidence(low, high, bool(guess), p)
            for guess, p, low, high in zip(
                guessing,
                *(table[f"{of}{name}"] for name in ("p_holm", "low", "high")),
                strict=True,
            )
        ]
    table["n"] = (~np.isnan(values)).sum(axis=0)
    return table


def _shared(study: Study, models: Sequence[Model]) -> list[str]:
    """The loss of each direction by which these models are compared."""
    found = (study.shared_loss(direction, models) for direction in Direction)
    return [metric for metric in found if metric is not None]


def _by_seed(
    study: Study,
    model: Model,
    what: tuple[str, str, str],
    bootstrap: ImageBootstrap,
    use: np.ndarray,
) -> Draws:
    """A quantity of every seed of a model, over the examples of a comparison."""
    quantity, metric, condition = what
    columns = []
    for one in model.by_seed():
        values = bits_of(study, one, metric, condition)
        if quantity == "effect":
            values = values - bits_of(study, one, metric, BASELINE)
        columns.append(values)
    return bootstrap.means(stack(study, columns), use)


def holm(p: np.ndarray) -> np.ndarray:
    """p-values corrected for how many there are (Holm 1979); NaN counts for none."""
    corrected = np.full(len(p), np.nan)
    order = [i for i in np.argsort(p, kind="stable") if not math.isnan(p[i])]
    largest = 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p[i]))
        corrected[i] = largest
    return corrected


def published(study: Study) -> pd.DataFrame:
    """Each run beside the published row of its configuration, where there is one.

    Columns: model, seed, published_model, published_seed, metric, condition, mean,
    published, difference (mean - published), remark (why the two are not the same
    quantity, empty when they are: same label, seed, split, number of examples).
    """
    rows = []
    for run in study.runs:
        row = PUBLISHED.get(run.label) or PUBLISHED.get(run.name)
        if row is None:
            continue
        remark = _remark(run, row)
        for (metric, condition), bits in row.bits.items():
            cell = run.cell(metric, condition)
            mean = (
                math.nan
                if cell.bits is None
                else float(np.nanmean(cell.bits, dtype=np.float64))
            )
            rows.append(
                {
                    "model": run.label,
                    "seed": run.seed,
                    "published_model": row.model,
                    "published_seed": row.seed,
                    "metric": metric,
                    "condition": condition,
                    "mean": mean,
                    "published": bits,
                    "difference": mean - bits,
                    "remark": "; ".join(filter(None, (cell.gap, remark))),
                }
            )
    columns = (
        "model seed published_model published_seed metric condition mean published "
        "difference remark"
    )
    table = pd.DataFrame(rows, columns=columns.split())
    return table.astype({"seed": "Int64", "published_seed": "Int64"})


def _remark(run: Run, row: PublishedRow) -> str:
    data, remarks = run.manifest["data"], []
    if run.label != row.model:
        remarks.append(f"{run.label}, published {row.model}")
    if data.get("split") != SPLIT:
        remarks.append(f"split {data.get('split')}, published {SPLIT}")
    if len(run.example_ids) != NUM_EXAMPLES:
        remarks.append(f"{len(run.example_ids):,} examples, published {NUM_EXAMPLES:,}")
    if row.seed is not None and run.seed != row.seed:
        seed = "unknown" if run.seed is None else run.seed
        remarks.append(f"seed {seed}, published {row.seed}")
    return "; ".join(remarks)


def _difference(
    first: Model, second: Model, quantity: str, metric: str, condition: str
) -> np.ndarray | None:
    """first - second per example; None where one of them has a gap."""
    wanted = [(condition, 1)]
    if quantity == "effect":
        if condition == BASELINE:
            return None
        wanted.append((BASELINE, -1))
    total = None
    for name, sign in wanted:
        a, b = first.cell(metric, name).bits, second.cell(metric, name).bits
        if a is None or b is None:
            return None
        one, other = paired(a[:, None], b[:, None])
        part = sign * (one - other)[:, 0].astype(np.float64)
        total = part if total is None else total + part
    return total
