"""The device loop: a plan's distinct pairs, scored.

Nothing is done per example here. Batches are indices and masks; they are prepared
while the devices compute, and results are fetched when later steps are already under
way.
"""

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence

import jax
import numpy as np

from xabl.ablation.conditions import Direction
from xabl.ablation.device_regions import (
    ImageToken,
    RegionBatch,
    RegionStore,
)
from xabl.ablation.distinct_inputs import NOT_SCORED
from xabl.ablation.losses import Scores
from xabl.ablation.plan import Plan
from xabl.ablation.schedule import ScoreStep, Shape, score_steps
from xabl.ablation.scores import (
    AblationScores,
    check_finite,
    put_scores,
    scored_pairs,
)
from xabl.ablation.scoring import (
    LabelTable,
    MlmTargets,
    MrcTargets,
    Params,
    Precision,
    Scorer,
    WordBatch,
)
from xabl.models.config import ModelConfig
from xabl.parallel import LocalDevices
from xabl.types import pytree

# Steps under way before the first one's results are waited for.
_STEPS_AHEAD = 4

# Called after each step with its pairs (numbers) and their scores.
OnScores = Callable[[Direction, np.ndarray, Mapping[str, np.ndarray]], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """How to compute, none of which changes what is computed (but `image_token`).

    batch_size: pairs of one step on one device; None chooses it from the memory.
    top: most probable predictions to keep for each target.
    """

    precision: Precision = Precision.HIGHEST
    image_token: ImageToken = ImageToken.PUBLISHED
    batch_size: int | None = None
    top: int = 0


@pytree
class Resident:
    """What stays on every device while a request is evaluated."""

    params: Params
    store: RegionStore | None
    labels: LabelTable


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Request:
    """A model and what to ask it.

    params: on the host or placed by `LocalDevices.replicate`.
    store: `host_store` of the regions the plan was built with; None for a text-only
        model.
    """

    config: ModelConfig
    params: Params
    plan: Plan
    store: RegionStore | None
    options: Options = Options()


def ablate(
    request: Request,
    devices: LocalDevices | None = None,
    *,
    found: AblationScores | None = None,
    on_scores: OnScores | None = None,
) -> AblationScores:
    """Scores every distinct pair of the plan.

    Args:
        devices: all local ones by default.
        found: scores of an interrupted run of the same request; pairs whose loss is
            not NaN there are not computed again.
        on_scores: hears of every finished step, for progress and for keeping scores.

    Raises:
        UserError: the regions are not for this model; a loss is not finite, which
            names the example.
    """
    evaluation = Evaluation(request, LocalDevices() if devices is None else devices)
    plan = request.plan
    scores = {d: dict(found.pairs.get(d, {})) if found else {} for d in Direction}
    steps = score_steps(
        plan,
        devices=len(evaluation.devices),
        batch_size=evaluation.batch_size,
        done={d: scored_pairs(plan, scores[d], d) for d in Direction},
    )
    for direction, pairs, values in evaluation.run(steps):
        check_finite(plan, direction, pairs, values)
        put_scores(scores[direction], plan, direction, pairs, values)
        if on_scores is not None:
            on_scores(direction, pairs, values)
    return AblationScores(plan=plan, pairs=scores)


class Evaluation:
    """A request placed on the devices, and its compiled programs."""

    def __init__(self, request: Request, devices: LocalDevices):
        self.plan, self.devices, options = request.plan, devices, request.options
        self.scorer = Scorer(
            config=request.config,
            precision=options.precision,
            image_token=options.image_token,
            top=options.top,
        )
        self.batch_size = options.batch_size or 32
        # What every step reads, placed once.
        self.placed = devices.replicate(
            Resident(
                params=request.params,
                store=request.store,
                labels=label_table(request.plan),
            )
        )
        self.programs: dict[Shape, Callable] = {}

    def run(
        self, steps: Sequence[ScoreStep]
    ) -> Iterator[tuple[Direction, np.ndarray, dict[str, np.ndarray]]]:
        """Runs steps; gives direction, pair numbers and their scores of each."""
        under_way = deque()
        for step in steps:
            program = self.program(step.shape)
            arrays = self.devices.shard(self.arrays(step))
            results = program(self.placed, *arrays)
            for array in jax.tree.leaves(results):
                array.copy_to_host_async()
            under_way.append((step, results))
            if len(under_way) > _STEPS_AHEAD:
                yield fetched(*under_way.popleft())
        while under_way:
            yield fetched(*under_way.popleft())

    def program(self, shape: Shape) -> Callable:
        """The program that scores batches of one shape on every device."""
        if shape not in self.programs:
            score = {
                Direction.VIS4LANG: self._score_words,
                Direction.LANG4VIS: self._score_regions,
            }[shape.direction]
            self.programs[shape] = self.devices.parallel(score, replicated=1, sharded=3)
        return self.programs[shape]

    def _score_words(
        self,
        placed: Resident,
        words: WordBatch,
        regions: RegionBatch | None,
        targets: MlmTargets,
    ) -> Scores:
        embedded = self.scorer.embed(placed.params, placed.store, words, regions)
        return self.scorer.score_words(placed.params, embedded, targets)

    def _score_regions(
        self,
        placed: Resident,
        words: WordBatch,
        regions: RegionBatch,
        targets: MrcTargets,
    ) -> Scores:
        embedded = self.scorer.embed(placed.params, placed.store, words, regions)
        return self.scorer.score_regions(
            placed.params, embedded, targets, placed.labels
        )

    def arrays(self, step: ScoreStep) -> tuple:
        """What a step ships: words, regions, targets; devices on the first axis."""
        # A place that is not filled computes its batch's first pair again.
        numbers = np.where(step.pairs == NOT_SCORED, step.pairs[0, 0], step.pairs)
        plan, shape = self.plan, step.shape
        if shape.direction is Direction.VIS4LANG:
            pairs = plan.mlm
            targets = MlmTargets(
                positions=pairs.positions[numbers, : shape.targets],
                labels=pairs.labels[numbers, : shape.targets],
                num_targets=pairs.num_targets[numbers],
            )
        else:
            pairs = plan.mrc
            targets = MrcTargets(
                target=pairs.target[numbers],
                label=pairs.label[numbers],
                gold=pairs.gold[numbers],
            )
        word, region = pairs.word[numbers], pairs.region[numbers]
        words = WordBatch(
            token_ids=plan.words.token_ids[word, : shape.words],
            lengths=plan.words.lengths[word],
            shift_starts=plan.words.shift_starts[word],
        )
        if self.placed.store is None:
            return words, None, targets
        regions = RegionBatch(
            image=plan.regions.image[region],
            ablated=plan.regions.ablated[region],
            fill=plan.regions.fill[region],
        )
        return words, regions, targets


def label_table(plan: Plan) -> LabelTable:
    """What losses compare predictions of regions to, still on the host."""
    return LabelTable(
        objects_id=plan.targets.objects_id,
        objects_conf=plan.targets.objects_conf,
        cls_prob=plan.targets.cls_prob,
    )


def fetched(
    step: ScoreStep, results: Mapping[str, jax.Array]
) -> tuple[Direction, np.ndarray, dict[str, np.ndarray]]:
    """A step's direction, its pairs and their scores, on the host."""
    filled = step.pairs != NOT_SCORED
    scores = {name: np.asarray(value)[filled] for name, value in results.items()}
    return step.shape.direction, step.pairs[filled], scores
