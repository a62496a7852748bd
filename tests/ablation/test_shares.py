"""One run by several processes: the same scores, and nothing lost with one of them."""

import os
import signal
import socket
import subprocess
import time

import numpy as np
import pytest

from tests.helpers import binaries
from tests.helpers.ablation_binaries import columns


def start(workshop, flags, count, output, own=(), **more):
    """Starts the processes of one run.

    own: flags of each process, in place of those of all.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    return [
        subprocess.Popen(
            binaries.command(
                "experiments.ablate",
                **flags | more | (own[number] if own else {}),
                output=output,
                coordinator=address,
                hosts=count,
                host=number,
            ),
            cwd=binaries.ROOT,
            env=workshop.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]


def end(processes):
    """Waits for all; exit statuses, and what they said on standard error."""
    said = [process.communicate(timeout=300)[1] for process in processes]
    return [process.returncode for process in processes], said


def assert_same_scores(found, expected):
    one, other = columns(found), columns(expected)
    assert one.keys() == other.keys()
    for name, values in one.items():
        if values.dtype.kind == "f":
            # Other batches round otherwise.
            np.testing.assert_allclose(values, other[name], atol=2e-6)
        else:
            np.testing.assert_array_equal(values, other[name])


@pytest.fixture(scope="module")
def flags(workshop):
    return workshop.flags(
        model=workshop.small_model("two-stream"), batch_size=2, thresholds=0.5
    )


@pytest.fixture(scope="module")
def alone(workshop, flags, tmp_path_factory):
    output = tmp_path_factory.mktemp("alone") / "results"
    done = workshop.ablate(**flags, output=output)
    assert done.status == 0, done.err
    return output


@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_several_processes_give_the_scores_of_one(
    workshop, flags, alone, count, tmp_path
):
    output = tmp_path / "results"
    statuses, said = end(start(workshop, flags, count, output))
    assert statuses == [0] * count, said
    assert os.listdir(tmp_path) == ["results"]
    assert_same_scores(output, alone)
    assert sum("the share of this process is scored" in text for text in said) == (
        count - 1
    )


@pytest.mark.parametrize(
    ("what", "victim"),
    [
        ("model", 0),
        pytest.param("model", 1, marks=pytest.mark.slow),
        pytest.param("limit", 1, marks=pytest.mark.slow),
    ],
)
def test_a_problem_of_one_process_ends_all(workshop, flags, what, victim, tmp_path):
    """Wherever it comes up; nobody waits for a process that has ended."""
    wrong = {"model": tmp_path / "no", "limit": 3}[what]
    message = {"model": "/no: does not exist", "limit": "(limit was null, is 3)"}[what]
    own = [{what: wrong} if number == victim else {} for number in range(2)]
    statuses, said = end(start(workshop, flags, 2, tmp_path / "results", own))
    assert statuses == [1, 1], said
    assert all(message in text for text in said), said
    assert f"error: process {victim}: " in said[1 - victim]
    assert f"error: process {victim}: " not in said[victim]
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("victim", [1, 0])
def test_a_process_that_dies_takes_only_its_share(
    workshop, flags, alone, victim, tmp_path
):
    output, kept = tmp_path / "results", tmp_path / ".results.unfinished"
    processes = start(workshop, flags, 2, output)
    at_work = kept / "hosts" / f"at-work-{victim}"
    while not at_work.exists():
        assert processes[victim].poll() is None
        time.sleep(0.01)
    processes[victim].send_signal(signal.SIGKILL)
    statuses, said = end(processes)
    assert statuses[victim] == -signal.SIGKILL and statuses[1 - victim] != 0
    if victim == 1:
        assert statuses[0] == 1, said
        assert "process 1 (" in said[0] and "run again with --resume" in said[0]
    assert not output.exists() and kept.exists()
    statuses, said = end(start(workshop, flags, 2, output, resume=True))
    assert statuses == [0, 0], said
    assert_same_scores(output, alone)
