"""All that `benchmarks.ablation` measures of one model."""

import dataclasses
import resource
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import growth, speed
from benchmarks.machine import say
from benchmarks.naive_sample import NaiveSample
from benchmarks.parameters import save_model
from benchmarks.part import spread_images
from benchmarks.world import World, make_world
from xabl.ablation.engine.device_loop import Options
from xabl.ablation.engine.pair_scores import AblationScores
from xabl.ablation.engine.scorer import Precision
from xabl.ablation.inputs import InputFiles
from xabl.data.regions import open_regions
from xabl.models.config import ModelConfig
from xabl.results.losses import LOSSES
from xabl.support.devices import LocalDevices


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """See the flags of `benchmarks.ablation`.

    images: of the world; scored_images: some of them.
    """

    config: ModelConfig
    images: int
    scored_images: int
    naive_inputs: int
    precisions: tuple[Precision, ...]
    batch_size: int | None
    devices: int
    growth: bool


def answer(question: Question) -> dict[str, Any]:
    """Measures everything; the result is what `machine.write_result` keeps."""
    devices = LocalDevices(question.devices)
    with tempfile.TemporaryDirectory() as folder:
        files = Files(Path(folder), question.config)
        say("building the world and the model")
        world, model = files.world(question.images), files.model
        result = compare(question, devices, model, world)
        result["growth"] = []
        if question.growth:
            for run in growth.runs(question.scored_images, question.devices):
                say(f"a whole run: {run.grows} {run.size}")
                world = files.world(run.images)
                found = growth.measure(run, model, world, files.cache)
                result["growth"].append(found)
    return result


class Files:
    """A model, worlds of several sizes, and a place for compiled programs."""

    def __init__(self, folder: Path, config: ModelConfig):
        self._folder = folder
        self._worlds: dict[int, World] = {}
        self.cache = folder / "cache"
        self.model = folder / "model"
        vocabulary = self.world(1).vocabulary
        save_model(self.model, config, vocabulary)

    def world(self, images: int) -> World:
        """A world of so many images, made when first asked for."""
        if images not in self._worlds:
            folder = self._folder / f"world_{images}"
            self._worlds[images] = make_world(folder, num_images=images)
        return self._worlds[images]


def compare(
    question: Question, devices: LocalDevices, model: Path, world: World
) -> dict[str, Any]:
    """Ours, in every precision, and the naive way."""
    config = question.config
    text_only = config.text_only
    files = InputFiles(
        model=model,
        entities=world.entities,
        regions=None if text_only else world.regions,
    )
    loaded = speed.load(files, devices)
    part = spread_images(loaded.inputs.plan, question.scored_images)
    say("preparing the naive way")
    naive = NaiveSample(
        loaded.inputs,
        loaded.params,
        None if text_only else _regions(world),
        part,
        question.naive_inputs,
    )
    exact, found = None, []
    for precision in question.precisions:
        say(f"scoring {part.num_scored} inputs, {precision.value}")
        options = Options(precision=precision, batch_size=question.batch_size)
        measured = speed.measure(loaded, devices, options, part, naive)
        facts = {**measured.facts, "seconds": measured.seconds}
        if exact is None:
            exact = measured.scores
            # Ours may be of any precision, the naive way is always float32.
            difference, of_loss = naive.largest_difference(exact)
        else:
            facts["error_bits"] = errors(measured.scores, exact)
        found.append(facts)
    rate = naive.num_scored / naive.seconds
    first = found[0]
    return {
        "model": config.name,
        "images_of_the_plan": question.images,
        "naive": {
            "inputs": naive.num_scored,
            "inputs_per_second": rate,
            "largest_difference_nats": difference,
            "of_a_loss_of_nats": of_loss,
        },
        "ratio": first["inputs_per_second"] / rate,
        "ratio_of_arithmetic": first["naive_tflop"] / first["tflop"],
        "precisions": found,
        "host_peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
    }


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


def _regions(world: World):
    with open_regions(world.regions) as source:
        return source.read_all(source.image_ids)
