"""The device loop: a plan's distinct pairs, scored.

Nothing is done per example here. Batches are indices and masks; they are prepared
while the devices compute, and results are fetched when later steps are already under
way.
"""

import copy
import dataclasses
import functools
from collections import deque
from collections.abc import Callable, Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from xabl.ablation.engine.batches import dropped_words, region_batch, word_batch
from xabl.ablation.engine.device_regions import HostStore
from xabl.ablation.engine.losses import RegionLabels
from xabl.ablation.engine.memory import choose_batch_size, choose_tables, free_bytes
from xabl.ablation.engine.operations import Operations
from xabl.ablation.engine.padding import ONE_SIZE
from xabl.ablation.engine.pair_scores import (
    AblationScores,
    check_finite,
    put_scores,
    scored_pairs,
)
from xabl.ablation.engine.programs import Programs, program_limits
from xabl.ablation.engine.projection import projected_store
from xabl.ablation.engine.remaining import remaining_steps, share_of_steps
from xabl.ablation.engine.schedule import (
    EMPTY,
    Schedule,
    ScoreStep,
    TableSizes,
    TableStep,
)
from xabl.ablation.engine.scorer import (
    MlmTargets,
    MrcTargets,
    Params,
    PlaceBatch,
    Resident,
    Scorer,
    Tables,
)
from xabl.ablation.options import Options
from xabl.ablation.plan import Plan
from xabl.models.config import ModelConfig
from xabl.results.conditions import Direction
from xabl.support.devices import LocalDevices

# Steps under way before the first one's results are waited for.
_STEPS_AHEAD = 4

# Called after each step with its pairs (numbers) and their scores.
OnScores = Callable[[Direction, np.ndarray, Mapping[str, np.ndarray]], None]


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
    store: HostStore | None
    options: Options = Options()


def ablate(request: Request, devices: LocalDevices | None = None) -> AblationScores:
    """Scores every distinct pair of a plan; see `score`.

    Args:
        devices: all local ones by default.
    """
    return score(Evaluation(request, LocalDevices() if devices is None else devices))


def score(
    evaluation: "Evaluation",
    *,
    found: AblationScores | None = None,
    on_scores: OnScores | None = None,
    share: tuple[int, int] = (0, 1),
) -> AblationScores:
    """Scores every distinct pair of a plan whose request has been placed.

    Args:
        found: scores of an interrupted run of the same request; pairs whose loss is
            not NaN there are not computed again.
        on_scores: called after every step, to show progress and to keep the scores.
        share: number of this process and how many there are, each with as many
            devices; the pairs are divided as among devices.

    Raises:
        UserError: a loss is not finite; names the example.
    """
    plan = evaluation.plan
    scores = {d: dict(found.pairs.get(d, {})) if found else {} for d in Direction}
    number, count = share
    schedule = evaluation.schedule(processes=count)
    devices = len(evaluation.devices)
    own = slice(number * devices, (number + 1) * devices)
    schedule.steps = remaining_steps(
        share_of_steps(schedule.steps, own),
        {d: scored_pairs(plan, scores[d], d) for d in Direction},
    )
    for direction, pairs, values in evaluation.run(schedule):
        check_finite(plan, direction, pairs, values)
        put_scores(scores[direction], plan, direction, pairs, values)
        if on_scores is not None:
            on_scores(direction, pairs, values)
    return AblationScores(plan=plan, pairs=scores)


