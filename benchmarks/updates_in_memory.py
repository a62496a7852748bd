"""Pretraining updates on batches made in memory: no corpus, no input pipeline.

For machines without grain, array_record and tensorflow-datasets, and for what an
update takes when batches are there already.
"""

import dataclasses
import functools
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pyarrow

from benchmarks import traces
from benchmarks.machine import device_peak_gb, matrix_product_rate
from benchmarks.world import CAPTIONS, REGIONS
from xabl.data.regions import open_regions
from xabl.models.config import ModelConfig
from xabl.models.model import VisionLanguageBert, flatten, parameter_shapes
from xabl.pretraining.corpus.reader import CorpusImage
from xabl.pretraining.initial_values import random_values
from xabl.pretraining.inputs.batch import PretrainingBatch
from xabl.pretraining.inputs.config import InputConfig
from xabl.pretraining.inputs.example_maker import ExampleMaker
from xabl.pretraining.objective import forward, losses
from xabl.pretraining.optimiser import (
    OptimiserConfig,
    is_decayed,
    optimiser,
    warmup_linear,
)
from xabl.pretraining.train_step import TrainState, TrainStep, train_step
from xabl.support import arithmetic
from xabl.support.devices import Devices

_BATCHES = 4  # different ones, taken in turn
_UPDATES = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """compute, precision: as a `PretrainingConfig` has them."""

    model: ModelConfig
    batch_size: int
    compute: str
    precision: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prepared:
    """An update that can be made.

    objective, optimiser: what is computed. learning_rate: of each update.
    devices: one. state: before the first update. update: not compiled yet.
    batches: different ones, and the same `placed` on the device.
    """

    objective: forward.Objective
    optimiser: OptimiserConfig
    learning_rate: optax.Schedule
    devices: Devices
    state: TrainState
    update: TrainStep
    batches: list[PretrainingBatch]
    placed: list[PretrainingBatch]

    @functools.cached_property
    def flops(self) -> float:
        """Operations of the matrix products of loss and gradient."""
        batch = self.batches[0]

        def gradient(ours, fixed):
            return jax.grad(
                lambda x: forward.plain_loss(self.objective, x | fixed, batch)
            )(ours)

        state = self.state
        return arithmetic.matrix_product_flops(gradient, state.trained, state.fixed)


def prepare(question: Question, world: Path) -> Prepared:
    """Places the state before the first update, and batches.

    Args:
        world: where `benchmarks.world` wrote captions and regions.
    """
    config, inputs = question.model, InputConfig()
    maker = ExampleMaker(_Corpus(world), world / "vocab.txt", config, inputs)
    rng = np.random.default_rng(0)
    numbers = rng.permutation(len(maker.corpus))
    size = question.batch_size
    batches = [
        maker.batch(0, 0, np.resize(numbers[n * size :], size)) for n in range(_BATCHES)
    ]
    dtype = jnp.dtype(question.compute)
    objective = forward.Objective(
        model=VisionLanguageBert(config, dtype=dtype, precision=question.precision),
        weights=losses.loss_weights(config, inputs),
        word_rate=inputs.word_rate,
        region_rate=inputs.region_rate,
    )
    devices = Devices.all(1)
    part = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), batches[0])
    shapes = flatten(parameter_shapes(config))
    trained = forward.parameters_in_loss(objective, shapes, part)
    rate = warmup_linear(1e-4, warmup_steps=10, total_steps=1000)
    rule = optimiser(OptimiserConfig(), rate, is_decayed(config))

    @functools.partial(jax.jit, out_shardings=devices.replicated)
    def first_state(values: dict[str, jax.Array]) -> TrainState:
        ours = {path: x for path, x in values.items() if path in trained}
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            key=jax.random.key_data(jax.random.key(0)),
            trained=ours,
            fixed={path: x for path, x in values.items() if path not in trained},
            optimiser=rule.init(ours),
        )

    found = Prepared(
        objective=objective,
        optimiser=OptimiserConfig(),
        learning_rate=rate,
        devices=devices,
        state=first_state(random_values(config, "uniform", 0).values),
        update=train_step(objective, rule, rate, devices),
        batches=batches,
        placed=[devices.spread(batch, 1) for batch in batches],
    )
    jax.block_until_ready((found.state, found.placed))
    return found


