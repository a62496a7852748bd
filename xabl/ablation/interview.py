"""A model that reads anything, asked what `definition` asks of word pieces and regions.

What is hidden and what is asked for are decided there; here it is told to a model as
an `Ablation`, and its answers are made losses.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Shaped

from xabl.ablation import definition
from xabl.ablation.any_input import (
    Ablation,
    AnyInput,
    class_log_probs,
    word_log_probs,
)
from xabl.ablation.examples import PhraseExample
from xabl.ablation.replacement import (
    NO_DONOR,
    Donors,
    regions_instead,
    words_instead,
)
from xabl.data.regions.image_regions import StackedRegions
from xabl.data.whole_words import WholeWords
from xabl.errors import UserError
from xabl.models.visual_targets import VisualTarget
from xabl.results.conditions import Condition, Direction
from xabl.support.image_ids import canonical_id


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Interview:
    """A model and what it is asked about.

    words: the words of `examples`, by number.
    regions: of all images; None for a model that sees no image.
    images: the file of each image, by `canonical_id`; empty if no folder was given.
    donors: of the whole split.
    target: the classes of the detector's regions.
    """

    model: AnyInput
    words: WholeWords
    regions: StackedRegions | None
    images: Mapping[str, Path]
    donors: Donors
    target: VisualTarget

    def losses(
        self, examples: Sequence[PhraseExample], condition: Condition
    ) -> dict[str, Shaped[np.ndarray, "examples ..."]]:
        """Losses in nats by name; NaN where the model cannot be asked.

        Args:
            examples: their pieces are `WholeWords`.

        Returns:
            Beside the losses, by token of the words asked for: `piece_loss`, and
            `piece_word`, the number of its word in the caption; NaN and -1 after the
            last one.

        Raises:
            UserError: an answer that is none.
        """
        asked = [self.ablation(example, condition) for example in examples]
        answers = self.model(asked)
        if not isinstance(answers, Iterable) or isinstance(answers, Mapping):
            raise UserError(
                f"the model returned {type(answers).__name__}; expected a list with "
                "an answer for each ablation"
            )
        answers = list(answers)
        if len(answers) != len(asked):
            raise UserError(
                f"the model gave {len(answers)} answers to {len(asked)} ablations; "
                "expected one for each, None where it cannot be asked"
            )
        names = [
            f"{example.name}, {condition.direction} {condition.name}"
            for example in examples
        ]
        if condition.direction is Direction.VIS4LANG:
            return _word_losses(asked, answers, names)
        return self._class_losses(examples, condition, answers, names)

    def ablation(self, example: PhraseExample, condition: Condition) -> Ablation:
        """One example under one condition, as a model is told it."""
        hidden_words, asked_words = np.zeros((2, len(example.spans)), bool)
        hidden_words[definition.hidden_words(example, condition) - 1] = True
        boxes, hidden = np.zeros((0, 4), np.float32), np.zeros(0, bool)
        region = donor = None
        if self.regions is not None:
            row = self.regions.rows[canonical_id(example.image_id)]
            image = self.regions.image(row)
            boxes = image.boxes
            hidden = definition.hidden_of(image, example, condition)
            found = regions_instead(condition, self.donors, row).donor
            donor = None if found == NO_DONOR else self.regions.image_ids[found]
        if condition.direction is Direction.VIS4LANG:
            asked_words[example.pieces - 1] = True
        else:
            region = int(self._question(example, condition).region)
        instead = words_instead(condition, self.donors, example, self.words.mask_id)
        stand_in = instead.attended and (instead.pieces != self.words.mask_id).all()
        return Ablation(
            image_id=example.image_id,
            image=self.images.get(canonical_id(example.image_id)),
            width=example.img_w,
            height=example.img_h,
            boxes=boxes,
            hidden_boxes=hidden,
            caption=example.sentence,
            spans=example.spans,
            hidden_words=hidden_words,
            asked_words=asked_words,
            asked_region=region,
            way=condition.way_name,
            donor=donor,
            donor_image=donor and self.images.get(canonical_id(donor)),
            words_instead=self.words.words(instead.pieces) if stand_in else (),
        )

    def _class_losses(
        self,
        examples: Sequence[PhraseExample],
        condition: Condition,
        answers: Sequence[object],
        names: Sequence[str],
    ) -> dict[str, Shaped[np.ndarray, " examples"]]:
        said = [
            class_log_probs(answer, self.target.size, name)
            for answer, name in zip(answers, names, strict=True)
        ]
        nothing = np.full(self.target.size, np.nan, np.float32)
        found = np.stack([nothing if one is None else one for one in said])
        asked = [
            dataclasses.replace(
                self._question(example, condition), region=np.array(0, np.int32)
            )
            for example in examples
        ]
        asked = jax.tree.map(lambda *each: np.stack(each), *asked)
        losses = definition.mrc_losses(self.target, found[:, None], asked)
        return {
            **{name: np.asarray(loss) for name, loss in losses.items()},
            "predicted": found.argmax(axis=1).astype(np.int32),
        }

    def _question(
        self, example: PhraseExample, condition: Condition
    ) -> definition.Question:
        image = self.regions.image(self.regions.rows[canonical_id(example.image_id)])
        hidden = definition.hidden_of(image, example, condition)
        return definition.question(example, image, hidden, condition)


def _word_losses(
    asked: Sequence[Ablation], answers: Sequence[object], names: Sequence[str]
) -> dict[str, Shaped[np.ndarray, "examples ..."]]:
    said = [
        word_log_probs(answer, each, name)
        for each, answer, name in zip(asked, answers, names, strict=True)
    ]
    widest = max(sum(map(len, words)) for words in (*said, ()) if words is not None)
    mlm = np.full(len(said), np.nan, np.float32)
    losses = np.full((len(said), max(widest, 1)), np.nan, np.float32)
    words_of = np.full(losses.shape, -1, np.int32)
    for row, (each, words) in enumerate(zip(asked, said, strict=True)):
        if words is None:
            continue
        tokens = -np.concatenate(words)
        mlm[row], losses[row, : len(tokens)] = tokens.mean(), tokens
        words_of[row, : len(tokens)] = np.repeat(
            np.flatnonzero(each.asked_words), [len(word) for word in words]
        )
    return {"mlm": mlm, "piece_loss": losses, "piece_word": words_of}
