"""Trials: a small model pretrained on a world whose truth is known, then ablated.

A folder of trials has:

    worlds/<name>/world, worlds/<name>/corpus: shared by the trials on it;
    runs/<trial>: pretraining;
    results/<trial>: a results directory, as `xabl ablate` writes it.

What an earlier call finished is kept.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from xabl.ablation import run as ablation_run
from xabl.ablation.options import InputFiles, Options
from xabl.data.word_pieces import read_vocabulary
from xabl.models.config import ModelConfig
from xabl.pretraining.configuration import InitialValues, PretrainingConfig
from xabl.pretraining.corpus.writer import build_corpus
from xabl.pretraining.inputs.config import InputConfig, TrainingAblation
from xabl.pretraining.optimiser import OptimiserConfig
from xabl.pretraining.small_models import small_uniter, small_vilbert
from xabl.pretraining.train import pretrain
from xabl.results.conditions import MAIN_THRESHOLD
from xabl.studies.worker import Stopped
from xabl.synthetic.world.files import ENTITIES, REGION_FILES, make_world
from xabl.synthetic.world.settings import WorldSettings

ARCHITECTURES: dict[str, Callable[[int, int], ModelConfig]] = {
    "UNITER": small_uniter,
    "ViLBERT": small_vilbert,
}
_TRAIN = "train"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SmallWorld(WorldSettings):
    """A world that small models learn in minutes.

    It has narrow features, two classes for each phrase type, and five regions for each
    object: with one region of 36, objects would be targets too seldom.

    name: of its folder.
    """

    name: str
    train_images: int = 2000
    val_images: int = 60
    test_images: int = 1
    region_overlap: str | int = 5
    feature_size: int = 128
    classes_per_type: int = 2

    @property
    def settings(self) -> WorldSettings:
        """The settings without the name."""
        fields = dataclasses.fields(WorldSettings)
        return WorldSettings(**{x.name: getattr(self, x.name) for x in fields})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """One small model and how it is pretrained.

    name: of its folders.
    label: name of the model in tables.
    world: what it is trained and ablated on.
    architecture: a key of `ARCHITECTURES`.
    overlap_masking: of other regions that show a masked region's object
        (`InputConfig`): "zero_features" hides them, "published" leaves them visible.
    words_hidden: every word is masked during training.
    start: name of the trial whose model this one starts from; None: random values.
    seed: of the training.
    steps: updates of 16 captions.
    replace: ways of removing beside the published ones.
    predictions: number of predictions kept for each example.
    """

    name: str
    label: str
    world: SmallWorld
    architecture: str = "UNITER"
    overlap_masking: str = "zero_features"
    words_hidden: bool = False
    start: str | None = None
    seed: int = 0
    steps: int = 2400
    replace: tuple[str, ...] = ()
    predictions: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrialFolders:
    """The folders of a trial.

    root: folder of all trials.
    trial: which of them.
    """

    root: Path
    trial: Trial

    @property
    def world(self) -> Path:
        return self.root / "worlds" / self.trial.world.name / "world"

    @property
    def corpus(self) -> Path:
        return self.root / "worlds" / self.trial.world.name / "corpus"

    @property
    def has_world(self) -> bool:
        """Whether world and corpus are there."""
        return self.world.exists() and (self.corpus / _TRAIN).exists()

    @property
    def run(self) -> Path:
        return self.root / "runs" / self.trial.name

    @property
    def results(self) -> Path:
        return self.root / "results" / self.trial.name

    @property
    def start(self) -> Path | None:
        """The model directory that training starts from."""
        if self.trial.start is None:
            return None
        return self.root / "runs" / self.trial.start / "model"

    @property
    def regions(self) -> Path:
        return self.world / REGION_FILES["hdf5store"]

    @property
    def entities(self) -> Path:
        return self.world / ENTITIES


def make_small_world(trial: Trial, root: Path) -> None:
    """Makes the world of a trial and its corpus, unless they exist.

    Raises:
        UserError: they cannot be written.
    """
    folders = TrialFolders(root=root, trial=trial)
    if not folders.world.exists():
        folders.world.parent.mkdir(parents=True, exist_ok=True)
        make_world(folders.world, trial.world.settings)
    if not (folders.corpus / _TRAIN).exists():
        said = build_corpus(
            folders.regions,
            folders.entities,
            folders.corpus,
            _TRAIN,
            image_ids=folders.entities / "train.txt",
        )
        print(said, flush=True)


def run_trial(trial: Trial, root: Path) -> None:
    """Pretrains and ablates on the trial's world, which `make_small_world` made.

    Raises:
        UserError: something cannot be written.
        Stopped: SIGTERM asked to; what is finished is kept.
    """
    folders = TrialFolders(root=root, trial=trial)
    if not pretrain(pretraining_of(folders), folders.run):
        raise Stopped
    ablation_run.run(
        ablation_run.RunOptions(
            files=InputFiles(
                model=folders.run / "model",
                entities=folders.entities,
                regions=folders.regions,
                thresholds=(MAIN_THRESHOLD,),
                replace=trial.replace,
            ),
            evaluation=Options(top=trial.predictions),
            output=folders.results,
            resume=True,
            label=trial.label,
            model_seed=trial.seed,
        )
    )


def pretraining_of(folders: TrialFolders) -> PretrainingConfig:
    """How the model of a trial is trained."""
    trial = folders.trial
    vocabulary = folders.world / "vocab.txt"
    hidden = TrainingAblation(modality="words")
    return PretrainingConfig(
        name=trial.name,
        model=ARCHITECTURES[trial.architecture](
            len(read_vocabulary(vocabulary)), trial.world.feature_size
        ),
        # More word targets than the published 15%: there are few updates. Fewer
        # region targets: each hides the other regions that show its object.
        inputs=InputConfig(
            objective=2,
            max_words=24,
            word_rate=0.3,
            region_rate=0.1,
            overlap_masking=trial.overlap_masking,
            ablations=(hidden,) if trial.words_hidden else (),
        ),
        optimiser=OptimiserConfig(learning_rate=2e-3, beta2=0.98),
        initial=InitialValues(
            scheme="uniform", model=folders.start and str(folders.start)
        ),
        corpus=str(folders.corpus),
        train_split=_TRAIN,
        valid_split=None,
        vocabulary=str(vocabulary),
        steps=trial.steps,
        batch_size=16,
        seed=trial.seed,
        checkpoint_every=500,
        keep_last=1,
        keep_epochs=False,
    )
