"""All of a world scored in several precisions, or with several seeds, in one process.

Unlike `benchmarks.ablation` nothing takes turns with it: on an accelerator a whole run
takes seconds.
"""

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks import speed, traces
from benchmarks.machine import device_peak_gb, matrix_product_rate
from benchmarks.part import Part, spread_images
from benchmarks.world import World
from xabl.ablation.engine import scorer
from xabl.ablation.engine.device_loop import Evaluation
from xabl.ablation.engine.pair_scores import (
    AblationScores,
    check_finite,
    put_scores,
)
from xabl.ablation.engine.programs import Programs
from xabl.ablation.engine.schedule import Schedule
from xabl.ablation.engine.scorer import Params
from xabl.ablation.options import InputFiles, Options, Precision
from xabl.results.conditions import Direction
from xabl.support.devices import LocalDevices

_TRACED_STEPS = 30


class TimedPrograms(Programs):
    """Programs that remember how long each took to compile."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.seconds: dict[str, float] = {}

    def _compile(self, shape, abstract):
        begin = time.perf_counter()
        program = super()._compile(shape, abstract)
        self.seconds[str(shape)] = time.perf_counter() - begin
        return program


def precisions(files: InputFiles, names: list[str]) -> Iterator[dict[str, Any]]:
    """Facts of a whole run in each precision; then their errors against `highest`.

    Args:
        names: of `Precision`; with "~100" after it only so many images, evenly spread,
            are scored.
    """
    devices = LocalDevices(1)
    loaded = speed.load(files, devices)
    found: dict[str, AblationScores] = {}
    for name in names:
        name, _, images = name.partition("~")
        part = spread_images(loaded.inputs.plan, int(images)) if images else None
        options = Options(precision=Precision(name))
        run = _Run(loaded, loaded.params, options, devices, part=part)
        found[name] = run.score()
        begin = time.perf_counter()
        speed.write(loaded.inputs, found[name])
        run.facts["seconds"]["write"] = time.perf_counter() - begin
        facts = {"name": name, "load_seconds": loaded.seconds, **run.facts}
        yield {**facts, **run.rates(), "trace": traces.traced(run.some_steps)}
        del run
    exact = found.get(Precision.HIGHEST.value)
    for name, scores in found.items():
        if exact is not None and scores is not exact:
            scores = _where_scored(scores, exact)
            yield {
                "name": name,
                "error_bits": speed.errors(scores, exact),
                "largest_error_nats": _largest(scores, exact),
            }


def seeds(files: InputFiles, count: int, name: str) -> Iterator[dict[str, Any]]:
    """Seconds of each of several models of one kind, programs kept."""
    devices = LocalDevices(1)
    loaded = speed.load(files, devices)
    options = Options(precision=Precision(name))
    programs = None
    for seed in range(count):
        begin = time.perf_counter()
        run = _Run(loaded, _perturbed(loaded.params, seed), options, devices, programs)
        programs = run.programs
        run.score()
        seconds = {**run.facts["seconds"], "all": time.perf_counter() - begin}
        yield {"name": name, "seed": seed, "seconds": seconds}


class _Run:
    """One whole run, phase by phase."""

    def __init__(
        self,
        loaded: speed.Loaded,
        params: Params,
        options: Options,
        devices: LocalDevices,
        programs: TimedPrograms | None = None,
        part: Part | None = None,
    ):
        inputs = loaded.inputs
        begin = time.perf_counter()
        self.evaluation = Evaluation(inputs.request(params, options), devices)
        jax.block_until_ready(self.evaluation.resident)
        placed = time.perf_counter()
        self.schedule: Schedule = self.evaluation.schedule(part and part.done)
        planned = time.perf_counter()
        self.programs = programs or speed.compiled(
            TimedPrograms(self.evaluation.scorer, devices),
            self.evaluation,
            self.schedule,
        )
        self.facts: dict[str, Any] = {
            "scored_inputs": (part or inputs.plan).num_scored,
            "batch_size": self.evaluation.batch_size,
            "steps": len(self.schedule.steps),
            "programs": len(self.programs.seconds),
            "slowest_program_seconds": max(self.programs.seconds.values(), default=0.0),
            "seconds": {
                "place": placed - begin,
                "schedule": planned - placed,
                "compile": time.perf_counter() - planned,
            },
        }

    def score(self) -> AblationScores:
        plan = self.evaluation.plan
        found: dict[Direction, dict] = {direction: {} for direction in Direction}
        begin = time.perf_counter()
        for direction, pairs, values in self.evaluation.run(
            self.schedule, self.programs
        ):
            check_finite(plan, direction, pairs, values)
            put_scores(found[direction], plan, direction, pairs, values)
        self.facts["seconds"]["score"] = time.perf_counter() - begin
        return AblationScores(plan=plan, pairs=found)

    def some_steps(self) -> None:
        """The first steps, results fetched."""
        steps = self.evaluation.run(self.schedule, self.programs)
        for _ in itertools.islice(steps, _TRACED_STEPS):
            pass
        steps.close()

    def rates(self) -> dict[str, Any]:
        """Against the best square matrix product, measured now."""
        precision = self.evaluation.scorer.precision
        dtype = self.evaluation.scorer.model.dtype
        rate = matrix_product_rate(dtype, scorer.PRODUCTS[precision])
        operations = speed.operations_of(self.evaluation, self.schedule)
        achieved = operations / self.facts["seconds"]["score"]
        return {
            "tflop": operations / 1e12,
            "tflop_per_second": achieved / 1e12,
            "matrix_product_tflop_per_second": rate / 1e12,
            "share_of_matrix_product_rate": achieved / rate,
            "device_peak_gb_so_far": device_peak_gb(self.evaluation.devices.devices),
        }


def _perturbed(params: Params, seed: int) -> Params:
    """Another model of the same kind."""
    return jax.tree.map(lambda x: x * (1 + 1e-3 * seed), params)


def _where_scored(scores: AblationScores, exact: AblationScores) -> AblationScores:
    """Losses of what the other has losses of."""
    pairs = {
        direction: {
            name: np.where(np.isnan(exact.pairs[direction][name]), np.nan, values)
            for name, values in of_pairs.items()
            if values.ndim == 1 and values.dtype == np.float32
        }
        for direction, of_pairs in scores.pairs.items()
    }
    return AblationScores(plan=scores.plan, pairs=pairs)


def _largest(scores: AblationScores, exact: AblationScores) -> dict[str, float]:
    """By loss, the largest difference of a single one."""
    found = {}
    for name in ("mlm", "mrc_kl", "mrc_xe"):
        ours, expected = scores.loss(name), exact.loss(name)
        if expected is not None:
            found[name] = float(np.nanmax(np.abs(ours - expected)))
    return found


def world_of(folder: Path) -> World:
    """The world that was made there."""
    world = folder / "world"
    return World(
        entities=world / "flickr30k_entities",
        regions=world / "regions.h5",
        vocabulary=world / "vocab.txt",
    )


def files_of(folder: Path, model: str) -> InputFiles:
    """What an ablation of a model that was made there reads."""
    world = world_of(folder)
    return InputFiles(
        model=folder / model, entities=world.entities, regions=world.regions
    )
