"""One evaluation of a world, phase by phase, taking turns with the naive way."""

import collections
import dataclasses
import itertools
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks import traces
from benchmarks.machine import MatrixProducts, OtherProcesses, device_peak_gb
from benchmarks.naive_sample import NaiveSample
from benchmarks.part import Part
from xabl.ablation.engine import explain
from xabl.ablation.engine.device_loop import Evaluation
from xabl.ablation.engine.pair_scores import AblationScores, put_scores
from xabl.ablation.engine.programs import Programs
from xabl.ablation.engine.schedule import Schedule, ScoreStep, TableShape
from xabl.ablation.engine.scorer import PRODUCTS, Params
from xabl.ablation.inputs import Inputs, read_inputs
from xabl.ablation.options import InputFiles, Options
from xabl.ablation.tables import examples_table, scores_table
from xabl.models import model_directory
from xabl.results.conditions import Direction
from xabl.results.directory import ResultsDirectory
from xabl.results.format import EXAMPLES, SCORES
from xabl.results.losses import LOSSES
from xabl.results.summary import summarise, summary_tsv
from xabl.support.devices import LocalDevices

# Of the matrix products, spread over the scoring.
_TURNS = 12
_TRACED_STEPS = 30


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Loaded:
    """What is read from files. seconds: it took."""

    inputs: Inputs
    params: Params
    seconds: float


def load(files: InputFiles, devices: LocalDevices) -> Loaded:
    """Reads everything, as `xabl ablate` does."""
    begin = time.perf_counter()
    inputs = read_inputs(files)
    _, params = model_directory.load(files.model, sharding=devices.replicated)
    jax.block_until_ready(params)
    return Loaded(inputs=inputs, params=params, seconds=time.perf_counter() - begin)


def measure(
    loaded: Loaded,
    devices: LocalDevices,
    options: Options,
    part: Part,
    naive: NaiveSample,
    *,
    trace: bool,
) -> tuple[AblationScores, dict[str, Any]]:
    """Compiles, scores and writes, one after the other.

    Args:
        part: what to score of the plan.
        naive: takes its turns, evenly spread, while we score.
        trace: also say what the device did in a few steps.

    Returns:
        The scores, and facts for results: counts, rates and seconds by phase.
    """
    seconds = {"load": loaded.seconds}
    inputs = loaded.inputs
    begin = time.perf_counter()
    evaluation = Evaluation(inputs.request(loaded.params, options), devices)
    schedule = evaluation.schedule(part.done)
    seconds["plan"] = time.perf_counter() - begin
    begin = time.perf_counter()
    programs = compiled(Programs(evaluation.scorer, devices), evaluation, schedule)
    seconds["compile"] = time.perf_counter() - begin
    products = MatrixProducts(
        evaluation.scorer.model.dtype, PRODUCTS[options.precision]
    )
    others = OtherProcesses()
    turns = {products.take_turn: _TURNS, naive.take_turn: len(naive)}
    scores, seconds["score"] = _score(evaluation, schedule, programs, turns)
    share_of_others = others.share
    rate = len(devices) * products.rate
    begin = time.perf_counter()
    write(inputs, scores)
    seconds["write"] = time.perf_counter() - begin
    operations = operations_of(evaluation, schedule)
    achieved = operations / seconds["score"]
    naive_operations = explain.naive_cost(evaluation).operations
    naive_operations *= part.num_scored / inputs.plan.num_scored
    facts = {
        "precision": options.precision.value,
        "devices": len(devices),
        "images": part.num_images,
        "scored_inputs": part.num_scored,
        "distinct_pairs": part.num_pairs,
        "batch_size": evaluation.batch_size,
        "steps": len(schedule.steps),
        "programs": len(schedule.shapes),
        "inputs_per_second": part.num_scored / seconds["score"],
        "tflop": operations / 1e12,
        "naive_tflop": naive_operations / 1e12,
        "gflop_per_second": achieved / 1e9,
        "matrix_product_gflop_per_second": rate / 1e9,
        "share_of_matrix_product_rate": achieved / rate,
        "processor_share_of_others": share_of_others,
        "device_peak_gb": device_peak_gb(devices.devices),
        "seconds": seconds,
    }
    if trace:
        steps = evaluation.run(schedule, programs)
        some = itertools.islice(steps, _TRACED_STEPS)
        facts["trace"] = traces.traced(lambda: collections.deque(some, maxlen=0))
        steps.close()
    return scores, facts


