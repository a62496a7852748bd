r"""Measures the ablation against the naive way, and what it needs.

Builds a world of the real data's shape and a full-size model with random parameters,
both in a temporary folder, plans all of it and scores a part. In one process, taking
turns: the naive way (every example under every condition on its own, 38 pieces, all
heads, batches of 16; a random part of it), ours, and the best matrix product; other
precisions and their error. Then, one process each, how whole runs grow with images,
conditions, models and devices. Prints tables and keeps them as JSON in
benchmarks/results. More in benchmarks/README.md.

Example:

  python -m benchmarks.ablation --model=ctrl_uniter_base --part=0.01
"""

import resource
import tempfile
from pathlib import Path
from typing import Any

from absl import flags

from benchmarks import growth, machine, speed
from benchmarks.naive_sample import NaiveSample
from benchmarks.parameters import save_model
from benchmarks.part import spread_images
from benchmarks.report import text
from benchmarks.world import IMAGES, World, make_world
from xabl.ablation.keeping import say
from xabl.ablation.options import InputFiles, Options, Precision
from xabl.data.regions import open_regions
from xabl.models.presets import load_config
from xabl.support import binary
from xabl.support.devices import LocalDevices

_MODEL = flags.DEFINE_string(
    "model", "ctrl_uniter_base", "a preset, or a configuration file of the reference"
)
_IMAGES = flags.DEFINE_float(
    "images",
    1.0,
    "how large a part of 1,000 images the world has, all of them planned",
    lower_bound=0.001,
    upper_bound=1,
)
_PART = flags.DEFINE_float(
    "part",
    0.01,
    "how large a part of the world's images, evenly spread, to score",
    lower_bound=0.0,
    upper_bound=1,
)
_NAIVE_INPUTS = flags.DEFINE_integer(
    "naive_inputs", 96, "how many inputs to score the naive way", lower_bound=1
)
_PRECISIONS = flags.DEFINE_multi_enum_class(
    "precision",
    [Precision.HIGHEST],
    Precision,
    "may be repeated; all others are compared with the first",
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", None, "as in xabl ablate", lower_bound=1
)
_DEVICES = flags.DEFINE_integer("devices", 1, "local devices to use", lower_bound=1)
_TRACE = flags.DEFINE_bool("trace", False, "say what the device did in a few steps")
_NAME = flags.DEFINE_string(
    "name", None, "what to call the results (default: ablation_<model>)"
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "folder of the results (default: benchmarks/results)"
)
_GROWTH = flags.DEFINE_bool("growth", True, "measure how whole runs grow")


def main() -> None:
    config = load_config(_MODEL.value)
    images = max(1, round(_IMAGES.value * IMAGES))
    part = max(1, round(_PART.value * images))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        say("building the world and the model")
        world = make_world(folder / "world", num_images=images)
        model = folder / "model"
        save_model(model, config, world.vocabulary)
        files = InputFiles(
            model=model,
            entities=world.entities,
            regions=None if config.text_only else world.regions,
        )
        result = {"model": config.name, "images_of_the_plan": images}
        result |= _compare(files, world, part)
        if _GROWTH.value:
            result["growth"] = list(growth.measure(folder, model, part, _DEVICES.value))
    print(text(result))
    name = _NAME.value or f"ablation_{config.name}"
    print(f"wrote {machine.write_result(name, result, _OUTPUT.value)}")


def _compare(files: InputFiles, world: World, images: int) -> dict[str, Any]:
    """Ours, in every precision, and the naive way."""
    devices = LocalDevices(_DEVICES.value)
    loaded = speed.load(files, devices)
    part = spread_images(loaded.inputs.plan, images)
    say("preparing the naive way")
    regions = None
    if files.regions is not None:
        with open_regions(world.regions) as source:
            regions = source.read_all(source.image_ids)
    naive = NaiveSample(
        loaded.inputs, loaded.params, regions, part, _NAIVE_INPUTS.value
    )
    exact, found = None, []
    for precision in _PRECISIONS.value:
        say(f"scoring {part.num_scored} inputs, {precision.value}")
        options = Options(precision=precision, batch_size=_BATCH_SIZE.value)
        scores, facts = speed.measure(
            loaded, devices, options, part, naive, trace=_TRACE.value
        )
        if exact is None:
            exact = scores
            # Ours may be of any precision, the naive way is always float32.
            difference, of_loss = naive.largest_difference(exact)
        else:
            facts["error_bits"] = speed.errors(scores, exact)
        found.append(facts)
    rate = naive.num_scored / naive.seconds
    first = found[0]
    return {
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


if __name__ == "__main__":
    binary.run(main)
