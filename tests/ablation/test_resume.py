"""Runs that are interrupted or killed, and continued: through the real binary."""

import os
import pty
import re
import shutil
import signal
import subprocess
import termios

import numpy as np
import pytest

from tests.helpers import binaries, golden
from tests.helpers.ablation_binaries import columns, manifest
from tests.helpers.golden_results import assert_golden
from xabl.ablation.engine.unfinished import KeptScores
from xabl.results.conditions import Direction
from xabl.results.directory import ResultsDirectory

NAME = "lxmert"
SLOWLY = 1  # input a step, so that there is a middle


@pytest.fixture(
    scope="module", params=["small", pytest.param("golden", marks=pytest.mark.slow)]
)
def flags(request, workshop):
    is_small = request.param == "small"
    model = workshop.small_model("uniter") if is_small else workshop.model(NAME, "zip")
    return workshop.flags(model=model, batch_size=SLOWLY)


def stopped_in_the_middle(workshop, flags, number, **more):
    """Sends a signal once the bar shows a tenth; exit status, what the terminal saw."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(ours, (24, 100))
    process = subprocess.Popen(
        binaries.command("experiments.ablate", **flags, **more),
        cwd=binaries.ROOT,
        env=workshop.environment,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    seen, sent = "", False
    while True:
        try:
            seen += os.read(ours, 4096).decode()
        except OSError:  # the other end is closed
            break
        if not sent and any(int(p) >= 10 for p in re.findall(r"(\d+)%\|", seen)):
            process.send_signal(number)
            sent = True
    os.close(ours)
    assert sent, seen
    return process.wait(), seen


def test_an_interrupted_and_a_killed_run_are_continued(workshop, flags, tmp_path):
    output, kept = tmp_path / "results", tmp_path / ".results.unfinished"
    status, seen = stopped_in_the_middle(workshop, flags, signal.SIGINT, output=output)
    assert status == 130, seen
    assert "interrupted; what was finished before is kept" in seen
    assert "Traceback" not in seen
    shown = re.search(r"/(\d+) \[\d\d:\d\d<\d\d:\d\d", seen)  # the time left
    assert shown, seen
    total = int(shown[1])
    assert os.listdir(tmp_path) == [kept.name]
    first = set(os.listdir(kept))
    assert len(first) > 1

    refused = workshop.ablate(**flags, output=output)
    assert refused.status == 1
    assert "continue it with --resume or start again with --overwrite" in refused.err
    other = workshop.ablate(**flags, output=output, resume=True, limit=3)
    assert other.status == 1
    assert "scores of another run are kept here (limit was null, is 3)" in other.err
    other = workshop.ablate(**flags, output=output, resume=True, replace_seed=5)
    assert other.status == 1
    assert "kept here (replace_seed was 0, is 5)" in other.err
    assert set(os.listdir(kept)) == first

    status, seen = stopped_in_the_middle(
        workshop, flags, signal.SIGKILL, output=output, resume=True
    )
    assert status == -signal.SIGKILL, seen
    # The lock that it had is nobody's now.
    assert sorted(os.listdir(tmp_path)) == [".results.lock", kept.name]
    assert first <= set(os.listdir(kept))
    # As if it had been killed while it wrote the results, too.
    dead = f".results.{os.uname().nodename}.{_dead_process()}.partial"
    shutil.copytree(kept, tmp_path / dead)

    done = workshop.ablate(**flags, output=output, resume=True)
    assert done.status == 0, done.err
    left = int(re.search(r"100% (\d+)/(\d+) inputs", done.err)[1])
    assert left < total * 0.95  # what was kept was not computed again
    assert os.listdir(tmp_path) == ["results"]
    if flags["model"].name.startswith(NAME):
        assert_golden(output, golden.ablation_case(NAME).arrays())
    else:
        whole = tmp_path / "whole"
        assert workshop.ablate(**flags, output=whole).status == 0
        scores = [folder / "scores.parquet" for folder in (output, whole)]
        assert scores[0].read_bytes() == scores[1].read_bytes()

    again = workshop.ablate(**flags, output=output, resume=True)
    assert (again.status, again.out) == (0, "")
    assert "finished already, nothing to resume" in again.err

    # Losses by word are grouped by the detector's classes.
    names = tmp_path / "objects_vocab.txt"
    names.write_text("background\ndog\n")
    other = workshop.ablate(**flags, output=output, resume=True, class_names=names)
    assert other.status == 1
    assert "results of another run (class_names_sha256 was null, is" in other.err


def _dead_process():
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_results_are_replaced_only_when_told(workshop, tmp_path):
    output = tmp_path / "new" / "results"
    flags = {"model": workshop.small_model("bert"), "regions": None}
    assert workshop.ablate(**flags, output=output, limit=20).status == 0
    first = (output / "scores.parquet").read_bytes()
    refused = workshop.ablate(**flags, output=output)
    assert refused.status == 1
    assert refused.err.endswith(
        f"{output}: holds results already; choose another --output or replace them "
        "with --overwrite\n"
    )
    both = workshop.ablate(**flags, output=output, overwrite=True, resume=True)
    assert (both.status, "give one of them" in both.err) == (1, True)
    assert (output / "scores.parquet").read_bytes() == first
    assert workshop.ablate(**flags, output=output, overwrite=True).status == 0
    assert len(columns(output)["example"]) == 80
    assert manifest(output)["data"]["limit"] is None
    assert os.listdir(output.parent) == ["results"]


def test_nobody_writes_where_another_run_does(workshop, tmp_path):
    output = tmp_path / "results"
    flags = {"model": workshop.small_model("bert"), "regions": None}
    with ResultsDirectory(output).lock():
        refused = workshop.ablate(**flags, output=output, overwrite=True)
    assert refused.status == 1
    assert f"another run is writing there (process {os.getpid()} on" in refused.err
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("resume", [True, False])
def test_what_is_no_results_directory_is_never_replaced(workshop, tmp_path, resume):
    (tmp_path / "thesis.txt").write_text("precious")
    done = workshop.ablate(
        model=workshop.small_model("bert"),
        output=tmp_path,
        overwrite=not resume,
        resume=resume,
    )
    assert done.status == 1
    assert "holds no results of xabl ablate" in done.err
    assert os.listdir(tmp_path) == ["thesis.txt"]


def test_a_part_taken_away_is_not_one_written_over(tmp_path):
    kept = KeptScores(tmp_path / "kept")
    kept.begin({})
    for pair in range(3):
        kept.add(Direction.VIS4LANG, np.array([pair]), {"mlm": np.ones(1)})
        kept.flush()
    first, *others = sorted(kept.folder.glob("part-*"))
    first.unlink()
    before = [path.read_bytes() for path in others]
    kept.add(Direction.VIS4LANG, np.array([3]), {"mlm": np.ones(1)})
    kept.flush()
    assert [path.read_bytes() for path in others] == before
    assert len(list(kept.folder.glob("part-*"))) == 3
