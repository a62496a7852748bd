"""Ablation scores while training."""

import dataclasses

import pytest

from tests.helpers import tiny_runs
from xabl.ablation.options import InputFiles, Options, RunOptions
from xabl.ablation.run import run
from xabl.data.word_pieces import read_vocabulary
from xabl.errors import UserError
from xabl.pretraining.configuration import AblationDuringTraining, PretrainingConfig
from xabl.pretraining.optimiser import OptimiserConfig
from xabl.pretraining.small_models import small_uniter
from xabl.pretraining.train import pretrain
from xabl.support.devices import Devices
from xabl.synthetic.trials import SmallWorld, Trial, TrialFolders, make_small_world

pytestmark = pytest.mark.usefixtures("quick_unless_slow")

EXAMPLES = 10


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("watched")
    world = SmallWorld(name="tiny", train_images=16, val_images=4)
    trial = Trial(name="watched", label="watched", world=world)
    make_small_world(trial, root)
    return TrialFolders(root=root, trial=trial)


def _config(folders, **ablation):
    vocabulary = folders.world / "vocab.txt"
    return PretrainingConfig(
        name="watched",
        model=small_uniter(len(read_vocabulary(vocabulary)), 128),
        optimiser=OptimiserConfig(learning_rate=1e-3),
        corpus=str(folders.corpus),
        vocabulary=str(vocabulary),
        valid_split=None,
        steps=4,
        batch_size=8,
        report_every=1,
        ablation=AblationDuringTraining(
            entities=str(folders.entities),
            regions=str(folders.regions),
            examples=EXAMPLES,
            **ablation,
        ),
    )


@pytest.mark.slow
def test_the_last_scores_are_those_of_the_finished_model(folders, tmp_path):
    workdir, results = tmp_path / "run", tmp_path / "results"
    assert pretrain(_config(folders, every=2), workdir, devices=Devices.all(1))
    first, last = tiny_runs.lines(workdir, "ablation")
    assert (first["step"], last["step"]) == (2, 4)
    assert first["mlm/none"] != last["mlm/none"]
    files = InputFiles(
        model=workdir / "model",
        entities=folders.entities,
        regions=folders.regions,
        thresholds=(0.5,),
        limit=EXAMPLES,
    )
    run(RunOptions(files=files, evaluation=Options(), output=results))
    header, *rows = (
        line.split("\t") for line in (results / "summary.tsv").read_text().splitlines()
    )
    table = [dict(zip(header, row, strict=True)) for row in rows]
    masks = {"None": "none", "0.5": "object@0.5", "Phrase": "phrase", "All": "all"}
    found = {
        f"{loss}/{masks[row['Mask']]}": float(row[title])
        for row in table
        for loss, title in (("mlm", "MLM"), ("mrc_kl", "MRC-KL"), ("mrc_xe", "MRC-XE"))
        if row[title]
    }
    assert set(found) == {
        *(f"mlm/{name}" for name in ("none", "object@0.5", "all")),
        *(
            f"mrc_{x}/{name}"
            for x in ("kl", "xe")
            for name in ("none", "phrase", "all")
        ),
    }
    assert {name: last[name] for name in found} == pytest.approx(found, abs=1e-6)


@pytest.mark.slow
def test_watching_is_no_part_of_the_run(folders, tmp_path, capsys):
    """A run may be watched from the middle on."""
    config = _config(folders)
    assert pretrain(config, tmp_path / "run", devices=Devices.all(1))
    watched = dataclasses.replace(_config(folders, every=1), steps=4)
    assert pretrain(watched, tmp_path / "run", devices=Devices.all(1))
    assert "going on after update 4 of 4" in capsys.readouterr().out
    other = dataclasses.replace(config, seed=1, batch_size=16)
    with pytest.raises(UserError) as caught:
        pretrain(other, tmp_path / "run", devices=Devices.all(1))
    assert str(caught.value).endswith(
        "holds a run of another configuration; take another workdir, or the same "
        "configuration:\n  batch_size: 8 there, 16 now\n  seed: 0 there, 1 now"
    )


def test_what_cannot_be_scored_is_named_before_training(folders, tmp_path):
    config = _config(folders, every=1)
    missing = dataclasses.replace(config.ablation, regions=str(tmp_path / "no.h5"))
    with pytest.raises(UserError, match=r"no\.h5"):
        pretrain(dataclasses.replace(config, ablation=missing), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(UserError, match=r"ablation\.every is 0, at least 1 is needed"):
        AblationDuringTraining(every=0)
