"""A model that reads anything, asked what `definition` asks of word pieces and regions.

What is hidden and what is asked for are decided there; here it is told to a model as
an `Ablation`, and its answers are made losses.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float, Shaped

from xabl.ablation import definition
from xabl.ablation.any_input import (
    Ablation,
    AnyInput,
    class_log_probs,
    word_log_probs,
)
from xabl.ablation.examples import PhraseExample
from xabl.data.regions.image_regions import StackedRegions, canonical_id
from xabl.errors import UserError
from xabl.models.visual_targets import VisualTarget
from xabl.results.conditions import Condition, Direction


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Interview:
    """A model and what it is asked about.

    regions: of all images; None for a model that sees no image.
    images: the file of each image, by `canonical_id`; empty if no folder was given.
    target: the classes of the detector's regions.
    """

    model: AnyInput
    regions: StackedRegions | None
    images: Mapping[str, Path]
    target: VisualTarget

    def losses(
        self, examples: Sequence[PhraseExample], condition: Condition
    ) -> dict[str, Shaped[np.ndarray, "examples ..."]]:
        """Losses in nats by name; NaN where the model cannot be asked.

        Args:
            examples: their pieces are `WholeWords`.

        Returns:
            Beside the losses, by word asked for: `word_nats`, minus the sum over the
            word's tokens, and `word_tokens`, how many tokens those are.

        Raises:
            UserError: an answer that is none.
        """
        asked = [self.ablation(example, condition) for example in examples]
        answers = self.model(asked)
        if len(answers) != len(asked):
            raise UserError(
                f"the model gave {len(answers)} answers to {len(asked)} ablations; "
                "expected one for each, None where it cannot be asked"
            )
        if condition.direction is Direction.VIS4LANG:
            return _word_losses(examples, asked, answers)
        return self._class_losses(examples, condition, answers)

    def ablation(self, example: PhraseExample, condition: Condition) -> Ablation:
        """One example under one condition, as a model is told it."""
        words = example.sentence.split(" ")
        ends = np.cumsum([len(word) + 1 for word in words]) - 1
        spans = np.stack([ends - [len(word) for word in words], ends], axis=1)
        hidden_words, asked_words = np.zeros((2, len(words)), bool)
        hidden_words[definition.hidden_words(example, condition) - 1] = True
        boxes, hidden, region = np.zeros((0, 4), np.float32), np.zeros(0, bool), None
        if self.regions is not None:
            image = self._image(example)
            boxes = image.boxes
            hidden = definition.hidden_regions(example, image, condition)
        if condition.direction is Direction.VIS4LANG:
            asked_words[example.pieces - 1] = True
        else:
            region = int(self._question(example, condition).region)
        return Ablation(
            image_id=example.image_id,
            image=self.images.get(canonical_id(example.image_id)),
            width=example.img_w,
            height=example.img_h,
            boxes=boxes,
            hidden_boxes=hidden,
            caption=example.sentence,
            spans=spans,
            hidden_words=hidden_words,
            asked_words=asked_words,
            asked_region=region,
            way=condition.way_name,
        )

    def _class_losses(
        self,
        examples: Sequence[PhraseExample],
        condition: Condition,
        answers: Sequence[object],
    ) -> dict[str, Float[np.ndarray, " examples"]]:
        size, empty = self.target.size, np.full(self.target.size, np.nan, np.float32)
        found = []
        for example, answer in zip(examples, answers, strict=True):
            said = class_log_probs(answer, size, _name(example, condition))
            found.append(empty if said is None else said)
        asked = [
            dataclasses.replace(
                self._question(example, condition), region=np.array(0, np.int32)
            )
            for example in examples
        ]
        asked = jax.tree.map(lambda *each: np.stack(each), *asked)
        losses = definition.mrc_losses(self.target, np.stack(found)[:, None], asked)
        return {name: np.asarray(loss) for name, loss in losses.items()}

    def _question(
        self, example: PhraseExample, condition: Condition
    ) -> definition.Question:
        image = self._image(example)
        hidden = definition.hidden_regions(example, image, condition)
        return definition.question(example, image, hidden, condition)

    def _image(self, example: PhraseExample):
        return self.regions.image(self._rows[canonical_id(example.image_id)])

    @functools.cached_property
    def _rows(self) -> dict[str, int]:
        ids = map(canonical_id, self.regions.image_ids)
        return {image_id: row for row, image_id in enumerate(ids)}


def _word_losses(
    examples: Sequence[PhraseExample],
    asked: Sequence[Ablation],
    answers: Sequence[object],
) -> dict[str, Shaped[np.ndarray, "examples ..."]]:
    widest = max(int(each.asked_words.sum()) for each in asked)
    mlm = np.full(len(asked), np.nan, np.float32)
    nats = np.full((len(asked), widest), np.nan, np.float32)
    tokens = np.zeros((len(asked), widest), np.int32)
    for row, (example, each, answer) in enumerate(
        zip(examples, asked, answers, strict=True)
    ):
        words = word_log_probs(answer, each, example.name)
        if words is None:
            continue
        mlm[row] = -np.concatenate(words).mean()
        for place, word in enumerate(words):
            tokens[row, place] = len(word)
            nats[row, place] = -word.sum() if len(word) else np.nan
    return {"mlm": mlm, "word_nats": nats, "word_tokens": tokens}


def _name(example: PhraseExample, condition: Condition) -> str:
    return f"{example.name}, {condition.direction} {condition.name}"
