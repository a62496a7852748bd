"""A function from words and regions to logits, measured as the engine measures ours."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Shaped

from xabl.ablation.any_model import Logits, Model, Regions, Words
from xabl.ablation.definition import Definition, Question
from xabl.ablation.engine.losses import RegionLabels, Scores, mlm_scores, mrc_scores
from xabl.ablation.examples import PhraseExample
from xabl.errors import UserError
from xabl.results.conditions import Condition, Direction
from xabl.results.losses import always_scored


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class RegionReader:
    """A function, and what it is asked about.

    definition: makes its inputs.
    pieces: how many word pieces its vocabulary has.
    widest: how many pieces the longest phrase has: one compiled shape.
    top: most probable predictions to keep for each target.
    """

    definition: Definition
    pieces: int
    widest: int
    top: int

    def losses(
        self, examples: Sequence[PhraseExample], condition: Condition
    ) -> dict[str, Shaped[np.ndarray, "examples ..."]]:
        """Losses in nats by name, predictions, and what else `engine.losses` gives.

        Args:
            examples: up to the definition's `batch_size`.

        Raises:
            UserError: logits of another shape, or not finite.
        """
        asked, logits = self.definition.answers(examples, condition)
        if condition.direction is Direction.VIS4LANG:
            scores = self._of_words(asked, logits.words)
        else:
            scores = self._of_regions(asked, logits.regions)
        values = {name: np.asarray(v)[: len(examples)] for name, v in scores.items()}
        losses = values[always_scored(condition.direction)]
        for example, loss in zip(examples, losses, strict=True):
            if not np.isfinite(loss):
                raise UserError(
                    f"{example.name}, {condition.direction} {condition.name}: the loss "
                    f"is {loss}: the model gave logits that are not finite"
                )
        return values

    def _of_words(self, asked: Question, logits: Any) -> Scores:
        shown = _array(logits, asked.pieces.shape, "words")
        if shown.shape[-1] != self.pieces:
            raise UserError(
                f"the model gave logits of {shown.shape[-1]} word pieces, its "
                f"vocabulary has {self.pieces}; give the vocab.txt of this model, or "
                f"leave out what is padding: words=logits[..., :{self.pieces}]"
            )
        positions, labels = np.zeros((2, len(shown), self.widest), np.int32)
        is_target = np.zeros(positions.shape, bool)
        for row, pieces in enumerate(asked.pieces):
            (found,) = np.nonzero(pieces >= 0)
            positions[row, : len(found)] = found
            labels[row, : len(found)] = pieces[found]
            is_target[row, : len(found)] = True
        of_targets = np.take_along_axis(shown, positions[..., None], axis=1)
        return _mlm_scores(of_targets, labels, is_target, self.top)

    def _of_regions(self, asked: Question, logits: Any) -> Scores:
        target = self.definition.target
        shape = (len(asked.region), self.definition.regions.boxes.shape[1])
        shown = _array(logits, shape, "regions")
        if shown.shape[-1] != target.size:
            raise UserError(
                f"the model gave logits of {shown.shape[-1]} classes; visual target "
                f"{target.name} has {target.size}"
            )
        of_target = shown[np.arange(len(shown)), asked.region]
        no_gold = np.full(len(shown), -1, np.int32)
        return _mrc_scores(target, of_target, RegionLabels.of(asked), no_gold, self.top)


def giving_logits(model: Model) -> Model:
    """The function, and a `UserError` where it returns something else."""

    def called(words: Words, regions: Regions | None) -> Logits:
        logits = model(words, regions)
        if not isinstance(logits, Logits):
            raise UserError(
                f"the model returned {type(logits).__name__}; return "
                "xabl.Logits(words=..., regions=...)"
            )
        return logits

    return called


_mlm_scores = jax.jit(mlm_scores, static_argnums=3)
_mrc_scores = jax.jit(mrc_scores, static_argnums=(0, 4))


def _array(
    logits: Any, shape: tuple[int, int], what: str
) -> Float[np.ndarray, "batch positions classes"]:
    """Logits of whatever library."""
    if logits is None:
        raise UserError(
            f"the model gave no logits of {what}; choose what it can be asked with "
            "directions="
        )
    array = np.asarray(logits, np.float32)
    if array.ndim != 3 or array.shape[:2] != shape:
        raise UserError(
            f"the model gave logits of {what} of shape {array.shape}; expected "
            f"{shape} and the number of classes"
        )
    return array
