"""Scores and predictions of one run, as the browser reads them."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int64

from xabl.analysis.metrics import BASELINE, METRICS, in_order, mask_name
from xabl.analysis.report.blocks import Block, index_type, pack
from xabl.analysis.report.example_blocks import known_integers, starts
from xabl.analysis.runs import Run, read_scores
from xabl.errors import UserError

PREDICTIONS = "predictions.parquet"
_PREDICTION_COLUMNS = (
    *("example", "direction", "condition", "position", "rank"),
    *("prediction", "probability"),
)
# Losses travel as whole numbers of this many to a bit, probabilities to 1.
LOSS_STEPS = 10_000
PROBABILITY_STEPS = 10_000
NO_SCORE, NOT_FINITE = -(2**31), -(2**31) + 1
NO_PROBABILITY = 2**16 - 1
_DIRECTIONS = ("vis4lang", "lang4vis")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunBlocks:
    """What the page knows of a run at once (`about`), and what it decodes later."""

    about: dict[str, Any]
    scores: Block
    predictions: Block | None


def run_blocks(run: Run, number: int, rows: Int64[np.ndarray, " rows"]) -> RunBlocks:
    """Everything of one run for the rows.

    Raises:
        UserError: its predictions cannot be read or are not of its examples.
    """
    conditions = {d: in_order(run.conditions(d)) for d in _DIRECTIONS}
    cells = [
        (metric, condition)
        for metric, meta in METRICS.items()
        for condition in conditions[meta.direction]
        if (meta.direction, condition, metric) in run.arrays
    ]
    metrics = list(dict.fromkeys(metric for metric, _ in cells))
    scores = _scores_block(run, f"scores-{number}", rows, cells, conditions)
    predictions = _predictions_block(run, f"predictions-{number}", rows, conditions)
    about = {
        "title": run.title,
        "scores": scores.name,
        "predictions": None if predictions is None else predictions.name,
        "metrics": metrics,
        "region_metric": next(
            (m for m in ("mrc_kl_aligned", "mrc_kl") if m in metrics),
            next((m for m in metrics if m != "mlm"), None),
        ),
        "cells": [list(cell) for cell in cells],
        "conditions": {
            direction: list(conditions[direction]) for direction in conditions
        },
        "class_shift": _class_shift(run),
    }
    return RunBlocks(about=about, scores=scores, predictions=predictions)


def condition_names(conditions: Sequence[str], direction: str) -> dict[str, str]:
    """Conditions in words, for menus."""
    words = {
        ("vis4lang", BASELINE): "None: all regions seen",
        ("vis4lang", "all"): "All regions ablated",
        ("lang4vis", BASELINE): "None: all words seen",
        ("lang4vis", "phrase"): "Words of the phrase ablated",
        ("lang4vis", "all"): "All words ablated",
    }
    return {
        condition: words.get((direction, condition))
        or f"Object: overlap above {mask_name(condition)}"
        for condition in conditions
    }


def _scores_block(
    run: Run,
    name: str,
    rows: Int64[np.ndarray, " rows"],
    cells: Sequence[tuple[str, str]],
    conditions: dict[str, tuple[str, ...]],
) -> Block:
    """losses [rows cells] in steps, reasons [rows conditions], counts of regions."""
    losses = np.full((len(rows), len(cells)), NO_SCORE, "<i4")
    for column, (metric, condition) in enumerate(cells):
        values = run.arrays[METRICS[metric].direction, condition, metric][rows]
        steps = np.clip(np.nan_to_num(values) * LOSS_STEPS, -(2**30), 2**30)
        losses[:, column] = np.where(np.isnan(values), NO_SCORE, np.rint(steps))
    reasons, why, not_finite = _outcomes(run, rows, cells, conditions)
    losses[not_finite] = NOT_FINITE
    ablated = [
        known_integers(run.arrays.get(("vis4lang", c, "ablated_regions")), rows)
        for c in conditions["vis4lang"]
    ]
    facts = {
        key: known_integers(run.fact(column, "lang4vis", BASELINE), rows)
        for key, column in (("target", "target_region"), ("silver", "silver_class"))
    }
    arrays = {
        "losses": losses,
        "reasons": reasons,
        "ablated": np.stack(ablated, axis=1) if ablated else np.zeros(0, "<i2"),
        **facts,
    }
    return pack(name, arrays, {"why": why})


def _outcomes(
    run: Run,
    rows: Int64[np.ndarray, " rows"],
    cells: Sequence[tuple[str, str]],
    conditions: dict[str, tuple[str, ...]],
) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Why examples have no score (0: they have), the reasons, and non-finite losses."""
    table = read_scores(run.directory)
    position = np.searchsorted(run.example_ids, table["example"].to_numpy())
    row_of = np.full(len(run.example_ids), -1)
    row_of[rows] = np.arange(len(rows))
    row = row_of[position]
    order = [(d, c) for d in _DIRECTIONS for c in conditions[d]]
    where = _keys(table, order)
    excluded = table["excluded"].combine_chunks().dictionary_encode()
    codes = excluded.indices.fill_null(-1).to_numpy() + 1
    reasons = np.zeros((len(rows), len(order)), index_type(int(codes.max(initial=0))))
    here = (row >= 0) & (where >= 0)
    reasons[row[here], where[here]] = codes[here]
    not_finite = np.zeros((len(rows), len(cells)), bool)
    for column, (metric, condition) in enumerate(cells):
        place = order.index((METRICS[metric].direction, condition))
        values = table[metric]
        bad = ~np.isfinite(values.to_numpy()) & ~values.is_null().to_numpy()
        bad &= here & (where == place) & (codes == 0)
        not_finite[row[bad], column] = True
    return reasons, ["", *map(str, excluded.dictionary.to_pylist())], not_finite


