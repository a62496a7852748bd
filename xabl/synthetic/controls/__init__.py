"""The controls study: the ablation where the truth is known.

Small models are pretrained on worlds that differ in one truth at a time, and ablated as
published models are. Does the ablation find what is there, and nothing else? Do the
causes that the paper suspects (wrong labels, overlapping regions) have the effect?

    grid        settings and trainings
    effects     increases of the losses, by setting
    figure      measured influence against the truth
    conclusion  the controls in words
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from xabl.analysis.figures.style import save
from xabl.analysis.files import write_text, write_tsv
from xabl.synthetic.controls.conclusion import conclusion
from xabl.synthetic.controls.effects import effect_of_labels, effects
from xabl.synthetic.controls.figure import draw
from xabl.synthetic.controls.grid import BASE as BASE
from xabl.synthetic.controls.grid import ControlsOptions as ControlsOptions
from xabl.synthetic.controls.grid import Setting as Setting
from xabl.synthetic.controls.grid import settings as settings
from xabl.synthetic.controls.grid import trials as trials
from xabl.synthetic.parallel_trials import run_trials


def run_controls(output: Path, options: ControlsOptions) -> str:
    """Runs the study in `output`, or continues it; returns the conclusion.

    Writes controls.tsv (a row for each setting, model, loss and ablation),
    controls_labels.tsv (gold against silver), controls_figure.{pdf,svg,png,tsv} and
    conclusion.md.

    Raises:
        UserError: a training failed; `output` cannot be written to.
    """
    pairs = trials(options)
    paths = run_trials([trial for _, trial in pairs], output, options.processes)
    results: dict[Setting, list[Path]] = {}
    for (setting, _), path in zip(pairs, paths, strict=True):
        results.setdefault(setting, []).append(path)
    return write_study(output, results)


def write_study(output: Path, results: Mapping[Setting, Sequence[Path]]) -> str:
    """Tables, figure and conclusion from results directories; the conclusion."""
    table = pd.concat([effects(*item) for item in results.items()], ignore_index=True)
    write_tsv(output / "controls.tsv", table)
    labels = None
    silver = Setting(labels="silver")
    if BASE in results and silver in results:
        labels = effect_of_labels(results[BASE], results[silver])
        write_tsv(output / "controls_labels.tsv", labels)
    drawn = draw(table)
    save(drawn, output, "controls_figure")
    text = conclusion(table, labels)
    write_text(output / "conclusion.md", f"{drawn.caption}\n\n{text}")
    return text
