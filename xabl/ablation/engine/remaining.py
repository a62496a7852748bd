"""What is left of a schedule: pairs without scores, and one process's share of them.

Pairs keep their batches, their places in them and the padding, so that a score is the
same to the bit wherever a run was interrupted.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Bool

from xabl.ablation.engine.schedule import EMPTY, ScoreStep, TableStep
from xabl.results.conditions import Direction

Steps = Sequence[TableStep | ScoreStep]


def remaining_steps(
    steps: Steps, done: Mapping[Direction, Bool[np.ndarray, " pairs"]]
) -> list[TableStep | ScoreStep]:
    """The steps with pairs that are not done, and the tables these need."""
    remaining: list[TableStep | ScoreStep] = []
    for segment in _segments(steps):
        tables = [step for step in segment if isinstance(step, TableStep)]
        scored = [
            left
            for step in segment
            if isinstance(step, ScoreStep)
            and ((left := _without(step, done)).pairs != EMPTY).any()
        ]
        if scored:
            remaining += [*tables, *scored]
    return remaining


def share_of_steps(steps: Steps, rows: slice) -> list[TableStep | ScoreStep]:
    """One process's share: of every step the rows of its own devices."""
    fields = ("inputs", "pairs", "word_places", "region_places")

    def share(step: TableStep | ScoreStep) -> TableStep | ScoreStep:
        own = {
            name: value[rows]
            for name in fields
            if (value := getattr(step, name, None)) is not None
        }
        return dataclasses.replace(step, **own)

    return [share(step) for step in steps]


def _segments(steps: Steps) -> Iterator[list[TableStep | ScoreStep]]:
    """Steps that are worked off with the same contents of the tables."""
    segment: list[TableStep | ScoreStep] = []
    for is_table, some in itertools.groupby(
        steps, key=lambda step: isinstance(step, TableStep)
    ):
        if is_table and segment:
            yield segment
            segment = []
        segment += some
    if segment:
        yield segment


def _without(
    step: ScoreStep, done: Mapping[Direction, Bool[np.ndarray, " pairs"]]
) -> ScoreStep:
    is_done = (step.pairs != EMPTY) & done[step.shape.direction][step.pairs]
    return dataclasses.replace(step, pairs=np.where(is_done, EMPTY, step.pairs))
