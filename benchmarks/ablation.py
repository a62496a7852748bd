r"""Measures the ablation against the naive way, and what it needs.

Builds a world of the real data's shape and a full-size model with random parameters,
both in a temporary folder, plans all of it and scores a part. In one process, taking
turns: the naive way (every example under every condition on its own, 38 pieces, all
heads, batches of 16; a random part of it), ours, and the best matrix product; other
precisions and their error. Then, one process each, how whole runs grow with images,
conditions, models and devices. Prints tables; keeps them as JSON and SVG in
benchmarks/results. More in benchmarks/README.md.

Example:

  python -m benchmarks.ablation --model=ctrl_uniter_base --part=0.01
"""

import json
from pathlib import Path

from absl import flags

from xabl.errors import UserError
from xabl.support import binary

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
_PRECISIONS = flags.DEFINE_list(
    "precisions",
    ["highest"],
    "highest, default, bfloat16: the first takes turns with the naive way, the others "
    "are compared with it",
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", None, "as in xabl ablate", lower_bound=1
)
_DEVICES = flags.DEFINE_integer("devices", 1, "local devices to use", lower_bound=1)
_NAME = flags.DEFINE_string(
    "name", None, "what to call the results (default: ablation_<model>)"
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "folder of the results (default: benchmarks/results)"
)
_GROWTH = flags.DEFINE_bool("growth", True, "measure how whole runs grow")


def main() -> None:
    from benchmarks import machine, plots, report
    from benchmarks.measurements import Question, answer
    from benchmarks.world import IMAGES
    from xabl.ablation.engine.scorer import Precision
    from xabl.models.presets import load_config

    try:
        precisions = tuple(Precision(name) for name in _PRECISIONS.value)
    except ValueError as error:
        raise UserError(f"--precisions: {error}") from error
    if not precisions:
        raise UserError("--precisions: give at least one")
    config = load_config(_MODEL.value)
    images = max(1, round(_IMAGES.value * IMAGES))
    result = answer(
        Question(
            config=config,
            images=images,
            scored_images=max(1, round(_PART.value * images)),
            naive_inputs=_NAIVE_INPUTS.value,
            precisions=precisions,
            batch_size=_BATCH_SIZE.value,
            devices=_DEVICES.value,
            growth=_GROWTH.value,
        )
    )
    print(report.text(result))
    platform = machine.machine()["platform"]
    folder = Path(_OUTPUT.value) if _OUTPUT.value else machine.RESULTS
    name = _NAME.value or f"ablation_{config.name}"
    path = machine.write_result(f"{name}_{platform}", result, folder)
    plots.save(json.loads(path.read_text()), path.with_suffix(".svg"))
    print(f"wrote {path} and its picture")


if __name__ == "__main__":
    binary.run(main)
