r"""Measures an update of pretraining against the machine's matrix products.

Builds a corpus of the real data's shape (36 regions of 2048 features, captions as long
as in Flickr30k Entities) in a temporary folder and trains a full-size model from
random values on it, by the loop that xabl pretrain runs, taking turns with the
best matrix product. Then makes batches without training. Prints a table and keeps it
as JSON in benchmarks/results. More in benchmarks/README.md.

Examples:

  python -m benchmarks.pretraining --set=batch_size=8
  python -m benchmarks.pretraining --set=compute=bfloat16 --updates=50
"""

import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from benchmarks import machine, traces
from benchmarks.machine import MatrixProducts, OtherProcesses, device_peak_gb
from benchmarks.report import text
from benchmarks.world import CAPTIONS, make_world
from xabl.ablation.keeping import say
from xabl.pretraining.configuration import InitialValues, PretrainingConfig, overridden
from xabl.pretraining.corpus.writer import build_corpus
from xabl.pretraining.run import Run, initial_values, prepare
from xabl.pretraining.train_step import train_step
from xabl.support import binary
from xabl.support.devices import Devices
from xabl.support.freed_memory import keep_freed

_SET = flags.DEFINE_multi_string(
    "set", [], "changes a field of the configuration, as in xabl pretrain"
)
_UPDATES = flags.DEFINE_integer("updates", 8, "how many to time", lower_bound=1)
_WORKERS = flags.DEFINE_integer(
    "workers", 0, "processes that make batches (0: a thread)", lower_bound=0
)
_DEVICES = flags.DEFINE_integer("devices", 1, "local devices to use", lower_bound=1)
_TRACE = flags.DEFINE_bool("trace", False, "say what the device did in two updates")
_NAME = flags.DEFINE_string(
    "name", None, "what to call the results (default: pretraining_<model>)"
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "folder of the results (default: benchmarks/results)"
)

_SPLIT = "val"  # as the world calls its images
_TURNS = 8
_UNTIMED_BATCHES = 3
_TRACED = 2  # updates


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        config = _configuration(Path(folder))
        devices = Devices.all(_DEVICES.value)
        if devices.are_the_host:
            keep_freed()  # as xabl pretrain does
        with (run := prepare(config, devices, _WORKERS.value)).training:
            found = _updates(run)
        with (run := prepare(config, devices, _WORKERS.value)).training:
            alone = _batches_alone(run)
    needed = config.batch_size * found["updates_per_second"]
    result = {
        "model": config.model.name,
        "set": " ".join(_SET.value),
        "batch_size": config.batch_size,
        "devices": _DEVICES.value,
        "workers": _WORKERS.value,
        "updates": _UPDATES.value,
        **found,
        "examples_per_second": needed,
        "examples_per_second_of_the_pipeline_alone": alone,
        "pipeline_over_need": alone / needed,
        "host_peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
    }
    print(text(result))
    name = _NAME.value or f"pretraining_{config.model.name}"
    print(f"wrote {machine.write_result(name, result, _OUTPUT.value)}")


def _configuration(folder: Path) -> PretrainingConfig:
    """Of a run on a corpus that holds as many examples as are timed."""
    batches = _UPDATES.value + _TRACED + _UNTIMED_BATCHES
    config = PretrainingConfig(
        name="benchmark",
        initial=InitialValues(scheme="uniform"),
        corpus=str(folder / "corpus"),
        train_split=_SPLIT,
        valid_split=None,
        vocabulary=str(folder / "world" / "vocab.txt"),
        steps=batches,
    )
    config = overridden(config, _SET.value)
    images = -(-batches * config.batch_size // CAPTIONS)
    say(f"building a corpus of {images} images")
    world = make_world(folder / "world", num_images=images)
    build_corpus(world.regions, world.entities, Path(config.corpus), _SPLIT)
    return config


def _updates(run: Run) -> dict[str, Any]:
    """Times updates, between which matrix products take their turns."""
    say("compiling")
    config = run.config
    state = run.initial_state(initial_values(config).values)
    update = train_step(run.objective, run.optimiser, run.learning_rate, run.devices)
    products = MatrixProducts(config.compute, config.precision)

    def seconds_of(count: int) -> float:
        nonlocal state
        begin = time.perf_counter()
        for _ in range(count):
            batch = run.devices.spread(next(run.training), config.accumulation)
            state, metrics = update(state, batch)
        metrics.loss.block_until_ready()
        return time.perf_counter() - begin

    first = seconds_of(1)
    seconds_of(1)  # the first after compiling is slower
    say("training")
    seconds, core_seconds, others = 0.0, 0.0, OtherProcesses()
    turns = min(_TURNS, _UPDATES.value)
    for count in map(len, np.array_split(range(_UPDATES.value), turns)):
        begin = time.process_time()
        seconds += seconds_of(count)
        core_seconds += time.process_time() - begin
        products.take_turn()
    per_second = _UPDATES.value / seconds
    rate = products.rate * _DEVICES.value
    found = {
        "first_update_seconds": first,
        "updates_per_second": per_second,
        "tflop_of_an_update": run.flops / 1e12,
        "gflop_per_second": run.flops * per_second / 1e9,
        "matrix_product_gflop_per_second": rate / 1e9,
        "share_of_matrix_product_rate": run.flops * per_second / rate,
        "processor_share_of_others": others.share,
        "device_peak_gb": device_peak_gb(run.devices.here),
    }
    if run.devices.are_the_host:
        needed = run.flops / products.rate_of_a_core
        core_seconds /= _UPDATES.value
        found["core_seconds_of_an_update"] = core_seconds
        found["share_of_matrix_product_rate_by_core_seconds"] = needed / core_seconds
    if _TRACE.value:
        found["trace"] = traces.traced(lambda: seconds_of(_TRACED))
    return found


def _batches_alone(run: Run) -> float:
    """Examples a second that the input pipeline makes when nobody trains."""
    say("making batches alone")
    for _ in range(_UNTIMED_BATCHES):
        next(run.training)
    begin = time.perf_counter()
    for _ in range(_UPDATES.value):
        next(run.training)
    seconds = time.perf_counter() - begin
    return _UPDATES.value * run.config.batch_size / seconds


if __name__ == "__main__":
    binary.run(main)
