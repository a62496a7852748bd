"""Sweeps a study while its processes are killed at random moments.

    python -m tests.studies.kills --kills=200 --models=6 --folder=/tmp/kills

Small models of two architectures, one of them corrupt, on a small synthetic world. One
undisturbed sweep says what the tables have to be. Then sweep after sweep of the same
study is disturbed by SIGKILLs, of workers or of the sweep itself, until so many have
hit; every study is swept to its end. A moment is a random time after an event of the
study (a run began, was half done, was finished), so that not all of them hit the
seconds in which processes start. Prints what was killed and when, and how much was
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

from tests.helpers import binaries, studies
from xabl.studies.events import read_events

_KILLS = flags.DEFINE_integer("kills", 200, "so many SIGKILLs")
_MODELS = flags.DEFINE_integer("models", 6, "seeds of each of two architectures")
_FOLDER = flags.DEFINE_string("folder", None, "where to work", required=True)
_SEED = flags.DEFINE_integer("seed", 0, "of the moments and of who is killed")
_LONGEST = flags.DEFINE_float(
    "longest", 2.0, "most seconds between an event and the kill"
)

# After which events, how often. "start": of the sweep itself.
_MOMENTS = {"start": 1, "began": 5, "progress": 3, "finished": 3}
_PATIENCE = 60.0  # seconds for the event; then the kill comes anyway


@dataclasses.dataclass(kw_only=True)
class Disturbed:
    """What happened.

    kills: by whom they hit, and after which event. inside: of them, those at which some
    run had begun and not ended. finished: results that are there, begun: how often
    somebody began one.
    """

    kills: Counter = dataclasses.field(default_factory=Counter)
    inside: int = 0
    studies: int = 0
    finished: int = 0
    begun: int = 0

    def __str__(self) -> str:
        kinds = ", ".join(f"{n} {who}" for who, n in sorted(self.kills.items()))
        return (
            f"{self.count} kills ({kinds}), {self.inside} of them during a run, in "
            f"{self.studies} studies; {self.finished} runs finished, begun "
            f"{self.begun} times"
        )

    @property
    def count(self) -> int:
        return sum(self.kills.values())


def command(study: Path, output: Path) -> list[str]:
    return binaries.command(
        "experiments.sweep", study=study, output=output, workers=2, retries=10**6
    )


class _Disturber:
    """Sweeps one study to its end, and kills meanwhile."""

    def __init__(self, study: Path, output: Path, cache: Path, longest: float, draw):
        self._study, self._output, self._cache = study, output, cache
        self._longest, self._draw = longest, draw

    def run(self, found: Disturbed, kills: int) -> int:
        """Starts again and again until nothing kills it; the last exit status."""
        while True:
            with (
                open(self._output.with_suffix(".log"), "w") as log,
                subprocess.Popen(
                    command(self._study, self._output),
                    cwd=binaries.ROOT,
                    env=binaries.environment(self._cache),
                    stdout=log,
                    stderr=log,
                ) as sweep,
            ):
                is_new = True
                while found.count < kills and self._kill_one(sweep, found, is_new):
                    is_new = False
                sweep.wait()
            if sweep.returncode != -signal.SIGKILL:
                return sweep.returncode

    def _kill_one(
        self, sweep: subprocess.Popen, found: Disturbed, is_new: bool
    ) -> bool:
        """Waits for a moment and kills; False if the sweep has ended."""
        drawn = self._draw.choices([*_MOMENTS], [*_MOMENTS.values()])[0]
        if drawn != "start" and not self._waited_for(drawn, sweep):
            return False
        if drawn == "start" and not is_new:
            drawn = "any moment"
        try:
            sweep.wait(self._draw.uniform(0, self._longest))
            return False
        except subprocess.TimeoutExpired:
            pass
        who = self._draw.choice(["sweep", "worker", "worker"])
        workers = _workers(sweep.pid)
        if who == "worker" and not workers:
            who = "sweep"  # which has none yet
        running = _running(read_events(self._output))
        _kill(sweep.pid if who == "sweep" else self._draw.choice(workers))
        found.kills[f"{who} after {drawn}"] += 1
        found.inside += bool(running)
        return who == "worker"

    def _waited_for(self, event: str, sweep: subprocess.Popen) -> bool:
        """Whether such an event came, or none for long, before the sweep ended."""
        before, deadline = self._count(event), time.monotonic() + _PATIENCE
        while self._count(event) == before and time.monotonic() < deadline:
            try:
                sweep.wait(0.1)
                return False
            except subprocess.TimeoutExpired:
                pass
        return True

    def _count(self, event: str) -> int:
        return sum(e["event"] == event for e in read_events(self._output))


def _running(events: list[dict]) -> set[tuple[str, int]]:
    """Runs that some living process has begun and not ended."""
    running: dict[int, str] = {}
    for event in events:
        if event["event"] == "began":
            running[event["process"]] = event["run"]
        elif event["event"] in ("finished", "failed", "lost"):
            running.pop(event["process"], None)
    return {(run, p) for p, run in running.items() if Path(f"/proc/{p}").exists()}


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
    corrupt: str,
) -> Disturbed:
    """Kills until so many kills have hit; every study's tables are the same.

    Args:
        corrupt: the run whose model is.

    Raises:
        AssertionError: they are not, or something finished was done again, or another
            run failed.
    """
    draw = random.Random(seed)
    calm = folder / "calm"
    with open(calm.with_suffix(".log"), "w") as log:
        status = subprocess.run(
            command(study, calm),
            cwd=binaries.ROOT,
            env=binaries.environment(cache),
            stderr=log,
        ).returncode
    _check_failed(calm, status, corrupt)
    expected = studies.tables(calm)
    assert len(expected) > 1
    found = Disturbed()
    while found.count < kills:
        output = folder / f"disturbed-{found.studies}"
        disturber = _Disturber(study, output, cache, longest, draw)
        status = disturber.run(found, kills)
        _check_failed(output, status, corrupt)
        found.studies += 1
        assert studies.tables(output) == expected, output
        events = read_events(output)
        finished = Counter(e["run"] for e in events if e["event"] == "finished")
        assert set(finished.values()) <= {1}, finished
        runs = {path.parent.name for path in output.glob("results/*/manifest.json")}
        assert corrupt not in runs
        _check_nothing_twice(events)
        found.finished += len(runs)
        began = [e["run"] for e in events if e["event"] == "began"]
        found.begun += len(began) - began.count(corrupt)
        print(found, flush=True)
        left_over = [
            p for p in output.glob("results/.*") if p.name.endswith("finished")
        ]
        assert not left_over, left_over
    return found


def _check_failed(output: Path, status: int, corrupt: str) -> None:
    """The corrupt one, alone and by its name."""
    log = output.with_suffix(".log").read_text()
    failed = [line for line in log.splitlines() if line.startswith("failed: ")]
    assert status == 1 and len(failed) == 1, log[-3000:]
    assert failed[0].startswith(f"failed: {corrupt}: "), failed


def _check_nothing_twice(events: list[dict]) -> None:
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
    study, corrupt = studies.synthetic_study(folder, range(_MODELS.value))
    began = time.monotonic()
    found = check(
        study,
        folder,
        folder / "cache",
        kills=_KILLS.value,
        longest=_LONGEST.value,
        seed=_SEED.value,
        corrupt=corrupt,
    )
    minutes = (time.monotonic() - began) / 60
    print(f"{found}; tables as undisturbed; {minutes:.0f} minutes")


if __name__ == "__main__":
    app.run(main)