def answer(question: Question, world: Path) -> dict[str, Any]:
    """Times updates and traces one.

    Args:
        world: where `benchmarks.world` wrote captions and regions.
    """
    begin = time.perf_counter()
    prepared = prepare(question, world)
    ready = time.perf_counter()
    flops = prepared.flops  # before the state is donated
    update, placed, devices = prepared.update, prepared.placed, prepared.devices
    batches = prepared.batches
    first_begin = time.perf_counter()
    state, metrics = update(prepared.state, placed[0])
    first_loss = float(metrics.loss)
    first = time.perf_counter() - first_begin

    timed = _timed(update, state, placed, lambda n: devices.spread(batches[n], 1))
    best = matrix_product_rate(jnp.dtype(question.compute), question.precision)
    seconds = timed["update_seconds"]
    return {
        "model": question.model.name,
        "batch_size": question.batch_size,
        "compute": question.compute,
        "precision": question.precision,
        "first_loss": first_loss,
        "prepare_seconds": ready - begin,
        "first_update_seconds": first,
        "batch_megabytes": sum(x.nbytes for x in jax.tree.leaves(batches[0])) / 1e6,
        "tflop_of_an_update": flops / 1e12,
        "tflop_per_second": flops / seconds / 1e12,
        "matrix_product_tflop_per_second": best / 1e12,
        "share_of_matrix_product_rate": flops / seconds / best,
        "device_peak_gb_so_far": device_peak_gb(devices.here),
        **timed,
    }


def _timed(
    update: TrainStep,
    state: TrainState,
    placed: list[PretrainingBatch],
    ship: Callable[[int], PretrainingBatch],
) -> dict[str, Any]:
    """Seconds of an update, alone and with its batch sent first, and a trace."""
    held = [state]

    def some(count: int, batch_of: Callable[[int], PretrainingBatch]) -> float:
        begin = time.perf_counter()
        for number in range(count):
            held[0], metrics = update(held[0], batch_of(number % len(placed)))
        metrics.loss.block_until_ready()
        return (time.perf_counter() - begin) / count

    some(2, placed.__getitem__)  # the first after compiling is slower
    return {
        "update_seconds": some(_UPDATES, placed.__getitem__),
        "update_seconds_with_shipping": some(_UPDATES, ship),
        "trace": traces.traced(lambda: some(2, placed.__getitem__)),
    }


class _Corpus:
    """A world as `ExampleMaker` reads a corpus, in memory."""

    directory, split = Path("memory"), "val"
    num_boxes, feature_size = REGIONS, 2048
    has_cls_prob, has_attributes = True, False

    def __init__(self, world: Path):
        entities = world / "flickr30k_entities"
        ids = (entities / "val.txt").read_text().split()
        captions = []
        for image_id in ids:
            text = (entities / "Sentences" / f"{image_id}.txt").read_text()
            # "[/EN#1/people two words] ..." without the brackets.
            captions += re.sub(r"\[\S+ |\]", "", text).splitlines()
        self.captions = pyarrow.array(captions)
        self.image_of = np.arange(len(captions), dtype=np.int32) // CAPTIONS
        with open_regions(world / "regions.h5") as source:
            self._images = [_image(source.read(image_id)) for image_id in ids]
        self.average_features = np.mean(
            [image.features.mean(axis=0) for image in self._images], axis=0
        )

    def __len__(self) -> int:
        return len(self.captions)

    def image(self, record: int) -> CorpusImage:
        return self._images[record]


def _image(regions: Any) -> CorpusImage:
    names = {field.name for field in dataclasses.fields(CorpusImage)}
    given = {name: getattr(regions, name) for name in names & set(vars(regions))}
    nothing = dict.fromkeys(names)
    return CorpusImage(
        **{**nothing, **given, "num_boxes": len(regions.boxes)},
    )
