"""A study on a real SLURM: preempted, killed, and the same bytes in the end.

Run by slurm.sh. One local sweep says what the tables have to be; then the same study
is swept by jobs, half of which are queued again while they run, and one of which is
killed.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from absl import app, flags

from tests.helpers import binaries, golden_world, studies
from xabl.studies.events import read_events

_FOLDER = flags.DEFINE_string("folder", None, "where to work", required=True)
_JOBS = 4


def main(argv: list[str]) -> None:
    del argv
    folder = Path(_FOLDER.value)
    folder.mkdir(parents=True)
    golden_world.write_regions(folder, "lmdb")
    rows = studies.write_models(folder, range(6), kinds=("uniter",))
    study = studies.write_study(
        folder / "study.yaml",
        folder / "lmdb",
        rows,
        "ablation: {thresholds: [0.5], batch_size: 4}",
        "report: {resamples: 100}",
    )
    began = time.monotonic()
    assert sweep(study, folder / "calm").wait() == 0
    expected = studies.tables(folder / "calm")
    say(f"undisturbed: {time.monotonic() - began:.0f} s, {len(expected)} tables")

    output = folder / "cluster"
    on_cluster = sweep(
        study,
        output,
        launcher="slurm",
        slurm_jobs=_JOBS,
        slurm_gpus=0,
        slurm_cpus=1,
        slurm_memory_gb=1.5,
        slurm_minutes=60,
    )
    until(lambda: count(output, "began") >= 2, on_cluster)
    jobs = json.loads((output / "slurm" / "jobs.json").read_text())
    assert len(jobs) == _JOBS
    for job in jobs[: _JOBS // 2]:
        subprocess.run(["scontrol", "requeue", job], check=True)
    say(f"queued again: {', '.join(jobs[: _JOBS // 2])}; {states()}")
    running = count(output, "began")
    until(lambda: count(output, "began") > running, on_cluster)
    victim = [e for e in read_events(output) if e["event"] == "began"][-1]
    subprocess.run(["kill", f"-{signal.SIGKILL}", str(victim["process"])], check=True)
    say(f"killed: process {victim['process']} at {victim['run']}; {states()}")
    assert on_cluster.wait() == 0
    assert studies.tables(output) == expected
    done = [e["run"] for e in read_events(output) if e["event"] == "finished"]
    assert len(done) == len(set(done)), done
    until(lambda: not states(), None)
    say(
        f"as undisturbed, after {time.monotonic() - began:.0f} s in all; "
        f"{count(output, 'began')} begun for {len(rows)} runs"
    )


def sweep(study: Path, output: Path, **more: object) -> subprocess.Popen:
    command = binaries.command("experiments.sweep", study=study, output=output, **more)
    environment = binaries.environment(study.parent / "cache")
    return subprocess.Popen(command, cwd=binaries.ROOT, env=environment)


def count(output: Path, event: str) -> int:
    return sum(found["event"] == event for found in read_events(output))


def states() -> list[str]:
    command = ["squeue", "--noheader", "--array", "--format=%i=%T"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True)
    return listed.stdout.split()


def until(happened: Callable[[], bool], sweep: subprocess.Popen | None) -> None:
    """Waits; not for ever, nor for a sweep that has ended."""
    end = time.monotonic() + 400
    while not happened():
        assert sweep is None or sweep.poll() is None, "the sweep has ended"
        assert time.monotonic() < end, states()
        time.sleep(0.2)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    app.run(main)
