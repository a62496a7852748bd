"""Whatever write fails, the old result or the new one is there, and it can go on."""

import subprocess
import sys
import threading

import pytest

from tests.helpers import faults
from tests.helpers.binaries import ROOT
from xabl.support.atomic import new_directory


def tried(job, **flags):
    """The numbers that the harness reports; it fails at the first loss."""
    arguments = [f"--{name}={value}" for name, value in flags.items()]
    done = subprocess.run(
        [sys.executable, "-m", "tests.helpers.faults", job, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    parts = done.stdout.split()[1:]
    return {name: int(count) for name, count in (part.split("=") for part in parts)}


def test_a_folder_is_never_absent_while_it_is_replaced(tmp_path):
    """Also for who reads it just then."""
    output = tmp_path / "output"
    with new_directory(output) as folder:
        (folder / "file").write_text("0")
    seen, ended = [], threading.Event()

    def look():
        while not ended.is_set():
            seen.append(output.is_dir())

    looking = threading.Thread(target=look)
    looking.start()
    for number in range(1, 200):
        with new_directory(output, overwrite=True) as folder:
            (folder / "file").write_text(str(number))
    ended.set()
    looking.join()
    assert (output / "file").read_text() == "199"
    assert len(seen) > 100 and all(seen)


def test_an_import_survives_faults_at_a_few_places():
    found = tried("import", every=25)
    assert found["places"] > 50
    assert all(found[mode] >= 3 for mode in faults.MODES)


# How many places there are: those of the slow jobs are tried here and there.
@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize(
    ("job", "every"),
    [
        ("import", 1),
        ("world", 1),
        ("corpus", 1),
        ("report", 1),
        ("convert", 5),
        ("ablate", 5),
        ("pretrain", 20),
    ],
)
def test_every_job_survives_faults(job, every):
    found = tried(job, every=every)
    assert all(found[mode] * every >= found["places"] for mode in faults.MODES)


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("job", faults.JOBS)
def test_every_job_survives_kills_at_random_moments(job):
    assert tried(job, kills=10)["kills"] == 10
