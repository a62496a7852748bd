"""Runs of the real binary: killed again and again, and in two processes."""

import random
import socket
import subprocess
import time

import pytest

from tests.helpers import binaries, tiny_runs

_MODULE = "experiments.pretrain"


def _start(folder, cache, *, devices, **flags):
    with open(folder / f"log_{flags.get('host', 0)}.txt", "a") as log:
        return subprocess.Popen(
            binaries.command(_MODULE, **flags),
            cwd=binaries.ROOT,
            env=binaries.environment(cache) | {"JAX_NUM_CPU_DEVICES": str(devices)},
            stdout=log,
            stderr=log,
        )


def _log(folder, host=0):
    return (folder / f"log_{host}.txt").read_text()


def _updates(workdir):
    """Updates reported so far; the last line may be half written."""
    path = workdir / "metrics.jsonl"
    return path.read_bytes().count(b'"train"') if path.exists() else 0


@pytest.mark.slow
def test_killed_ten_times_it_ends_bit_equal(data, tmp_path):
    """SIGKILL before the first update, between two, while something is written."""
    draw = random.Random(0)
    cache = tmp_path / "cache"
    flags = dict(
        config=tiny_runs.config_file(data, epochs=12, checkpoint_every=1, keep_last=2)
    )
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert _start(tmp_path, cache, devices=1, workdir=whole, **flags).wait(120) == 0
    for _ in range(10):
        process = _start(tmp_path, cache, devices=1, workdir=killed, **flags)
        at_least = _updates(killed) + draw.randrange(3)
        began = time.monotonic()
        while _updates(killed) < at_least and time.monotonic() - began < 120:
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.5))
        assert process.poll() is None, _log(tmp_path)
        process.kill()
        process.wait()
    assert _start(tmp_path, cache, devices=1, workdir=killed, **flags).wait(120) == 0
    assert "going on after update" in _log(tmp_path)
    tiny_runs.assert_same_run(killed, whole)


def _free_port():
    with socket.socket() as listening:
        listening.bind(("localhost", 0))
        return listening.getsockname()[1]


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one(data, tmp_path):
    cache = tmp_path / "cache"
    config = tiny_runs.config_file(data, epochs=2)
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    done = _start(tmp_path, cache, devices=2, workdir=alone, config=config).wait(300)
    assert done == 0, _log(tmp_path)
    coordinator = f"localhost:{_free_port()}"
    hosts = [
        _start(
            tmp_path,
            cache,
            devices=1,
            workdir=shared,
            config=config,
            coordinator=coordinator,
            hosts=2,
            host=host,
        )
        for host in range(2)
    ]
    assert [host.wait(120) for host in hosts] == [0, 0], _log(tmp_path, 1)
    for kind in ("train", "validation"):
        lines = [tiny_runs.lines(workdir, kind) for workdir in (alone, shared)]
        assert len(lines[0]) == len(lines[1]) > 0
        for one, two in zip(*lines, strict=True):
            assert one.pop("kind") == two.pop("kind")
            assert two == pytest.approx(one, rel=1e-5)
    assert tiny_runs.left_in(alone) == tiny_runs.left_in(shared)
