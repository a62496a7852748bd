"""The whole method in minutes, with nothing downloaded.

Makes a small world with known truth in the published file formats, pretrains small
models on it (three with a detector that is right, three with one that errs as the
published one does), removes each modality in two ways, and says what the models use:
for which words, whether the regions that stay mislead, and what the labels change.

    xabl demo --output=demo

After an interruption, the same command continues.
"""

from pathlib import Path

from absl import flags

FLAGS = flags.FLAGS


def define_flags() -> None:
    flags.DEFINE_string("output", "demo", "Folder to write to.")
    flags.DEFINE_integer(
        "steps", None, "Updates of each model (default: some minutes of them).", 1
    )


def main() -> None:
    """Runs the demo."""
    import dataclasses

    from xabl.synthetic.demo import DemoSettings, run_demo

    settings = DemoSettings()
    if FLAGS.steps is not None:
        settings = dataclasses.replace(settings, steps=FLAGS.steps)
    run_demo(Path(FLAGS.output), settings)