def _keys(table: pa.Table, order: Sequence[tuple[str, str]]) -> np.ndarray:
    """Index into `order` of each row's direction and condition; -1 if not in it."""
    direction = table["direction"].combine_chunks().dictionary_encode()
    condition = table["condition"].combine_chunks().dictionary_encode()
    place = {key: index for index, key in enumerate(order)}
    lookup = np.array(
        [
            [place.get((d, c), -1) for c in condition.dictionary.to_pylist()]
            for d in direction.dictionary.to_pylist()
        ]
    )
    if not lookup.size:
        return np.zeros(0, np.int64)
    return lookup[direction.indices.to_numpy(), condition.indices.to_numpy()]


def _predictions_block(
    run: Run,
    name: str,
    rows: Int64[np.ndarray, " rows"],
    conditions: dict[str, tuple[str, ...]],
) -> Block | None:
    """For each direction its `_ranked` arrays; words: texts by id, from 1.

    None when the run kept no predictions.
    """
    path = run.directory / PREDICTIONS
    if not path.is_file():
        return None
    table = _read_predictions(path)
    examples = table["example"].to_numpy()
    position = np.searchsorted(run.example_ids, examples)
    position = np.minimum(position, len(run.example_ids) - 1)
    if (run.example_ids[position] != examples).any():
        raise UserError(
            f"{path}: holds predictions of examples that have no scores; run "
            "experiments.ablate again"
        )
    row_of = np.full(len(run.example_ids), -1)
    row_of[rows] = np.arange(len(rows))
    shown = row_of[position] >= 0
    table, row = table.filter(pa.array(shown)), row_of[position[shown]]
    ranks = int(table["rank"].to_numpy().max(initial=0))
    words = table["prediction"].combine_chunks().dictionary_encode()
    arrays: dict[str, np.ndarray] = {}
    for direction in _DIRECTIONS:
        where = _keys(table, [(direction, c) for c in conditions[direction]])
        keep = (where >= 0) & (table["rank"].to_numpy() >= 1)
        found = _Predictions(
            row=row[keep],
            position=table["position"].to_numpy()[keep].astype(np.int64),
            condition=where[keep],
            rank=table["rank"].to_numpy()[keep] - 1,
            word=words.indices.to_numpy()[keep] + 1,
            probability=table["probability"].to_numpy()[keep],
        )
        sizes = (len(rows), len(conditions[direction]), ranks, len(words.dictionary))
        for key, array in _ranked(found, sizes).items():
            arrays[f"{direction}_{key}"] = array
    return pack(name, arrays, {"words": words.dictionary.to_pylist(), "ranks": ranks})


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Predictions:
    """Columns of equal length; rank and condition count from 0, word from 1."""

    row: np.ndarray
    position: np.ndarray
    condition: np.ndarray
    rank: np.ndarray
    word: np.ndarray
    probability: np.ndarray


def _ranked(
    found: _Predictions, sizes: tuple[int, int, int, int]
) -> dict[str, np.ndarray]:
    """Where each row's targets start, their positions, and ids and probabilities
    [targets conditions ranks]; id 0 is no prediction.

    Args:
        sizes: rows, conditions, ranks, words.
    """
    rows, conditions, ranks, words = sizes
    # Targets: the distinct pairs of row and position, in order.
    targets, target = np.unique(found.row * 2**16 + found.position, return_inverse=True)
    ids = np.zeros((len(targets), conditions, ranks), index_type(words))
    probabilities = np.full(ids.shape, NO_PROBABILITY, "<u2")
    slot = (target, found.condition, found.rank)
    ids[slot] = found.word
    finite = np.isfinite(found.probability)
    shares = np.clip(np.where(finite, found.probability, 0), 0, 1)
    steps = np.rint(shares * PROBABILITY_STEPS)
    probabilities[slot] = np.where(finite, steps, NO_PROBABILITY)
    counts = np.bincount(targets // 2**16, minlength=rows)
    return {
        "starts": starts(counts.tolist()),
        "positions": (targets % 2**16).astype("<u2"),
        "ids": ids,
        "probabilities": probabilities,
    }


def _read_predictions(path: Path) -> pa.Table:
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: not a readable Parquet file ({error})") from error
    missing = set(_PREDICTION_COLUMNS) - set(table.column_names)
    if missing:
        raise UserError(
            f"{path}: no column {', '.join(sorted(missing))}; run experiments.ablate "
            "again with --save_predictions"
        )
    return table.select(_PREDICTION_COLUMNS).drop_null()


def _class_shift(run: Run) -> int:
    """What to add to a predicted class for its line among the detector's classes.

    Only objective 0 has the background as class 0; the others begin with the objects.
    """
    config = run.manifest["model"].get("config") or {}
    weights = config.get("visual_target_weights") or {}
    objectives = [name for name, weight in dict(weights).items() if weight > 0]
    return 0 if objectives[:1] in ([], ["0"]) else 1
