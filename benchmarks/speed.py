"""One evaluation of a world, phase by phase, taking turns with the naive way."""

import dataclasses
import tempfile
import time
from pathlib import Path
from typing import Any

import jax

from benchmarks.machine import matrix_product_rate
from benchmarks.naive_sample import NaiveSample
from xabl import model_directory
from xabl.ablation import explain
from xabl.ablation.conditions import Direction
from xabl.ablation.evaluate import Evaluation, Options, Request
from xabl.ablation.inputs import InputFiles, Inputs, read_inputs
from xabl.ablation.programs import Programs
from xabl.ablation.results_directory import ResultsDirectory
from xabl.ablation.schedule import Schedule
from xabl.ablation.scores import AblationScores, put_scores
from xabl.ablation.scoring import Params, Precision
from xabl.ablation.summary import summarise, summary_tsv
from xabl.ablation.tables import examples_table, scores_table
from xabl.parallel import LocalDevices

_MATRIX_PRODUCT = {
    Precision.HIGHEST: "highest",
    Precision.DEFAULT: "default",
    Precision.BFLOAT16: "default",
}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Loaded:
    """What is read from files. seconds: it took."""

    inputs: Inputs
    params: Params
    seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """seconds: by phase. facts: counts and rates, for results."""

    scores: AblationScores
    seconds: dict[str, float]
    facts: dict[str, Any]


def load(files: InputFiles, devices: LocalDevices) -> Loaded:
    """Reads everything, as `experiments.ablate` does."""
    begin = time.perf_counter()
    inputs = read_inputs(files)
    _, params = model_directory.load(files.model, sharding=devices.replicated)
    jax.block_until_ready(params)
    return Loaded(inputs=inputs, params=params, seconds=time.perf_counter() - begin)


def measure(
    loaded: Loaded,
    devices: LocalDevices,
    options: Options,
    naive: NaiveSample | None = None,
) -> Measured:
    """Compiles, scores and writes, one after the other.

    Args:
        naive: takes its turns, evenly spread, while we score.
    """
    seconds = {"load": loaded.seconds}
    inputs = loaded.inputs
    begin = time.perf_counter()
    request = Request(
        config=inputs.config,
        params=loaded.params,
        plan=inputs.plan,
        store=inputs.store,
        options=options,
    )
    evaluation = Evaluation(request, devices)
    schedule = evaluation.schedule()
    seconds["plan"] = time.perf_counter() - begin
    begin = time.perf_counter()
    programs = _compiled(evaluation, schedule)
    seconds["compile"] = time.perf_counter() - begin
    dtype = evaluation.scorer.model.dtype
    precision = _MATRIX_PRODUCT[options.precision]
    rate = matrix_product_rate(dtype, precision)
    scores, seconds["score"] = _score(evaluation, schedule, programs, naive)
    rate = len(devices) * max(rate, matrix_product_rate(dtype, precision))
    begin = time.perf_counter()
    _write(inputs, scores)
    seconds["write"] = time.perf_counter() - begin
    operations = sum(
        cost(evaluation, schedule).operations
        for cost in (explain.score_cost, explain.table_cost)
    )
    achieved = operations / seconds["score"]
    facts = {
        "precision": options.precision.value,
        "devices": len(devices),
        "images": 0 if inputs.store is None else len(inputs.store.features),
        "scored_inputs": inputs.plan.num_scored,
        "distinct_pairs": len(inputs.plan.mlm) + len(inputs.plan.mrc),
        "batch_size": evaluation.batch_size,
        "steps": len(schedule.steps),
        "programs": len(schedule.shapes),
        "inputs_per_second": inputs.plan.num_scored / seconds["score"],
        "tflop": operations / 1e12,
        "naive_tflop": explain.naive_cost(evaluation).operations / 1e12,
        "gflop_per_second": achieved / 1e9,
        "matrix_product_gflop_per_second": rate / 1e9,
        "share_of_matrix_product_rate": achieved / rate,
        "device_peak_gb": _device_peak(devices),
    }
    return Measured(scores=scores, seconds=seconds, facts=facts)


def _compiled(evaluation: Evaluation, schedule: Schedule) -> Programs:
    programs = Programs(evaluation.scorer, evaluation.devices)
    evaluation.compile_ahead(
        programs, schedule, evaluation.empty_tables(schedule.tables)
    )
    for shape in schedule.shapes:
        programs.compiled(shape)
    return programs


def _score(
    evaluation: Evaluation,
    schedule: Schedule,
    programs: Programs,
    naive: NaiveSample | None,
) -> tuple[AblationScores, float]:
    """The scores and the seconds that they took, the naive way's not counted."""
    found: dict[Direction, dict] = {direction: {} for direction in Direction}
    turns = _turns(0 if naive is None else len(naive), len(schedule.steps))
    seconds, begin = 0.0, time.perf_counter()
    steps = evaluation.run(schedule, programs)
    for number, (direction, pairs, values) in enumerate(steps):
        put_scores(found[direction], evaluation.plan, direction, pairs, values)
        for _ in range(turns.count(number)):
            # Steps of ours under way are to run on our account.
            jax.block_until_ready(jax.live_arrays())
            seconds += time.perf_counter() - begin
            naive.take_turn()
            begin = time.perf_counter()
    seconds += time.perf_counter() - begin
    while naive is not None and len(naive):
        naive.take_turn()
    return AblationScores(plan=evaluation.plan, pairs=found), seconds


def _turns(count: int, steps: int) -> list[int]:
    """Steps after which the naive way has a turn."""
    return [(2 * turn + 1) * steps // (2 * count) for turn in range(count)]


def _write(inputs: Inputs, scores: AblationScores) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results"
        ResultsDirectory(path, overwrite=False, resume=False).write(
            {
                "scores": scores_table(scores, inputs.word_pieces),
                "examples": examples_table(inputs.plan.examples),
            },
            summary_tsv(inputs.config.name, summarise(scores)),
            {},
        )


def _device_peak(devices: LocalDevices) -> float | None:
    """Most memory in use at once on any device so far; None where it is not told."""
    peaks = [(d.memory_stats() or {}).get("peak_bytes_in_use") for d in devices.devices]
    return None if None in peaks else max(peaks) / 1e9
