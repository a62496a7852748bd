"""Tests the ablation test where the truth is known: 72 small trainings.

UNITER-like and ViLBERT-like models are pretrained on synthetic worlds and ablated:
with 0, 25, 50, 75 and 100% of the phrases following the image; and, at 100%, with a
detector that is right or wrong as often as the published one, with overlapping regions
hidden or visible in pretraining, with leaks that survive masking or not. Writes tables,
a figure and a conclusion.

    xabl controls --output=controls             # two hours, two cores
    xabl controls --output=controls --quick     # minutes

After an interruption, the same command continues.
"""

from pathlib import Path

from absl import flags

FLAGS = flags.FLAGS


def define_flags() -> None:
    flags.DEFINE_string("output", None, "folder to write to", required=True)
    flags.DEFINE_bool("quick", False, "6 trainings: 3 settings, one seed")
    flags.DEFINE_integer("seeds", 3, "trainings of each setting and model", 1)
    flags.DEFINE_integer(
        "steps", None, "updates of each model (default: as many as it needs)", 1
    )
    flags.DEFINE_integer(
        "processes", None, "trainings at the same time (default: a core each)", 1
    )


def main() -> None:
    """Runs the study."""
    import os

    from xabl.synthetic.controls import ControlsOptions, run_controls

    output = Path(FLAGS.output)
    options = ControlsOptions(
        quick=FLAGS.quick,
        seeds=FLAGS.seeds,
        steps=FLAGS.steps,
        processes=FLAGS.processes or os.cpu_count() or 1,
    )
    print(run_controls(output, options))
    for name in ("controls.tsv", "controls_figure.png", "conclusion.md"):
        print(output / name)
