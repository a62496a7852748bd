"""Tests the ablation test where the truth is known: 72 small trainings.

UNITER-like and ViLBERT-like models are pretrained on synthetic worlds and ablated:
with 0, 25, 50, 75 and 100% of the phrases following the image; and, at 100%, with a
detector that is right or wrong as often as the published one, with overlapping regions
hidden or visible in pretraining, with leaks that survive masking or not. Writes tables,
a figure and a conclusion.

    python -m experiments.controls --output=controls             # two hours, two cores
    python -m experiments.controls --output=controls --quick     # minutes

Interrupted, it goes on where it was when the same command is given again.
"""

from pathlib import Path

from absl import flags

from xabl.support import binary

_OUTPUT = flags.DEFINE_string("output", None, "Folder to write to.", required=True)
_QUICK = flags.DEFINE_bool("quick", False, "6 trainings: 3 settings, one seed.")
_SEEDS = flags.DEFINE_integer("seeds", 3, "Trainings of each setting and model.", 1)
_STEPS = flags.DEFINE_integer(
    "steps", None, "Updates of each model (default: as many as it needs).", 1
)
_PROCESSES = flags.DEFINE_integer(
    "processes", None, "Trainings at the same time (default: a core each).", 1
)


def main() -> None:
    """Runs the study."""
    import os

    from xabl.synthetic.controls import ControlsOptions, run_controls

    output = Path(_OUTPUT.value)
    options = ControlsOptions(
        quick=_QUICK.value,
        seeds=_SEEDS.value,
        steps=_STEPS.value,
        processes=_PROCESSES.value or os.cpu_count() or 1,
    )
    print(run_controls(output, options))
    for name in ("controls.tsv", "controls_figure.png", "conclusion.md"):
        print(output / name)


if __name__ == "__main__":
    binary.run(main)
