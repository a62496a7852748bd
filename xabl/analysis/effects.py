"""What ablating changes: means, differences to `none`, relative increases (in bits).

Every function gives a tidy data frame, one row per number. A number that cannot be
given is NaN, and the column `gap` says why. Intervals (`low`, `high`) are 95%
percentile intervals over resampled images: of these very models; NaN where `images`,
how many a number is over, are too few (`results.intervals`). Where a label has three
seeds or more, `seeds_low` and `seeds_high` are of models trained like them
(`bootstrap.over_seeds`). `guessing` says that a model does no better than guessing by
frequency (`results.yardsticks`): its numbers then say nothing of a use of a modality,
and its `evidence` is none.
"""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool

from xabl.analysis.bootstrap import (
    FEWEST_SEEDS,
    ImageBootstrap,
    over_seeds,
    p_values,
    paired,
)
from xabl.analysis.study import Model, Study
from xabl.analysis.verdicts import effect_evidence
from xabl.results.conditions import BASELINE, Condition, Direction, Level
from xabl.results.losses import BY_WORD, LOSSES
from xabl.results.resampling import RESAMPLES

MOST_PIECES = 4  # phrases of that many target pieces or more are one group
# A group of examples by name; None: all of them.
Groups = Sequence[tuple[str, Bool[np.ndarray, " examples"] | None]]
_ALL: Groups = (("all", None),)
_Cell = tuple[Model, str, str]  # model, metric, condition


def bootstrap_of(
    study: Study, resamples: int = RESAMPLES, seed: int = 0
) -> ImageBootstrap:
    """The resamples that all tables of a study share."""
    return ImageBootstrap(study.images, resamples=resamples, seed=seed)


def by_phrase_type(study: Study) -> Groups:
    """Examples by their phrase's first type, the largest group first."""
    names, counts = np.unique(study.phrase_types.astype(str), return_counts=True)
    order = np.lexsort((names, -counts))
    return [(str(names[i]), study.phrase_types == names[i]) for i in order]


def by_target_pieces(study: Study) -> Groups:
    """Examples by the number of tokens to predict.

    Empty without vis4lang, and where models have tokens of different vocabularies.
    """
    if study.word_loss == BY_WORD:
        return []
    pieces = study.fact("target_pieces", Direction.VIS4LANG, BASELINE)
    if pieces is None:
        return []
    groups = [(str(count), pieces == count) for count in range(1, MOST_PIECES)]
    groups.append((f"{MOST_PIECES}+", pieces >= MOST_PIECES))
    return [(name, use) for name, use in groups if use.any()]


def means(
    study: Study,
    bootstrap: ImageBootstrap,
    *,
    groups: Groups = _ALL,
    metrics: Sequence[str] | None = None,
) -> pd.DataFrame:
    """The mean of every metric under every condition.

    Columns: model, seeds (how many), direction, metric, condition, group, mean, low,
    high, n (examples averaged), images, gap.
    """
    cells = _cells(study, metrics)
    values = stack(study, [bits_of(study, *cell) for cell in cells])
    tables = []
    for group, use in groups:
        draws = bootstrap.means(values, use)
        low, high = draws.interval()
        tables.append(
            _keys(cells).assign(
                group=group,
                mean=draws.estimate,
                low=low,
                high=high,
                n=_counts(values, use),
                images=draws.images,
                gap=[model.cell(metric, name).gap for model, metric, name in cells],
            )
        )
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def differences(
    study: Study,
    bootstrap: ImageBootstrap,
    *,
    groups: Groups = _ALL,
    metrics: Sequence[str] | None = None,
) -> pd.DataFrame:
    """How much each ablation changes each loss, against `none` of the same examples.

    Columns: those of `means` with `none` (the loss unablated, over the examples scored
    under both), difference, low, high, seeds_low, seeds_high, relative (difference /
    none), relative_low, relative_high, p (two-sided: `bootstrap.p_values`), evidence
    (higher, lower, negligible, no evidence, not measured or a guess:
    `verdicts.effect_evidence` of low and high), guessing, main (whether the loss is the
    one that answers in this model).
    """
    cells = [cell for cell in _cells(study, metrics) if cell[2] != BASELINE]
    intact = [(model, metric, BASELINE) for model, metric, _ in cells]
    first, second = paired(
        *(
            stack(study, [bits_of(study, *cell) for cell in of])
            for of in (cells, intact)
        )
    )
    gaps = [
        model.cell(metric, name).gap or model.cell(metric, BASELINE).gap
        for model, metric, name in cells
    ]
    guesses = [model.guesses(LOSSES[metric].direction) for model, metric, _ in cells]
    main = [m.main_loss(LOSSES[metric].direction) == metric for m, metric, _ in cells]
    tables = []
    for group, use in groups:
        none = bootstrap.means(second, use)
        # The mean difference itself, not a difference of two rounded means: a model
        # that cannot see the ablation gives exactly 0.
        difference = bootstrap.means(first - second, use)
        relative = difference / none
        low, high = difference.interval()
        relative_low, relative_high = relative.interval()
        seeds_low, seeds_high = _over_seeds(study, cells, bootstrap, use)
        tables.append(
            _keys(cells).assign(
                group=group,
                none=none.estimate,
                difference=difference.estimate,
                low=low,
                high=high,
                seeds_low=seeds_low,
                seeds_high=seeds_high,
                relative=relative.estimate,
                relative_low=relative_low,
                relative_high=relative_high,
                p=p_values(difference),
                evidence=list(
                    map(effect_evidence, low.tolist(), high.tolist(), guesses)
                ),
                n=_counts(first, use),
                images=difference.images,
                guessing=guesses,
                main=main,
                gap=gaps,
            )
        )
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def thresholds(study: Study, bootstrap: ImageBootstrap) -> pd.DataFrame:
    """The loss of words by overlap threshold, with the share of regions ablated.

    Columns: those of `means`, threshold (NaN for none and all) and ablated_share (mean
    over examples of the share of an image's regions that the condition ablates).
    """
    table = means(study, bootstrap, metrics=(study.word_loss,))
    if table.empty:
        return table
    known = {
        name: Condition.parse(Direction.VIS4LANG, name)
        for name in table["condition"].unique()
    }
    in_published_way = [known[name].way is None for name in table["condition"]]
    table = table[in_published_way].reset_index(drop=True)
    found = [known[name].threshold for name in table["condition"]]
    table["threshold"] = [math.nan if value is None else value for value in found]
    shares = {c: ablated_share(study, c) for c in table["condition"].unique()}
    table["ablated_share"] = [shares[c] for c in table["condition"]]
    return table