def operations_of(evaluation: Evaluation, schedule: Schedule) -> float:
    """Of all steps, those that make tables included."""
    costs = (explain.score_cost, explain.table_cost)
    return sum(cost(evaluation, schedule).operations for cost in costs)


def compiled(
    programs: Programs, evaluation: Evaluation, schedule: Schedule
) -> Programs:
    """All programs of a schedule, each of them run once.

    A first run takes longer; in a part of a world it would weigh more than in all.
    """
    tables = evaluation.empty_tables(schedule.tables)
    evaluation.compile_ahead(programs, schedule, tables)
    for shape, step in schedule.first.items():
        arguments = evaluation.arguments(step, tables)
        result = jax.block_until_ready(programs.compiled(shape)(*arguments))
        if isinstance(shape, TableShape):
            tables = result
    return programs


def _score(
    evaluation: Evaluation,
    schedule: Schedule,
    programs: Programs,
    turns: Mapping[Callable[[], None], int],
) -> tuple[AblationScores, float]:
    """The scores and the seconds that they took.

    Args:
        turns: what is to run in between, how often; not counted.
    """
    found: dict[Direction, dict] = {direction: {} for direction in Direction}
    num_steps = sum(isinstance(step, ScoreStep) for step in schedule.steps)
    after = _spread(turns, num_steps)
    seconds, begin = 0.0, time.perf_counter()
    steps = evaluation.run(schedule, programs)
    for number, (direction, pairs, values) in enumerate(steps):
        put_scores(found[direction], evaluation.plan, direction, pairs, values)
        for take_turn in after[number]:
            # Steps of ours under way are to run on our account.
            jax.block_until_ready(jax.live_arrays())
            seconds += time.perf_counter() - begin
            take_turn()
            begin = time.perf_counter()
    seconds += time.perf_counter() - begin
    return AblationScores(plan=evaluation.plan, pairs=found), seconds


def _spread(
    turns: Mapping[Callable[[], None], int], num_steps: int
) -> dict[int, list[Callable[[], None]]]:
    """What runs after each of our steps: every kind of turn evenly spread."""
    after = collections.defaultdict(list)
    for take_turn, count in turns.items():
        for number in range(count):
            after[(2 * number + 1) * num_steps // (2 * count)].append(take_turn)
    return after


def write(inputs: Inputs, scores: AblationScores) -> None:
    """Writes results, and throws them away."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results"
        table = scores_table(scores, inputs.word_pieces)
        ResultsDirectory(path).write(
            {SCORES.name: table, EXAMPLES.name: examples_table(inputs.plan.examples)},
            summary_tsv(inputs.config.name, summarise(table)),
            {},
        )


def errors(scores: AblationScores, exact: AblationScores) -> dict[str, Any]:
    """By loss, in bits: of single losses, and of the means that are published."""
    found = {}
    for name in LOSSES:
        ours, expected = scores.loss(name), exact.loss(name)
        if expected is None or np.isnan(expected).all():
            continue
        difference = (ours - expected) / np.log(2)
        means = [
            scores.mean_bits(name, condition) - exact.mean_bits(name, condition)
            for condition in exact.plan.conditions
            if exact.mean_bits(name, condition) is not None
        ]
        found[name] = {
            "largest_of_a_mean": float(np.abs(means).max()),
            "mean_of_a_loss": float(np.nanmean(np.abs(difference))),
            "largest_of_a_loss": float(np.nanmax(np.abs(difference))),
        }
    return found
