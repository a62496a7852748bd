"""Scores and predictions of one run, as the browser reads them."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from xabl.analysis.report.blocks import Block, pack
from xabl.analysis.report.example_blocks import known_integers, places, starts
from xabl.analysis.report.word_blocks import words_block
from xabl.models.visual_targets import VISUAL_TARGETS
from xabl.results.columns import rows_by_condition
from xabl.results.conditions import BASELINE, Direction, in_order
from xabl.results.format import PREDICTIONS
from xabl.results.losses import (
    BY_WORD,
    LOSSES,
    PUBLISHED_MAIN,
    columns_of,
    main_loss,
)
from xabl.results.reading import Run, read_file

# Losses travel as whole numbers of this many to a bit, probabilities to 1.
LOSS_STEPS = 10_000
PROBABILITY_STEPS = 10_000
NO_SCORE, NOT_FINITE = -(2**31), -(2**31) + 1
NO_PROBABILITY = 2**16 - 1
_NO_ROWS = np.zeros(0, np.int64)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunBlocks:
    """What the page knows of a run at once (`about`), and what it decodes later."""

    about: dict[str, Any]
    blocks: tuple[Block, ...]


def run_blocks(run: Run, number: int, rows: Int64[np.ndarray, " rows"]) -> RunBlocks:
    """Everything of one run for the rows.

    Raises:
        UserError: its predictions or words cannot be read or are not of its examples.
    """
    conditions = {d.value: in_order(d, run.conditions(d)) for d in Direction}
    # Where models are compared by word, their losses by token would only mislead.
    by_token = {PUBLISHED_MAIN[0]} if BY_WORD in run.columns else set()
    cells = [
        (metric, condition)
        for metric, loss in LOSSES.items()
        if metric not in by_token
        for condition in conditions[loss.direction]
        if (loss.direction, condition, metric) in run.arrays
    ]
    metrics = list(dict.fromkeys(metric for metric, _ in cells))
    scores = _scores_block(run, f"scores-{number}", rows, cells, conditions)
    predictions = _predictions_block(run, f"predictions-{number}", rows, conditions)
    words = words_block(run, f"words-{number}", rows, conditions)
    about = {
        "title": run.title,
        "scores": scores.name,
        "predictions": predictions and predictions.name,
        "words": words and words.name,
        "metrics": metrics,
        "main_losses": {d.value: _shown_loss(d, metrics) for d in Direction},
        "hides": run.hides,
        "cells": [list(cell) for cell in cells],
        "conditions": {
            direction: list(conditions[direction]) for direction in conditions
        },
        "class_shift": _class_shift(run),
    }
    blocks = (scores, predictions, words)
    return RunBlocks(about=about, blocks=tuple(block for block in blocks if block))


def _shown_loss(direction: Direction, metrics: Sequence[str]) -> str | None:
    """The loss that answers, else any."""
    found = columns_of(direction, metrics)
    return main_loss(direction, metrics) or next(iter(found), None)


def _scores_block(
    run: Run,
    name: str,
    rows: Int64[np.ndarray, " rows"],
    cells: Sequence[tuple[str, str]],
    conditions: dict[str, tuple[str, ...]],
) -> Block:
    """losses [rows cells] in steps; reasons, ablated regions [rows conditions]."""
    losses = np.full((len(rows), len(cells)), NO_SCORE, "<i4")
    for column, (metric, condition) in enumerate(cells):
        values = run.arrays[LOSSES[metric].direction, condition, metric][rows]
        steps = np.clip(np.nan_to_num(values) * LOSS_STEPS, -(2**30), 2**30)
        losses[:, column] = np.where(np.isnan(values), NO_SCORE, np.rint(steps))
        unusable = run.not_finite.get((LOSSES[metric].direction, condition, metric), [])
        losses[np.isin(rows, unusable), column] = NOT_FINITE
    order = [(d, c) for d in conditions for c in conditions[d]]
    reasons = [run.excluded[key][rows] for key in order]
    ablated = [
        known_integers(run.arrays.get((*key, "ablated_regions")), rows) for key in order
    ]
    facts = {
        key: known_integers(run.fact(column, Direction.LANG4VIS, BASELINE), rows)
        for key, column in (("target", "target_region"), ("silver", "silver_class"))
    }
    arrays = {
        "losses": losses,
        "reasons": np.stack(reasons, axis=1).astype(
            np.min_scalar_type(len(run.reasons))
        ),
        "ablated": np.stack(ablated, axis=1),
        **facts,
    }
    return pack(name, arrays, {"why": run.reasons})


def _predictions_block(
    run: Run,
    name: str,
    rows: Int64[np.ndarray, " rows"],
    conditions: dict[str, tuple[str, ...]],
) -> Block | None:
    """For each direction: where each row's targets start, their positions, and ids and
    probabilities [targets conditions ranks]. Ids count from 1; 0 is no prediction.

    None when the run kept no predictions.
    """
    if not (run.directory / PREDICTIONS.name).is_file():
        return None
    table = read_file(run.directory, PREDICTIONS).drop_null()
    place = places(run, PREDICTIONS, table, rows)
    table, place = table.filter(pa.array(place >= 0)), place[place >= 0]
    # Targets: the distinct pairs of row and position, in order.
    target = place * 2**16 + table["position"].to_numpy()
    rank = table["rank"].to_numpy()
    ranks = int(rank.max(initial=0))
    words = table["prediction"].combine_chunks().dictionary_encode()
    word, kind = words.indices.to_numpy() + 1, np.min_scalar_type(len(words.dictionary))
    share = table["probability"].to_numpy()
    steps = np.where(
        np.isfinite(share),
        np.rint(np.clip(np.nan_to_num(share), 0, 1) * PROBABILITY_STEPS),
        NO_PROBABILITY,
    )
    rows_of = rows_by_condition(table)
    arrays: dict[str, np.ndarray] = {}
    for direction, names in conditions.items():
        own = [rows_of.get((direction, condition), _NO_ROWS) for condition in names]
        targets = np.unique(target[np.concatenate([_NO_ROWS, *own])])
        ids = np.zeros((len(targets), len(names), ranks), kind)
        probabilities = np.full(ids.shape, NO_PROBABILITY, "<u2")
        for number, here in enumerate(own):
            here = here[rank[here] >= 1]
            slot = (np.searchsorted(targets, target[here]), number, rank[here] - 1)
            ids[slot], probabilities[slot] = word[here], steps[here]
        counts = np.bincount(targets // 2**16, minlength=len(rows))
        arrays |= {
            f"{direction}_starts": starts(counts.tolist()),
            f"{direction}_positions": (targets % 2**16).astype("<u2"),
            f"{direction}_ids": ids,
            f"{direction}_probabilities": probabilities,
        }
    return pack(name, arrays, {"words": words.dictionary.to_pylist(), "ranks": ranks})


def _class_shift(run: Run) -> int:
    """What to add to a predicted class for its line among the detector's classes."""
    try:
        weights = run.manifest["model"]["config"]["visual_target_weights"]
        first = next(name for name, weight in weights.items() if weight > 0)
        return 1 - (VISUAL_TARGETS[first].first_object or 0)  # line 0: background
    except (KeyError, TypeError, AttributeError, StopIteration):
        return 0  # no target, or a configuration of another program
