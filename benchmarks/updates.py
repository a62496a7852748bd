"""What `benchmarks.pretraining` measures: updates, matrix products, batches alone."""

import dataclasses
import resource
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from benchmarks.machine import MatrixProducts, OtherProcesses, device_peak_gb, say
from benchmarks.world import make_world
from xabl.models.config import ModelConfig
from xabl.pretraining.configuration import InitialValues, PretrainingConfig
from xabl.pretraining.corpus.writer import build_corpus
from xabl.pretraining.run import Run, initial_values, prepare
from xabl.pretraining.train_step import train_step
from xabl.results.summary import aligned
from xabl.support.devices import Devices

_SPLIT = "val"  # as the world calls its images
_TURNS = 8
_CAPTIONS = 5  # of an image
_UNTIMED_BATCHES = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """See the flags of `benchmarks.pretraining`."""

    model: ModelConfig
    batch_size: int
    accumulation: int
    compute: str
    precision: str
    rematerialise: bool
    updates: int
    workers: int
    devices: int


def answer(question: Question) -> dict[str, Any]:
    """Measures everything; the result is what `machine.write_result` keeps."""
    with tempfile.TemporaryDirectory() as folder:
        config = _configuration(question, Path(folder))
        devices = Devices.all(question.devices)
        with (run := prepare(config, devices, question.workers)).training:
            found = _updates(run, question)
        with (run := prepare(config, devices, question.workers)).training:
            alone = _batches_alone(run, question)
    needed = question.batch_size * found["updates_per_second"]
    return {
        "model": question.model.name,
        **{
            field.name: getattr(question, field.name)
            for field in dataclasses.fields(question)
            if field.name != "model"
        },
        **found,
        "examples_per_second": needed,
        "examples_per_second_of_the_pipeline_alone": alone,
        "pipeline_over_need": alone / needed,
        "host_peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
    }


def text(result: Mapping[str, Any]) -> str:
    """A table of it."""
    peak, others = result["device_peak_gb"], result["processor_share_of_others"]
    alone = result["examples_per_second_of_the_pipeline_alone"]
    rows = [
        ["model", result["model"]],
        ["batch", f"{result['batch_size']} in {result['accumulation']} parts"],
        ["compute, precision", f"{result['compute']}, {result['precision']}"],
        ["first update, seconds", f"{result['first_update_seconds']:.1f}"],
        ["updates a second", f"{result['updates_per_second']:.3g}"],
        ["examples a second", f"{result['examples_per_second']:.3g}"],
        ["arithmetic of an update, TFLOP", f"{result['tflop_of_an_update']:.3g}"],
        ["GFLOP/s", f"{result['gflop_per_second']:.1f}"],
        ["matrix product, GFLOP/s", f"{result['matrix_product_gflop_per_second']:.1f}"],
        ["share of it", f"{result['share_of_matrix_product_rate']:.2f}"],
        ["share of the cores others had", "?" if others is None else f"{others:.2f}"],
        ["input pipeline alone, examples a second", f"{alone:.0f}"],
        ["... over what the update takes", f"{result['pipeline_over_need']:.1f}"],
        ["device memory, GB", "not told" if peak is None else f"{peak:.2f}"],
        ["host memory of this process, GB", f"{result['host_peak_gb']:.2f}"],
    ]
    return aligned(rows)


def _configuration(question: Question, folder: Path) -> PretrainingConfig:
    """Of a run on a corpus that holds as many examples as are timed."""
    batches = question.updates + _UNTIMED_BATCHES
    images = -(-batches * question.batch_size // _CAPTIONS)
    say(f"building a corpus of {images} images")
    world = make_world(folder / "world", num_images=images)
    build_corpus(world.regions, world.entities, folder / "corpus", _SPLIT)
    return PretrainingConfig(
        name="benchmark",
        model=question.model,
        initial=InitialValues(scheme="uniform"),
        corpus=str(folder / "corpus"),
        train_split=_SPLIT,
        valid_split=None,
        vocabulary=str(world.vocabulary),
        steps=batches,
        batch_size=question.batch_size,
        accumulation=question.accumulation,
        compute=question.compute,
        precision=question.precision,
        rematerialise=question.rematerialise,
    )


def _updates(run: Run, question: Question) -> dict[str, Any]:
    """Times updates, between which matrix products take their turns."""
    say("compiling")
    state = run.initial_state(initial_values(run.config).values)
    update = train_step(run.objective, run.optimiser, run.learning_rate, run.devices)
    dtype = jnp.bfloat16 if question.compute == "bfloat16" else jnp.float32
    products = MatrixProducts(dtype, question.precision)

    def some(state: Any, count: int) -> tuple[Any, float]:
        begin = time.perf_counter()
        for _ in range(count):
            batch = run.devices.spread(next(run.training), question.accumulation)
            state, metrics = update(state, batch)
        metrics.loss.block_until_ready()
        return state, time.perf_counter() - begin

    state, first = some(state, 1)
    state, _ = some(state, 1)  # the first after compiling is slower
    say("training")
    seconds, others = 0.0, OtherProcesses()
    for count in _shares(question.updates, _TURNS):
        state, more = some(state, count)
        seconds += more
        products.take_turn()
    per_second = question.updates / seconds
    rate = products.rate * question.devices
    return {
        "first_update_seconds": first,
        "updates_per_second": per_second,
        "tflop_of_an_update": run.flops / 1e12,
        "gflop_per_second": run.flops * per_second / 1e9,
        "matrix_product_gflop_per_second": rate / 1e9,
        "share_of_matrix_product_rate": run.flops * per_second / rate,
        "processor_share_of_others": others.share,
        "device_peak_gb": device_peak_gb(run.devices.here),
    }


def _batches_alone(run: Run, question: Question) -> float:
    """Examples a second that the input pipeline makes when nobody trains."""
    say("making batches alone")
    for _ in range(_UNTIMED_BATCHES):
        next(run.training)
    begin = time.perf_counter()
    for _ in range(question.updates):
        next(run.training)
    return question.updates * question.batch_size / (time.perf_counter() - begin)


def _shares(total: int, turns: int) -> Iterator[int]:
    """`total` in at most `turns` parts that differ by one at most."""
    turns = min(turns, total)
    for turn in range(turns):
        yield total // turns + (turn < total % turns)
