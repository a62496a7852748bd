"""How much arithmetic the steps of an evaluation take, read off their traces.

Tracing a step takes half a second in a full-size model. So it is traced at a few
lengths; between them it is exactly a polynomial: of the second degree in words, which
attend to each other, of the first in targets.
"""

import functools
from collections.abc import Callable

import numpy as np

from xabl.ablation.engine.programs import step_function
from xabl.ablation.engine.schedule import ScoreStep, Shape, TableShape, TableStep
from xabl.ablation.engine.scorer import Scorer
from xabl.ablation.plan import Plan
from xabl.results.conditions import Direction
from xabl.support.arithmetic import matrix_product_flops

_ONE = np.zeros((1, 1), np.int64)  # number 0, on one device


class Operations:
    """Operations of matrix products, for one input or pair."""

    def __init__(
        self,
        scorer: Scorer,
        plan: Plan,
        arguments: Callable[[TableStep | ScoreStep], tuple],
    ):
        """Traces nothing yet.

        Args:
            arguments: shapes of what one device's program of a step is called with.
        """
        self._scorer, self._arguments = scorer, arguments
        self._words = int(plan.words.lengths.max())
        self._boxes = plan.regions.ablated.shape[1]
        self._targets = {
            Direction.VIS4LANG: int(plan.mlm.num_targets.max(initial=1)),
            Direction.LANG4VIS: 1,
        }
        self._traced = functools.cache(self._trace)
        self._polynomial = functools.cache(self._interpolate)
        self._first = Direction.VIS4LANG if len(plan.mlm) else Direction.LANG4VIS

    def score(self, shape: Shape) -> float:
        """One pair: from the tables on, where there are any."""
        polynomial = self._polynomial(shape.direction)
        return float(polynomial @ _powers(shape.words, shape.targets))

    def table(self, shape: TableShape) -> float:
        """One word input or region input of a table."""
        return self._traced(shape)

    @property
    def word(self) -> float:
        """About what one more word adds to a pair: one position's share of it."""
        shape = Shape(direction=self._first, words=self._words, targets=1)
        return self._traced(shape) / (self._words + self._boxes)

    def _trace(self, shape: Shape | TableShape) -> float:
        places = _ONE if self._scorer.has_tables else None
        if isinstance(shape, TableShape):
            step = TableStep(shape=shape, start=0, inputs=_ONE)
        else:
            step = ScoreStep(
                shape=shape, pairs=_ONE, word_places=places, region_places=places
            )
        function = step_function(self._scorer, shape)
        return matrix_product_flops(function, *self._arguments(step))

    def _interpolate(self, direction: Direction) -> np.ndarray:
        """Coefficients of `_powers`, from as many traces as it takes."""
        shapes = [
            Shape(direction=direction, words=words, targets=targets)
            for words in {1, self._words - 1, self._words}
            for targets in {1, self._targets[direction]}
        ]
        traced = [self._traced(shape) for shape in shapes]
        powers = [_powers(shape.words, shape.targets) for shape in shapes]
        return np.linalg.lstsq(np.array(powers), np.array(traced))[0]


def _powers(words: int, targets: int) -> np.ndarray:
    of_words = np.array([1.0, words, words**2])
    return np.concatenate([of_words, targets * of_words])
