"""The whole method on a small world: what `make demo` runs.

A world is made twice, with a detector that is right (gold labels) and with one that
errs as the published one does (silver labels). A small model is pretrained on each,
both are put to the ablation test, and the table, figures and report are written.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from xabl import analysis
from xabl.ablation import run as ablation_run
from xabl.ablation.evaluate import Options
from xabl.ablation.inputs import InputFiles
from xabl.analysis.figures import write_figures
from xabl.analysis.report import ReportOptions, write_report
from xabl.atomic import new_file
from xabl.data.word_pieces import read_vocabulary
from xabl.errors import UserError
from xabl.pretraining.configuration import InitialValues, PretrainingConfig
from xabl.pretraining.corpus_import import CorpusRequest, build_corpus
from xabl.pretraining.input_config import InputConfig
from xabl.pretraining.optimiser import OptimiserConfig
from xabl.pretraining.train import pretrain
from xabl.synthetic.make_world import ENTITIES, REGION_FILES, make_world
from xabl.synthetic.settings import LABEL_NOISES, WorldSettings
from xabl.synthetic.small_models import small_uniter

_THRESHOLDS = (0.5,)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemoSettings:
    """How much is done; the defaults take minutes on two cores.

    steps: updates of each model. predictions: kept for the report's examples.
    """

    world: WorldSettings = WorldSettings(
        train_images=2000,
        val_images=60,
        test_images=1,
        classes_per_type=2,
        region_overlap=4,
        feature_size=128,
    )
    steps: int = 600
    batch_size: int = 32
    predictions: int = 5


def run_demo(output: Path, settings: DemoSettings | None = None) -> None:
    """Runs the demo in `output`; what an earlier run there finished is kept.

    Raises:
        UserError: `output` cannot be written to.
    """
    settings = settings or DemoSettings()
    results = []
    for labels in LABEL_NOISES:
        print(f"\n== {labels} labels ==", flush=True)
        results.append(_one_model(output / labels, labels, settings))
    print("\n== figures and report ==", flush=True)
    write_figures(results, output / "figures", numbers=(1,))
    world = output / LABEL_NOISES[0] / "world"
    write_report(
        results,
        output / "report.html",
        ReportOptions(
            images=world / "pictures",
            # The worlds differ in what the detector calls things, not in what it finds.
            regions=world / REGION_FILES["hdf5store"],
            class_names=world / "objects_vocab.txt",
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
    """The table of differences with intervals, and what follows from it in words."""
    study = analysis.load_study(list(results))
    bootstrap = analysis.effects.bootstrap_of(study)
    rows = analysis.effects.differences(study, bootstrap)
    rows = rows[rows["metric"].isin(["mlm", "mrc_kl"])]
    lines = [
        "Difference to the intact input in bits, 95% intervals (resampled images)",
        f"{'model':<8} {'direction':<9} {'ablated':<12} {'difference':>10}  interval",
    ]
    for row in rows.to_dict("records"):
        lines.append(
            f"{row['model']:<8} {row['direction']:<9} {row['condition']:<12} "
            f"{row['difference']:>+10.3f}  {row['low']:+.3f} to {row['high']:+.3f}"
        )
    whole = rows[rows["condition"] == "all"]
    lines += ["", *(map(analysis.verdicts.effect_sentence, whole.to_dict("records")))]
    return "\n".join(lines) + "\n"


def _one_model(folder: Path, labels: str, settings: DemoSettings) -> Path:
    """World, corpus, pretraining, ablation; returns the results directory."""
    world, corpus, workdir = (folder / name for name in ("world", "corpus", "run"))
    results = folder / "results"
    regions = world / REGION_FILES["hdf5store"]
    if not world.exists():
        make_world(
            world,
            dataclasses.replace(settings.world, label_noise=labels),
            pictures=True,
            progress=lambda images: tqdm(images, desc="world", disable=None),
        )
    if not (corpus / "train").exists():
        request = CorpusRequest(
            source=regions,
            captions=world / ENTITIES,
            output=corpus,
            split="train",
            image_ids=world / ENTITIES / "train.txt",
        )
        print(build_corpus(request), flush=True)
    if not pretrain(_pretraining(folder, labels, settings), workdir):
        raise UserError(
            "asked to stop; the same command goes on where this one was left"
        )
    ablation_run.run(
        ablation_run.RunOptions(
            files=InputFiles(
                model=workdir / "model",
                entities=world / ENTITIES,
                regions=regions,
                thresholds=_THRESHOLDS,
            ),
            evaluation=Options(top=settings.predictions),
            output=results,
            resume=results.exists(),
            label=labels,
            model_seed=0,
        )
    )
    return results


def _pretraining(
    folder: Path, labels: str, settings: DemoSettings
) -> PretrainingConfig:
    vocabulary = folder / "world" / "vocab.txt"
    return PretrainingConfig(
        name=f"demo_{labels}",
        model=small_uniter(
            len(read_vocabulary(vocabulary)), settings.world.feature_size
        ),
        # More targets than the published 15%, because few updates have to do; and no
        # copies of a masked region left to read its class from.
        inputs=InputConfig(objective=2, word_rate=0.4, overlap_masking="zero_features"),
        optimiser=OptimiserConfig(learning_rate=2e-3, beta2=0.98),
        initial=InitialValues(scheme="uniform"),
        corpus=str(folder / "corpus"),
        valid_split=None,
        vocabulary=str(vocabulary),
        steps=settings.steps,
        batch_size=settings.batch_size,
        checkpoint_every=200,
        keep_epochs=False,
    )
