"""Sweeps a study while its processes are killed at random moments.

    python -m tests.studies.kills --kills=200 --models=6 --folder=/tmp/kills

One undisturbed sweep says what the tables have to be. Then sweep after sweep of the
same study is disturbed by SIGKILLs, of workers or of the sweep itself, until so many
have hit; every study is swept to its end. Prints what was killed, and how much was
done twice.
"""

import dataclasses
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

from absl import app, flags

from tests.helpers import binaries, golden_world, studies
from xabl.studies.events import read_events

_KILLS = flags.DEFINE_integer("kills", 200, "so many SIGKILLs")
_MODELS = flags.DEFINE_integer("models", 6, "seeds of each of two architectures")
_FOLDER = flags.DEFINE_string("folder", None, "where to work", required=True)
_SEED = flags.DEFINE_integer("seed", 0, "of the moments and of who is killed")
_LONGEST = flags.DEFINE_float("longest", 12.0, "most seconds between two kills")


@dataclasses.dataclass(kw_only=True)
class Disturbed:
    """What happened: kills by whom they hit, studies swept, runs finished."""

    kills: Counter = dataclasses.field(default_factory=Counter)
    studies: int = 0
    finished: int = 0
    begun: int = 0

    def __str__(self) -> str:
        return (
            f"{sum(self.kills.values())} kills ({dict(self.kills)}) in {self.studies} "
            f"studies; {self.finished} runs finished, begun {self.begun} times"
        )


def command(study: Path, output: Path) -> list[str]:
    return binaries.command(
        "experiments.sweep", study=study, output=output, workers=2, retries=10**6
    )


def disturb(
    study: Path, output: Path, cache: Path, kills: int, longest: float, draw
) -> Counter:
    """Starts and kills until so many kills have hit or the study is swept."""
    hit: Counter = Counter()
    while True:
        log = open(output.with_suffix(".log"), "a")
        with (
            log,
            subprocess.Popen(
                command(study, output),
                cwd=binaries.ROOT,
                env=binaries.environment(cache),
                stdout=log,
                stderr=log,
            ) as sweep,
        ):
            while sweep.poll() is None:
                try:
                    sweep.wait(draw.uniform(0, longest))
                except subprocess.TimeoutExpired:
                    if sum(hit.values()) >= kills:
                        continue
                    victim = draw.choice([sweep.pid, *_workers(sweep.pid)])
                    _kill(victim)
                    hit["sweep" if victim == sweep.pid else "worker"] += 1
        if sweep.returncode != -signal.SIGKILL:
            return hit


def _workers(process: int) -> list[int]:
    """The processes that do the jobs; a pool's others do not matter."""
    listed = subprocess.run(
        ["pgrep", "--parent", str(process), "--full", "spawn_main"],
        capture_output=True,
        text=True,
    )
    return [int(number) for number in listed.stdout.split()]


def _kill(process: int) -> None:
    subprocess.run(["kill", "-KILL", str(process)], stderr=subprocess.DEVNULL)


def check(
    study: Path,
    folder: Path,
    cache: Path,
    *,
    kills: int,
    longest: float,
    seed: int,
    expected_failures: tuple[str, ...] = (),
) -> Disturbed:
    """Kills until so many kills have hit; every study's tables are the same.

    Raises:
        AssertionError: they are not, or something finished was done again.
    """
    draw = random.Random(seed)
    calm = folder / "calm"
    subprocess.run(
        command(study, calm), cwd=binaries.ROOT, env=binaries.environment(cache)
    )
    expected = studies.tables(calm)
    assert len(expected) > 1
    found = Disturbed()
    while sum(found.kills.values()) < kills:
        output = folder / f"disturbed-{found.studies}"
        left = kills - sum(found.kills.values())
        found.kills += disturb(study, output, cache, left, longest, draw)
        found.studies += 1
        assert studies.tables(output) == expected, output
        events = read_events(output)
        finished = Counter(e["run"] for e in events if e["event"] == "finished")
        assert set(finished.values()) <= {1}, finished
        runs = {path.parent.name for path in output.glob("results/*/manifest.json")}
        assert not runs & set(expected_failures)
        _check_nothing_twice(events, runs)
        found.finished += len(runs)
        found.begun += sum(event["event"] == "began" for event in events)
        print(found, flush=True)
        left_over = [
            p for p in output.glob("results/.*") if p.name.endswith("finished")
        ]
        assert not left_over, left_over
    return found


def _check_nothing_twice(events: list[dict], runs: set[str]) -> None:
    """Nobody begins a run after it was finished."""
    done: set[str] = set()
    for event in events:
        if event["event"] == "finished":
            done.add(event["run"])
        assert not (event["event"] == "began" and event["run"] in done), event


def main(argv: list[str]) -> None:
    del argv
    folder = Path(_FOLDER.value)
    folder.mkdir(parents=True)
    golden_world.write_regions(folder, "lmdb")
    rows = studies.write_models(folder, range(_MODELS.value), kinds=studies.BOTH)
    study = studies.write_study(folder / "study.yaml", folder / "lmdb", rows)
    began = time.monotonic()
    found = check(
        study,
        folder,
        folder / "cache",
        kills=_KILLS.value,
        longest=_LONGEST.value,
        seed=_SEED.value,
    )
    minutes = (time.monotonic() - began) / 60
    print(f"{found}; tables as undisturbed; {minutes:.0f} minutes")


if __name__ == "__main__":
    app.run(main)
