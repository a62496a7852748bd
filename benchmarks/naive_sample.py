"""A random part of the naive way, timed in turns with ours."""

import dataclasses
import time

import jax
import numpy as np

from benchmarks.part import Part
from xabl.ablation.any_model import flax_model
from xabl.ablation.definition import BATCH_SIZE, Definition
from xabl.ablation.engine.pair_scores import AblationScores
from xabl.ablation.inputs import Inputs
from xabl.ablation.plan import Plan
from xabl.data.regions.image_regions import StackedRegions
from xabl.results.conditions import Condition


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Batch:
    """Up to `BATCH_SIZE` examples, by number, under one condition."""

    examples: np.ndarray
    condition: Condition


class NaiveSample:
    """Batches of the naive way, drawn at random among all of them.

    seconds: taken so far by the batches scored.
    """

    def __init__(
        self,
        inputs: Inputs,
        params: dict,
        regions: StackedRegions | None,
        part: Part,
        num_inputs: int,
    ):
        """Draws about `num_inputs` inputs of the part; compiles and runs once."""
        self.plan: Plan = inputs.plan
        config = inputs.config
        self._naive = Definition(
            model=flax_model(config, jax.device_put(params, jax.local_devices()[0])),
            regions=regions,
            average=None if inputs.store is None else inputs.store.average,
            mask_id=inputs.word_pieces.mask_id,
            target=next(iter(config.visual_targets), None),
        )
        whole = max(1, len(part.examples) // BATCH_SIZE)
        every = [
            _Batch(examples=examples, condition=condition)
            for examples in np.array_split(part.examples[: whole * BATCH_SIZE], whole)
            for condition in self.plan.conditions
        ]
        count = min(len(every), -(-num_inputs // BATCH_SIZE))
        drawn = np.random.default_rng(0).choice(len(every), count, replace=False)
        self._left = [every[number] for number in drawn]
        self._done: list[tuple[_Batch, dict[str, np.ndarray]]] = []
        self.seconds = 0.0
        # A condition of each direction: its programs are compiled here.
        for condition in {c.direction: c for c in self.plan.conditions}.values():
            self._score(_Batch(examples=every[0].examples, condition=condition))

    def __len__(self) -> int:
        """Batches that are left."""
        return len(self._left)

    @property
    def num_scored(self) -> int:
        """Inputs scored so far."""
        return sum(len(next(iter(losses.values()))) for _, losses in self._done)

    def take_turn(self) -> None:
        """Scores the next batch."""
        batch = self._left.pop()
        begin = time.perf_counter()
        losses = self._score(batch)
        self.seconds += time.perf_counter() - begin
        self._done.append((batch, losses))

    def largest_difference(self, scores: AblationScores) -> tuple[float, float]:
        """Between its losses and ours, among all that both have; and that loss.

        In nats. What rounding does grows with the loss, and a model that was never
        trained has large ones.
        """
        largest, of_loss = 0.0, 0.0
        for batch, losses in self._done:
            column = self.plan.conditions.index(batch.condition)
            for name, loss in losses.items():
                ours = scores.loss(name)
                difference = np.abs(ours[batch.examples, column] - loss)
                where = int(np.argmax(np.nan_to_num(difference)))
                if difference[where] > largest:
                    largest, of_loss = float(difference[where]), float(loss[where])
        return largest, of_loss

    def _score(self, batch: _Batch) -> dict[str, np.ndarray]:
        examples = [self.plan.examples[number] for number in batch.examples]
        return self._naive.losses(examples, batch.condition)