def ablated_share(study: Study, condition: str) -> float:
    """Mean share of an image's regions that a vis4lang condition ablates.

    NaN unless both it and `all` (which counts the regions) were run.
    """
    ablated, regions = (
        study.fact("ablated_regions", Direction.VIS4LANG, name)
        for name in (condition, Level.ALL.value)
    )
    if ablated is None or regions is None:
        return 0.0 if condition == BASELINE and regions is not None else math.nan
    return float(np.nanmean(ablated / regions))


def _over_seeds(
    study: Study,
    cells: Sequence[_Cell],
    bootstrap: ImageBootstrap,
    use: Bool[np.ndarray, " examples"] | None,
) -> tuple[list[float], list[float]]:
    """Ends of the intervals over seeds and images of every cell's difference."""
    ends = []
    for model, group in itertools.groupby(cells, key=lambda cell: cell[0]):
        own, seeds = list(group), model.by_seed()
        if len(seeds) < FEWEST_SEEDS:
            ends += [(math.nan, math.nan)] * len(own)
            continue
        columns = [
            bits_of(study, one, metric, name) - bits_of(study, one, metric, BASELINE)
            for _, metric, name in own
            for one in seeds
        ]
        draws = bootstrap.means(np.stack(columns, axis=1), use)
        for start in range(0, len(columns), len(seeds)):
            spread = over_seeds(draws[start : start + len(seeds)])
            ends.append((spread.low, spread.high))
    return [low for low, _ in ends], [high for _, high in ends]


def _cells(study: Study, metrics: Sequence[str] | None) -> list[_Cell]:
    """Model, metric, condition in the order of the tables.

    A text-only model has its one condition; others have every condition of the study,
    so that what was not run shows as a gap.
    """
    wanted = [m for m in study.metrics() if metrics is None or m in metrics]
    cells = []
    for model in study.models:
        for metric in wanted:
            conditions = study.conditions(LOSSES[metric].direction)
            if model.text_only():
                words = LOSSES[metric].direction is Direction.VIS4LANG
                conditions = (BASELINE,) if words else ()
            cells += [(model, metric, condition) for condition in conditions]
    return cells


def bits_of(study: Study, model: Model, metric: str, condition: str) -> np.ndarray:
    """A loss of every example in bits, the mean over seeds; NaN where not known."""
    bits = model.cell(metric, condition).bits
    return np.full(study.num_examples, np.nan, np.float32) if bits is None else bits


def stack(study: Study, columns: Sequence[np.ndarray]) -> np.ndarray:
    """Columns side by side, [examples, columns], though there be none."""
    if not columns:
        return np.empty((study.num_examples, 0), np.float32)
    return np.stack(columns, axis=1)


def _counts(values: np.ndarray, use: np.ndarray | None) -> np.ndarray:
    present = ~np.isnan(values)
    return present.sum(axis=0) if use is None else present[use].sum(axis=0)


def _keys(cells: Sequence[_Cell]) -> pd.DataFrame:
    """The columns that say which number a row holds."""
    return pd.DataFrame(
        {
            "model": [model.label for model, _, _ in cells],
            "seeds": [len(model.runs) for model, _, _ in cells],
            "direction": [LOSSES[metric].direction.value for _, metric, _ in cells],
            "metric": [metric for _, metric, _ in cells],
            "condition": [condition for _, _, condition in cells],
        }
    )
