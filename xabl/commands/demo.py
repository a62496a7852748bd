"""The whole method in minutes, with nothing downloaded.

Makes a small world with known truth in the published file formats, pretrains small
models on it (one with a detector that is right, one with one that errs as the
published one does), removes each modality in two ways, and says what the models use:
for which words, whether the regions that stay mislead, and what the labels change.

    xabl demo --output=demo

After an interruption, the same command continues. --seeds=3 trains three models of each
kind, which takes three times as long; intervals are then of models of other seeds, too.
"""

from pathlib import Path

from absl import flags

FLAGS = flags.FLAGS


def define_flags() -> None:
    flags.DEFINE_string("output", "demo", "folder to write to")
    flags.DEFINE_integer(
        "steps",
        None,
        "updates of each model (default: as many as take some minutes)",
        1,
    )
    flags.DEFINE_integer(
        "seeds", None, "models for each kind of detector (default: 1)", 1
    )


def main() -> None:
    """Runs the demo."""
    from xabl.synthetic.demo import DemoSettings, run_demo

    asked = {name: FLAGS[name].value for name in ("steps", "seeds")}
    given = {name: value for name, value in asked.items() if value is not None}
    run_demo(Path(FLAGS.output), DemoSettings(**given))
