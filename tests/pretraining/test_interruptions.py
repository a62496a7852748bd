"""Runs that are stopped, killed or fail, and are started again."""

import dataclasses
import os
import platform
import signal
import subprocess

import pytest

from tests.helpers import binaries, tiny_runs
from xabl.errors import UserError
from xabl.pretraining import train
from xabl.pretraining.workdir import claim
from xabl.support.devices import Devices


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


def _pretrain(config, workdir):
    return train.pretrain(config, workdir, devices=Devices.all(2))


@pytest.fixture
def before_update(monkeypatch):
    """Has something done after a number of updates, or to the next batch."""
    compiled = train.train_step

    def when(number, what):
        def train_step(*arguments):
            update = compiled(*arguments)

            def wrapped(state, batch):
                if int(state.step) == number:
                    batch = what(batch) or batch
                return update(state, batch)

            return wrapped

        monkeypatch.setattr(train, "train_step", train_step)

    return when


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """The folder of a run that nothing interrupted."""
    workdir = tmp_path_factory.mktemp("whole") / "run"
    assert _pretrain(tiny_runs.config(data), workdir)
    return workdir


def test_a_folder_of_a_run_killed_at_its_first_file_is_taken(tmp_path):
    """And nobody else's, nor is what others keep in the folder of a run removed."""
    process = subprocess.Popen(["true"])
    process.wait()
    half = f".config.json.{platform.node()}.{process.pid}.partial"
    (tmp_path / half).write_text("{")
    claim(tmp_path, tiny_runs.config(tmp_path))
    assert os.listdir(tmp_path) == ["config.json"]
    (tmp_path / ".git").mkdir()
    claim(tmp_path, tiny_runs.config(tmp_path))
    assert sorted(os.listdir(tmp_path)) == [".git", "config.json"]
    (tmp_path / "config.json").unlink()
    with pytest.raises(UserError, match="holds something else"):
        claim(tmp_path, tiny_runs.config(tmp_path))


def test_files_of_a_run_may_move_if_they_are_known(tmp_path):
    there, here = tiny_runs.config("there"), tiny_runs.config("here")
    claim(tmp_path / "run", there)
    with pytest.raises(UserError, match="another configuration.*\n  corpus: 'there"):
        claim(tmp_path / "run", here)
    with pytest.raises(UserError, match="\n  seed: 0 there, 1 now$"):
        other = dataclasses.replace(here, seed=1)
        claim(tmp_path / "run", other, may_move=True)
    claim(tmp_path / "run", here, may_move=True)
    claim(tmp_path / "run", here)


def _kill(batch):
    raise Killed


@pytest.mark.slow
def test_killed_and_stopped_it_ends_as_if_it_had_not_been(
    data, whole, before_update, tmp_path, capsys
):
    config, workdir = tiny_runs.config(data), tmp_path / "run"
    before_update(1, _kill)  # before the first checkpoint
    with pytest.raises(Killed):
        _pretrain(config, workdir)
    assert not tiny_runs.lines(workdir, "validation")
    before_update(5, _kill)  # an update after the last checkpoint
    with pytest.raises(Killed):
        _pretrain(config, workdir)
    before_update(6, lambda batch: signal.raise_signal(signal.SIGTERM))
    assert not _pretrain(config, workdir)
    said = capsys.readouterr()
    assert "going on after update 4 of 9" in said.out
    assert "asked to stop: saved after update 7" in said.err
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    before_update(99, _kill)
    assert _pretrain(config, workdir)
    assert "going on after update 7 of 9" in capsys.readouterr().out
    tiny_runs.assert_same_run(workdir, whole)
    assert _pretrain(config, workdir)  # finished: nothing is left to do
    tiny_runs.assert_same_run(workdir, whole)


# Orbax drops its other reads when one fails, and Python tells of each.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.slow
def test_a_cut_checkpoint_is_passed_over(
    data, whole, before_update, tmp_path, capsys, listed
):
    """Found by its size or, killed before that was written down, by reading it."""
    config, workdir = tiny_runs.config(data), tmp_path / "run"
    before_update(5, lambda batch: signal.raise_signal(signal.SIGTERM))
    assert not _pretrain(config, workdir)
    newest, aside = (workdir / x / "6" for x in ("checkpoints", "damaged_checkpoints"))
    largest = max(newest.rglob("*"), key=lambda path: path.stat().st_size)
    size = largest.stat().st_size
    os.truncate(largest, size // 2)
    if not listed:
        (newest / "files.json").unlink()
    before_update(99, _kill)
    assert _pretrain(config, workdir)
    said = capsys.readouterr()
    assert "checkpoint 6 is damaged (" in said.err
    if listed:
        assert f"{largest.name}: {size // 2} bytes instead of {size})" in said.err
    assert f"it is now {aside}, and the run goes back to the one before" in said.err
    assert "going on after update 4 of 9" in said.out
    assert aside.is_dir()
    os.rename(aside.parent, tmp_path / "aside")
    tiny_runs.assert_same_run(workdir, whole)


@pytest.mark.usefixtures("quick_unless_slow")
@pytest.mark.parametrize("updates", [pytest.param(1, marks=pytest.mark.slow), 4])
def test_a_loss_that_is_no_number_ends_the_run(data, before_update, tmp_path, updates):
    def spoil(batch):
        spoilt = batch.region_features * float("nan")
        return dataclasses.replace(batch, region_features=spoilt)

    workdir = tmp_path / "run"
    before_update(updates, spoil)
    with pytest.raises(UserError) as caught:
        _pretrain(tiny_runs.config(data, valid_split=None), workdir)
    good = f"The last good checkpoint is {workdir / 'checkpoints' / '4'}."
    assert str(caught.value) == (
        f"not a finite number in update {updates + 1}: loss nan, itm nan, mlm nan, "
        "regions_0 nan, gradient_norm nan, learning_rate "
        f"{ {1: 0.000888889, 4: 0.000555556}[updates] }. "
        f"{good if updates == 4 else 'No checkpoint was written before.'} Lower "
        "optimiser.learning_rate, or look at the data of this update"
    )
    assert len(tiny_runs.lines(workdir, "train")) == updates


@pytest.mark.slow
@pytest.mark.faults
def test_a_full_disk_ends_the_run_and_room_continues_it(data, whole, tmp_path):
    """The shell's limit on the size of files stands for the disk's."""
    workdir = tmp_path / "run"
    flags = dict(config=tiny_runs.config_file(data), workdir=workdir)

    def run(limit, **more):
        command = binaries.command("experiments.pretrain", **flags, **more)
        return subprocess.run(
            ["bash", "-c", f'ulimit -f {limit}; exec "$@"', "bash", *command],
            cwd=binaries.ROOT,
            env=binaries.environment(tmp_path / "cache") | {"JAX_NUM_CPU_DEVICES": "2"},
            capture_output=True,
            text=True,
            timeout=300,
        )

    full = run(400, set="keep_epochs=false")  # kB; checkpoints come before models
    assert full.returncode == 1
    error = full.stderr.splitlines()[-1]
    assert f"error: checkpoint 2 cannot be written to {workdir}/checkpoints (" in error
    assert "No checkpoint was written before. Make room, then start again" in error
    assert "Traceback" not in full.stderr
    with_room = run("unlimited")
    assert with_room.returncode == 0, with_room.stderr
    tiny_runs.assert_same_run(workdir, whole)
