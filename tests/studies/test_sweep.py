"""Whole studies through the real command: what is done, found done, and done again."""

import json
import os
import re
import shutil
import time

import pytest

from tests.helpers import binaries, studies
from xabl.errors import UserError
from xabl.studies.contents import Contents
from xabl.studies.events import read_events
from xabl.studies.runs import identified, runs_of
from xabl.studies.study_file import read_study

SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def folder(golden, tmp_path_factory):
    """Three models, one of them corrupt, and their study swept once."""
    folder = tmp_path_factory.mktemp("sweep")
    rows = [
        row.replace("}", ", group: small}")
        for row in studies.write_models(folder, SEEDS, kinds=("uniter",))
    ]
    studies.corrupt(folder / "uniter-1")
    studies.write_study(
        folder / "study.yaml",
        golden / "lmdb",
        rows,
        "  limit: 20",
        "ablation: {thresholds: [0.5]}",
        "report: {resamples: 100}",
    )
    return folder


@pytest.fixture(scope="module")
def sweep(folder, golden):
    def run(**flags):
        return binaries.run(
            "experiments.sweep",
            cache=golden,
            quick=True,
            **{"study": folder / "study.yaml", "output": folder / "out"} | flags,
        )

    return run


@pytest.fixture(scope="module")
def first(sweep):
    return sweep()


def began(folder):
    events = read_events(folder / "out")
    return [event["run"] for event in events if event["event"] == "began"]


def test_the_corrupt_one_alone_fails_and_is_named(first, folder):
    assert first.status == 1
    (failed,) = re.findall(r"^failed: [\s\S]*\(its log: .*\)", first.err, re.M)
    assert re.match(r"failed: uniter-s1: .*uniter-1: damaged, or incomplete", failed)
    assert failed.endswith("logs/uniter-s1.log)")
    assert "2 of 3 runs are done" in first.err
    table = (folder / "out" / "table.tsv").read_text().splitlines()
    assert table[0].split("\t")[:5] == ["Model", "Seed", "Group", "Mask", "Direction"]
    assert [row.split("\t")[1] for row in table[1:]] == ["0"] * 6 + ["2"] * 6
    assert (folder / "out" / "report.html").stat().st_size > 10_000


def test_status_has_a_line_for_each_run(first, sweep):
    shown = sweep(study=None, status=True)
    assert shown.status == 0
    lines = shown.out.splitlines()
    assert lines[0].startswith("3 runs: 2 done, 1 failed")
    states = [tuple(line.split()[:2]) for line in lines[3:]]
    assert states == [
        ("uniter-s0", "done"),
        ("uniter-s1", "failed"),
        ("uniter-s2", "done"),
    ]


def test_a_mended_model_is_the_only_one_done(first, sweep, folder):
    table = (folder / "out" / "table.tsv").read_text()
    before = began(folder)
    shutil.rmtree(folder / "uniter-1")
    studies.write_models(folder, (1,), kinds=("uniter",))
    mended = sweep()
    assert mended.status == 0, mended.err
    assert began(folder)[len(before) :] == ["uniter-s1"]
    rows = (folder / "out" / "table.tsv").read_text().splitlines()
    assert len(rows) == 19 and set(table.splitlines()) < set(rows)

    again = sweep()
    assert again.status == 0
    assert again.err.startswith("nothing to do: all 3 runs are done")
    assert len(began(folder)) == len(before) + 1

    (folder / "out" / "report.html").unlink()
    assert sweep().status == 0 and (folder / "out" / "report.html").exists()
    assert len(began(folder)) == len(before) + 1

    table = (folder / "out" / "table.tsv").read_text()
    scores = folder / "out" / "results" / "uniter-s0" / "scores.parquet"
    content = scores.read_bytes()
    scores.unlink()
    assert sweep().status == 0 and scores.read_bytes() == content
    assert began(folder)[len(before) :] == ["uniter-s1", "uniter-s0"]
    assert (folder / "out" / "table.tsv").read_text() == table

    changed = (folder / "study.yaml").read_text().replace("limit: 20", "limit: 19")
    (folder / "changed.yaml").write_text(changed)
    nowhere = folder / "planned"
    planned = sweep(study=folder / "changed.yaml", dry_run=True, output=nowhere)
    assert planned.out.count(" ablate\n") == 3 and not nowhere.exists()
    assert sweep(dry_run=True).out.count(" nothing\n") == 3


def test_an_unknown_folder_has_no_status(sweep, tmp_path):
    shown = sweep(study=None, output=tmp_path, status=True)
    assert (shown.status, "no study was begun there" in shown.err) == (1, True)


def test_the_second_of_two_sweeps_says_who_has_the_folder(golden, tmp_path):
    from xabl.support import lease

    rows = studies.write_models(tmp_path, (0,), kinds=("uniter",))
    file = studies.write_study(tmp_path / "study.yaml", golden / "lmdb", rows)
    with lease.acquire(tmp_path / "out" / "locks" / ".sweep", "sweeps the study"):
        refused = binaries.run("experiments.sweep", study=file, output=tmp_path / "out")
    assert refused.status == 1
    assert re.search(r"another sweep is at it \(process \d+ on .*--join", refused.err)
    assert not (tmp_path / "out" / "results").exists()