class Evaluation:
    """A request placed on the devices; nothing of its regions stays on the host."""

    def __init__(self, request: Request, devices: LocalDevices):
        self.plan, self.devices, options = request.plan, devices, request.options
        self.few_programs = options.few_programs
        self.scorer = Scorer(
            config=request.config,
            precision=options.precision,
            image_token=options.image_token,
            top=options.top,
        )
        # What every step reads, placed once.
        self.take(request.params, request.store)
        self.programs: Programs | None = None
        self.part_of: Plan | None = None
        free = free_bytes(devices)
        self.batch_size = options.batch_size or choose_batch_size(
            self.scorer, self.plan, devices, free
        )
        self.tables = choose_tables(self.scorer, self.plan, free)

    @functools.cached_property
    def _labels(self) -> RegionLabels:
        """Placed when the regions are: these need the most memory before."""
        return self.devices.replicate(RegionLabels.of(self.plan.targets))

    def take(self, params: Params, store: HostStore | None) -> None:
        """Goes on with another checkpoint of the model; everything else stays.

        Args:
            store: the request's.
        """
        config, devices = self.scorer.config, self.devices
        params = devices.replicate(params)
        self.resident = Resident(
            params=self.scorer.matrices_rounded(params),
            store=store and projected_store(config, params, store, devices),
            labels=self._labels,
        )

    def of(self, plan: Plan) -> "Evaluation":
        """The same, of a few other pairs of the same inputs.

        All of them are padded to the longest of this evaluation's: one program for
        each direction, which this evaluation needs for its longest pairs anyway.
        """
        other = copy.copy(self)
        other.operations = self.operations
        other.plan, other.part_of = plan, self.plan
        return other

    def keep_programs(self) -> None:
        """Keeps what is compiled, for the checkpoints that `take` is given."""
        self.programs = Programs(self.scorer, self.devices)

    @property
    def num_regions(self) -> int:
        """Positions of the region stream, 0 in a text-only model."""
        config = self.scorer.config
        boxes = self.plan.regions.ablated.shape[1]
        return 0 if config.text_only else boxes + config.has_image_row

    def schedule(
        self, done: dict[Direction, np.ndarray] | None = None, *, processes: int = 1
    ) -> Schedule:
        """The steps that score all pairs that are not done.

        Args:
            processes: how many have as many devices as this one, all in the steps.
        """
        limits = program_limits(self.scorer, self.devices, self.operations.word)
        return Schedule(
            self.plan,
            devices=processes * len(self.devices),
            batch_size=self.batch_size,
            limits=limits if self.part_of is None else ONE_SIZE,
            tables=self.tables,
            by_length=not self.scorer.has_region_sublayers,
            done=done,
            part_of=self.part_of,
        )

    def run(
        self, schedule: Schedule, programs: Programs | None = None
    ) -> Iterator[tuple[Direction, np.ndarray, dict[str, np.ndarray]]]:
        """Runs all steps; gives direction, pair numbers and scores of each batch.

        Args:
            programs: some or all compiled before; closed at the end.
        """
        tables = self.empty_tables(schedule.tables)
        programs = programs or self.programs
        if programs is None:
            programs = Programs(self.scorer, self.devices, few=self.few_programs)
        last = {step.shape: step for step in schedule.steps}
        used, under_way = set(), deque()
        try:
            for step in schedule.steps:
                if step.shape not in used:
                    self.compile_ahead(programs, schedule, tables, len(used))
                    used.add(step.shape)
                program = programs.compiled(step.shape)
                arguments = self.arguments(step, tables)
                if last[step.shape] is step:
                    programs.used_up(step.shape)
                if isinstance(step, TableStep):
                    tables = program(*arguments)
                    continue
                scores = program(*arguments)
                for array in jax.tree.leaves(scores):
                    array.copy_to_host_async()
                under_way.append((step, scores))
                if len(under_way) > _STEPS_AHEAD:
                    yield fetched(*under_way.popleft())
            while under_way:
                yield fetched(*under_way.popleft())
        finally:
            if programs is not self.programs:
                programs.close()

    def compile_ahead(
        self,
        programs: Programs,
        schedule: Schedule,
        tables: Tables | None,
        used: int = 0,
    ) -> None:
        """Begins to compile the programs of the next shapes, in the order of their use.

        Args:
            used: how many shapes have had their first step.
        """
        for shape in schedule.shapes[used : programs.ahead(used)]:
            if shape not in programs:
                programs.begin(shape, self.arguments(schedule.first[shape], tables))

    def arguments(self, step: TableStep | ScoreStep, tables: Tables | None) -> tuple:
        """What the program of a step is called with, placed on the devices."""
        shipped = self.devices.shard(self.shipped(step))
        if tables is None:
            return self.resident, *shipped
        return self.resident, tables, *shipped

    @functools.cached_property
    def operations(self) -> Operations:
        """How much arithmetic the steps are."""

        def of_one_device(step: TableStep | ScoreStep) -> tuple:
            shipped = self.shipped(step)
            if self.tables is not None:
                tables = jax.eval_shape(
                    lambda: self.empty_tables(TableSizes(words=1, regions=1))
                )
                shipped = (tables, *shipped)
            return self.resident, *jax.tree.map(
                lambda array: jax.ShapeDtypeStruct(array.shape[1:], array.dtype),
                shipped,
            )

        return Operations(self.scorer, self.plan, of_one_device)

    def empty_tables(self, sizes: TableSizes | None) -> Tables | None:
        """Tables with nothing in them, on every device."""
        if sizes is None:
            return None
        config, devices = self.scorer.config, len(self.devices)
        num_words = int(self.plan.words.lengths.max())
        dtype = self.scorer.model.dtype
        rows = (devices, sizes.regions, self.num_regions)
        words = (devices, sizes.words, num_words, config.hidden_size)

        # Compiled, it transfers nothing from the host.
        @functools.partial(jax.jit, out_shardings=self.devices.sharded)
        def empty() -> Tables:
            return Tables(
                words=jnp.zeros(words, dtype),
                regions=jnp.zeros((*rows, config.v_hidden_size), dtype),
                region_mask=jnp.zeros(rows, bool),
            )

        return empty()

    def shipped(self, step: TableStep | ScoreStep) -> tuple:
        """What a step sends to the devices; devices on the first axis."""
        if isinstance(step, TableStep):
            # A place that is not filled computes input 0, which nobody reads.
            numbers = np.where(step.inputs == EMPTY, 0, step.inputs)
            start = np.full(len(self.devices), step.start, np.int32)
            if step.shape.words is None:
                return region_batch(self.plan, numbers), start
            return word_batch(self.plan, numbers, step.shape.words), start
        plan, shape = self.plan, step.shape
        # A place that is not filled computes pair 0 again, or what is in the tables.
        numbers = np.where(step.pairs == EMPTY, 0, step.pairs)
        if shape.direction is Direction.VIS4LANG:
            pairs = plan.mlm
            # Targets of a place that is not filled may lie beyond the step's words.
            targets = MlmTargets(
                positions=np.minimum(
                    pairs.positions[numbers, : shape.targets], shape.words - 1
                ),
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
        if step.word_places is not None:
            places = PlaceBatch(
                words=step.word_places.astype(np.int32),
                lengths=plan.words.lengths[pairs.word[numbers]],
                dropped=dropped_words(plan, pairs.word[numbers], shape.words),
                regions=step.region_places.astype(np.int32),
            )
            return places, targets
        words = word_batch(plan, pairs.word[numbers], shape.words)
        regions = None
        if self.resident.store is not None:
            regions = region_batch(plan, pairs.region[numbers])
        return words, regions, targets


def fetched(
    step: ScoreStep, results: Mapping[str, jax.Array]
) -> tuple[Direction, np.ndarray, dict[str, np.ndarray]]:
    """A step's direction, its pairs and their scores, on the host."""
    filled = step.pairs != EMPTY
    scores = {name: v[filled] for name, v in jax.device_get(dict(results)).items()}
    return step.shape.direction, step.pairs[filled], scores
