r"""Measures an update of pretraining against the machine's matrix products.

Builds a corpus of the real data's shape (36 regions of 2048 features, captions as long
as in Flickr30k Entities) in a temporary folder and trains a full-size model from
random values on it, by the loop that xabl pretrain runs, taking turns with the
best matrix product. Then makes batches without training. Prints a table and keeps it
as JSON in benchmarks/results. More in benchmarks/README.md.

Examples:

  python -m benchmarks.pretraining --model=ctrl_uniter_base --batch_size=8
  python -m benchmarks.pretraining --batch_size=256 --compute=bfloat16 --updates=50
"""

from pathlib import Path

from absl import flags

from xabl.support import binary

_MODEL = flags.DEFINE_string(
    "model", "ctrl_uniter_base", "a preset, or a configuration file of the reference"
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 8, "examples an update, over all devices", lower_bound=1
)
_ACCUMULATION = flags.DEFINE_integer(
    "accumulation", 1, "parts a device computes its share in", lower_bound=1
)
_COMPUTE = flags.DEFINE_enum(
    "compute", "float32", ["float32", "bfloat16"], "of activations"
)
_PRECISION = flags.DEFINE_enum(
    "precision", "default", ["default", "high", "highest"], "of float32 products"
)
_REMATERIALISE = flags.DEFINE_bool(
    "rematerialise", False, "compute hidden states twice to store fewer"
)
_UPDATES = flags.DEFINE_integer("updates", 8, "how many to time", lower_bound=1)
_WORKERS = flags.DEFINE_integer(
    "workers", 0, "processes that make batches (0: a thread)", lower_bound=0
)
_DEVICES = flags.DEFINE_integer("devices", 1, "local devices to use", lower_bound=1)
_NAME = flags.DEFINE_string(
    "name", None, "what to call the results (default: pretraining_<model>)"
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "folder of the results (default: benchmarks/results)"
)


def main() -> None:
    from benchmarks import machine
    from benchmarks.updates import Question, answer, text
    from xabl.models.presets import load_config

    config = load_config(_MODEL.value)
    result = answer(
        Question(
            model=config,
            batch_size=_BATCH_SIZE.value,
            accumulation=_ACCUMULATION.value,
            compute=_COMPUTE.value,
            precision=_PRECISION.value,
            rematerialise=_REMATERIALISE.value,
            updates=_UPDATES.value,
            workers=_WORKERS.value,
            devices=_DEVICES.value,
        )
    )
    print(text(result))
    platform = machine.machine()["platform"]
    folder = Path(_OUTPUT.value) if _OUTPUT.value else machine.RESULTS
    name = _NAME.value or f"pretraining_{config.name}"
    path = machine.write_result(f"{name}_{platform}", result, folder)
    print(f"wrote {path}")


if __name__ == "__main__":
    binary.run(main)
