"""The whole method on a small world: what `xabl demo` runs.

The world is made twice: with a detector that is right (gold labels), and with one that
errs as often as the published detector (silver labels). A small model is pretrained on
each and ablated; then table, figures and report are written.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from xabl import analysis
from xabl.analysis.figures import write_figures
from xabl.analysis.report import ReportOptions, write_report
from xabl.support.atomic import new_file
from xabl.synthetic.parallel_trials import run_trials
from xabl.synthetic.trials import SmallWorld, Trial, TrialFolders
from xabl.synthetic.world.settings import LABEL_NOISES

_LABELS = (
    "gold labels: the detector names every object rightly; silver labels: it errs as "
    "often as the published one."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemoSettings:
    """Size of the demo; the defaults take minutes on two cores.

    train_images, val_images: of the world.
    steps: updates of each model.
    processes: models trained at the same time.
    """

    train_images: int = 2000
    val_images: int = 60
    steps: int = 2400
    processes: int = 2


def run_demo(output: Path, settings: DemoSettings | None = None) -> None:
    """Runs the demo in a folder, or continues an earlier run there.

    Raises:
        UserError: `output` cannot be written to.
    """
    settings = settings or DemoSettings()
    trials = [_trial(labels, settings) for labels in LABEL_NOISES]
    print(
        f"Two small worlds, a model pretrained on each, both ablated; in {output}\n"
        f"{_LABELS}",
        flush=True,
    )
    results = run_trials(trials, output, settings.processes)
    gold = TrialFolders(root=output, trial=trials[0])
    write_figures(results, output / "figures", numbers=(1,))
    write_report(
        results,
        output / "report.html",
        ReportOptions(
            images=gold.world / "pictures",
            # The worlds differ in the detector's labels, not in its regions.
            regions=gold.regions,
            class_names=gold.world / "objects_vocab.txt",
            overwrite=True,
        ),
    )
    text = story(results)
    with new_file(output / "answer.txt", overwrite=True) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print("\n" + text)
    for name in ("answer.txt", "figures", "report.html"):
        print(output / name)


def story(results: Sequence[Path]) -> str:
    """The table of losses with intervals, and the conclusions in words."""
    study = analysis.load_study(list(results))
    bootstrap = analysis.effects.bootstrap_of(study)
    rows = analysis.effects.differences(study, bootstrap, metrics=("mlm", "mrc_kl"))
    lines = [
        f"{_LABELS}\n",
        "Loss in bits and its increase, 95% intervals over images",
        f"{'model':<13} {'direction':<9} {'loss':<7} {'ablated':<11} {'intact':>7} "
        f"{'increase':>9}  interval",
    ]
    for row in rows.to_dict("records"):
        lines.append(
            f"{row['model']:<13} {row['direction']:<9} {row['metric']:<7} "
            f"{row['condition']:<11} {row['none']:>7.3f} {row['difference']:>+9.3f}  "
            f"{row['low']:+.3f} to {row['high']:+.3f}"
        )
    whole = rows[rows["condition"] == "all"]
    lines += ["", *(map(analysis.verdicts.effect_sentence, whole.to_dict("records")))]
    misled = analysis.misled.lost_and_misled(study, bootstrap)
    lines += ["", *(map(analysis.verdicts.misled_sentence, misled.to_dict("records")))]
    lines += ["", *_effect_of_labels(study, bootstrap)]
    return "\n".join(lines) + "\n"


def _effect_of_labels(
    study: analysis.Study, bootstrap: analysis.ImageBootstrap
) -> list[str]:
    """Gold against silver: a sentence for each direction."""
    pair = (study.models[0].label, study.models[1].label)
    table = analysis.comparisons.compare_models(study, bootstrap, [pair])
    rows = table[(table["quantity"] == "effect") & (table["condition"] == "all")]
    return list(map(analysis.verdicts.comparison_sentence, rows.to_dict("records")))


def _trial(labels: str, settings: DemoSettings) -> Trial:
    return Trial(
        name=labels,
        label=f"{labels} labels",
        world=SmallWorld(
            name=labels,
            train_images=settings.train_images,
            val_images=settings.val_images,
            label_noise=labels,
            pictures=True,
        ),
        steps=settings.steps,
        predictions=5,
    )
