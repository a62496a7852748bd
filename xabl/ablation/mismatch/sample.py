"""A sample of intact examples, scored as they are and with what is another image's.

`scored` asks one of our models, `asked` a function of one's own: the same questions
about the same examples.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from xabl.ablation.distinct_inputs import NOT_SCORED
from xabl.ablation.engine.device_loop import Evaluation
from xabl.ablation.engine.pair_scores import put_scores
from xabl.ablation.examples import PhraseExample
from xabl.ablation.mismatch.annotations import LEAST_IMAGES
from xabl.ablation.mismatch.scores import Trial
from xabl.ablation.plan import Plan
from xabl.data.regions.description import evenly
from xabl.results.conditions import Condition, Direction, Level
from xabl.support.progress import Progress

_MOST_EXAMPLES = 256  # by direction
# Which loss is compared: of words; of a region's class, the best first.
_LOSSES = ("mlm", "mrc_kl_aligned", "mrc_kl", "mrc_xe_corrected")

Trials = dict[Direction, Trial]
Losses = Mapping[str, Shaped[np.ndarray, "step ..."]]  # in nats, by name
# Examples under a condition -> losses; NaN where a model cannot be asked.
Ask = Callable[[Sequence[PhraseExample], Condition], Losses]


def _intact(plan: Plan, direction: Direction) -> tuple[list[int], int]:
    """Rows of the sample: scored intact, evenly spread; and the column of that.

    No rows where images are too few.
    """
    if len({example.image_id for example in plan.examples}) >= LEAST_IMAGES:
        for column in plan.columns(direction):
            if plan.conditions[column].level is Level.NONE:
                (rows,) = np.nonzero(plan.pair[:, column] != NOT_SCORED)
                return rows[evenly(len(rows), _MOST_EXAMPLES)].tolist(), column
    return [], 0


def _halfway(values: np.ndarray) -> np.ndarray:
    """Of each example of a sample, the value of one far away in the split."""
    return np.roll(values, len(values) // 2)


def _loss_of(losses: Losses) -> str | None:
    return next((name for name in _LOSSES if name in losses), None)


def _trial(
    loss: str,
    images: Shaped[np.ndarray, " examples"],
    losses: Mapping[str, Float[np.ndarray, " examples"]],
) -> Trial | None:
    """What a sample shows; None where it cannot be said.

    Args:
        images: of each example, anything that tells them apart.
        losses: the fields of the trial. Where one is not finite it is left out: a run
            of our models says itself of which example, a function was not asked.
    """
    known = {name: each for name, each in losses.items() if np.isfinite(each).all()}
    if "own" not in known or not len(images):
        return None
    known = {name: each.astype(np.float64) for name, each in known.items()}
    numbers = np.unique(images, return_inverse=True)[1]
    if "other" in known:  # in a small sample, halfway may be the same image
        apart = numbers != _halfway(numbers)
        numbers = numbers[apart]
        known = {name: each[apart] for name, each in known.items()}
    return Trial(loss=loss, images=numbers, **{"other": None, **known})


# --- functions of one's own ----------------------------------------------------------


def asked(plan: Plan, ask: Ask, batch_size: int, *, sees_regions: bool) -> Trials:
    """Asks a function of one's own about a sample of the plan's examples.

    Whether it was trained on regions that it sees is not known: it is not asked for
    their classes.

    Raises:
        UserError: as `ask`.
    """
    questions: dict[Direction, dict[str, list[PhraseExample]]] = {}
    for direction in Direction:
        rows, _ = _intact(plan, direction)
        own = [plan.examples[row] for row in rows]
        others = [own[n] for n in _halfway(np.arange(len(own)))]
        questions[direction] = {"own": own}
        if sees_regions and direction is Direction.VIS4LANG:
            questions[direction]["other"] = list(map(_mixed, own, others))
        elif sees_regions:
            questions[direction]["other"] = list(map(_mixed, others, own))
    trials: Trials = {}
    total = sum(len(each) for parts in questions.values() for each in parts.values())
    with Progress(total, "questions", first="the model is asked") as progress:
        for direction, parts in questions.items():
            intact = Condition(direction=direction, level=Level.NONE)
            answers: dict[str, list[Losses]] = {name: [] for name in parts}
            for name, examples in parts.items():
                for start in range(0, len(examples), batch_size):
                    step = examples[start : start + batch_size]
                    answers[name].append(ask(step, intact))
                    progress.update(len(step))
            loss = _loss_of(answers["own"][0]) if answers["own"] else None
            if loss is None:
                continue
            images = np.array([example.image_id for example in parts["own"]])
            losses = {
                name: np.concatenate([each[loss] for each in given])
                for name, given in answers.items()
            }
            if trial := _trial(loss, images, losses):
                trials[direction] = trial
    return trials


def _mixed(words: PhraseExample, image: PhraseExample) -> PhraseExample:
    """The caption of one example with the image, and the thing in it, of another."""
    return dataclasses.replace(
        words,
        image_id=image.image_id,
        img_w=image.img_w,
        img_h=image.img_h,
        boxes=image.boxes,
    )


# --- our models ----------------------------------------------------------------------


def scored(evaluation: Evaluation, plans: Sequence[Plan]) -> list[Trials]:
    """Scores a sample of each plan's examples, all of them together.

    Args:
        plans: parts of the evaluation's plan.
    """
    samples = [_samples(plan, evaluation.scorer.config.text_only) for plan in plans]
    trials: list[Trials] = [{} for _ in plans]
    pairs = {d: [sample[d].pairs for sample in samples] for d in Direction}
    if not any(len(part) for parts in pairs.values() for part in parts):
        return trials  # nothing to compile for
    plan = dataclasses.replace(
        evaluation.plan,
        mlm=_concatenated(pairs[Direction.VIS4LANG]),
        mrc=_concatenated(pairs[Direction.LANG4VIS]),
    )
    scores: dict[Direction, dict[str, np.ndarray]] = {d: {} for d in Direction}
    few = evaluation.of(plan)
    for direction, numbers, values in few.run(few.schedule()):
        put_scores(scores[direction], plan, direction, numbers, values)
    for direction, values in scores.items():
        loss = _loss_of(values)
        if loss is None:
            continue
        ends = np.cumsum([len(part) for part in pairs[direction]])[:-1]
        for found, sample, losses in zip(
            trials, samples, np.split(values[loss], ends), strict=True
        ):
            trial = sample[direction].trial(loss, losses)
            if trial is not None:
                found[direction] = trial
    return trials


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Sample:
    """What is scored in one direction.

    images: of the examples of the sample.
    parts: by the fields of a `Trial`, the pairs that are scored: one for each example.
    """

    images: Int[np.ndarray, " examples"]
    parts: dict[str, Any]

    @property
    def pairs(self) -> Any:
        """Of one part after the other."""
        return _concatenated(list(self.parts.values()))

    def trial(self, loss: str, losses: Float[np.ndarray, " pairs"]) -> Trial | None:
        of_parts = losses.reshape(len(self.parts), len(self.images))
        return _trial(loss, self.images, dict(zip(self.parts, of_parts, strict=True)))


def _samples(plan: Plan, text_only: bool) -> dict[Direction, _Sample]:
    numbers = {}
    for direction in Direction:
        rows, column = _intact(plan, direction)
        numbers[direction] = plan.pair[rows, column] if rows else np.zeros(0, int)
    mlm = _taken(plan.mlm, numbers[Direction.VIS4LANG])
    if text_only:  # captions instead of images
        words = _Sample(images=mlm.word, parts={"own": mlm})
    else:
        other = _with(mlm, region=_halfway(mlm.region))
        words = _Sample(
            images=plan.regions.image[mlm.region], parts={"own": mlm, "other": other}
        )
    mrc = _taken(plan.mrc, numbers[Direction.LANG4VIS])
    images = plan.regions.image[mrc.region]
    parts = {"own": mrc, "other": _with(mrc, word=_halfway(mrc.word))}
    # Regions of which nothing is hidden: there if vis4lang is asked, too.
    whole = np.full(images.max(initial=0) + 1, NOT_SCORED, np.int32)
    (visible,) = np.nonzero(~plan.regions.ablated.any(axis=1))
    visible = visible[plan.regions.image[visible] < len(whole)]
    whole[plan.regions.image[visible]] = visible
    if (whole[images] != NOT_SCORED).all():
        parts["seen"] = _with(mrc, region=whole[images])
    return {
        Direction.VIS4LANG: words,
        Direction.LANG4VIS: _Sample(images=images, parts=parts),
    }


# Pairs of one direction are a struct of columns: `MlmPairs` or `MrcPairs`.


def _with(pairs: Any, **changed: np.ndarray) -> Any:
    return dataclasses.replace(pairs, **changed)


def _taken(pairs: Any, numbers: Int[np.ndarray, " _"]) -> Any:
    return _with(
        pairs, **{name: column[numbers] for name, column in vars(pairs).items()}
    )


def _concatenated(parts: Sequence[Any]) -> Any:
    return _with(
        parts[0],
        **{
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in vars(parts[0])
        },
    )