def test_a_machine_that_was_taken_away_is_waited_for(tmp_path, monkeypatch, capsys):
    """For as long as its lock may be that of a machine at work."""
    from xabl.studies import sweep
    from xabl.studies.jobs import Board
    from xabl.support import lease

    options = sweep.SweepOptions(study=tmp_path / "study", output=tmp_path / "out")

    def led():
        with sweep._lead(options, Board(options.output, ())) as leads:
            return leads

    lock = options.output / "locks" / ".sweep"
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(lease, "_machine", lambda: "taken away")
        theirs = lease._announce(lock, "sweeps the study")
    content = json.loads(theirs.read_text())
    theirs.write_text(json.dumps(content | {"since": content["since"] - 1000}))
    then = time.time() - lease.EXPIRES_AFTER + 1
    os.utime(theirs, (then, then))
    assert led()
    assert "locks/.sweep: held by process" in capsys.readouterr().err
    # One of this machine is known to live.
    with lease.acquire(lock), pytest.raises(UserError, match="another sweep is at it"):
        led()


def test_a_folder_that_is_removed_ends_the_sweep(tmp_path, monkeypatch):
    """Whatever workers make there anew, no table and no record of the study is."""
    from xabl.studies import sweep

    output = tmp_path / "out"
    file = studies.write_study(
        tmp_path / "study.yaml", tmp_path / "r", ["- {label: A, model: m}"]
    )

    def work(options, board):
        shutil.rmtree(board.folder)
        (board.folder / "events").mkdir(parents=True)
        yield

    monkeypatch.setattr(sweep, "_work", work)
    with pytest.raises(UserError, match="removed meanwhile.* give the same command"):
        sweep.sweep(sweep.SweepOptions(study=file, output=output))
    assert os.listdir(output) == ["events"]


def test_files_of_no_study_are_never_replaced(golden, tmp_path):
    from xabl.studies import outcome

    rows = studies.write_models(tmp_path, (0,), kinds=("uniter",))
    file = studies.write_study(tmp_path / "study.yaml", golden / "lmdb", rows)
    output = tmp_path / "out"
    (output / "results" / "uniter-s0").mkdir(parents=True)
    manifest = output / "results" / "uniter-s0" / "manifest.json"
    manifest.write_text('{"identity": {"method": 1}}')
    (output / outcome.TABLE).write_text("mine")
    said = binaries.run("experiments.sweep", study=file, output=output)
    assert (said.status, said.err.count("\n")) == (1, 1)
    assert "table.tsv is there, and of no study; give another" in said.err
    assert not (output / "runs.json").exists()

    study, lines = read_study(file)
    (run,) = identified(runs_of(study, lines, output), Contents(output / "memory"))
    with pytest.raises(UserError, match="uniter-s0: holds results of no study"):
        run.do({}, lambda done, of, unit: None)
    assert manifest.read_text() == '{"identity": {"method": 1}}'


def test_what_the_report_needs_is_missed_at_the_start(golden, tmp_path):
    file = studies.write_study(
        tmp_path / "study.yaml",
        golden / "lmdb",
        ["- {label: A, model: a}"],
        "report: {class_names: names.txt}",
    )
    said = binaries.run("experiments.sweep", study=file, output=tmp_path / "out")
    assert said.status == 1
    names = tmp_path / "names.txt"
    assert said.err == (
        f"error: {file}:4: report.class_names: {names} does not exist\n"
    )


def test_a_cluster_that_is_none_is_said_at_once(golden, tmp_path):
    rows = studies.write_models(tmp_path, (0,), kinds=("uniter",))
    file = studies.write_study(tmp_path / "study.yaml", golden / "lmdb", rows)
    bin = tmp_path / "bin"
    bin.mkdir()
    (bin / "squeue").write_text("#!/bin/sh\n")
    (bin / "squeue").chmod(0o755)
    said = binaries.run_words(
        "experiments.sweep",
        f"--study={file}",
        f"--output={tmp_path / 'out'}",
        "--launcher=slurm",
        environment=os.environ | {"PATH": str(bin)},
    )
    assert said.status == 1
    assert "--launcher=slurm: there is no sbatch here" in said.err


def test_a_changed_method_is_a_changed_run(folder, monkeypatch):
    """Known by its number: what else is in the code changes nothing."""
    from xabl.studies import runs, sources, sweep

    options = sweep.SweepOptions(study=folder / "study.yaml", output=folder / "keys")

    def keys():
        return [run.key for run in sweep._read(options)[1]]

    before = keys()
    assert keys() == before
    monkeypatch.setattr(runs, "METHOD", runs.METHOD + 1)
    assert not set(keys()) & set(before)
    monkeypatch.undo()
    monkeypatch.setattr(sources, "METHOD", sources.METHOD + 1)  # of training
    assert keys() == before


def test_manifests_say_which_run_of_a_study_they_are(first, folder):
    manifest = json.loads(
        (folder / "out" / "results" / "uniter-s0" / "manifest.json").read_text()
    )
    assert re.fullmatch("[0-9a-f]{16}", manifest["identity"]["study_key"])
    assert manifest["model"]["seed"] == 0
    assert manifest["model"]["group"] == "small"
