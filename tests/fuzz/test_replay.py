"""What fuzzing found once, and a few thousand inputs drawn alike on every run."""

import random
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS
from tests.fuzz.watching import Watched, mutated

KEPT = Path(__file__).parents[1] / "data" / "fuzz"


@pytest.mark.parametrize("name", TARGETS)
def test_readers_refuse_what_is_damaged(tmp_path, name):
    """Nothing but our own error, whatever the bytes."""
    watched = Watched(name, tmp_path)
    seeds = TARGETS[name].seeds()
    for seed in seeds:
        watched.read(seed)
    for path in sorted((KEPT / name.replace(" ", "-")).glob("*")):
        watched.read(path.read_bytes())
    drawn = random.Random(0)
    for _ in range(10 if TARGETS[name].is_slow else 100):
        watched.read(mutated(drawn, drawn.choice(seeds), seeds))


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_are_read_well(tmp_path, name):
    """Otherwise fuzzing would begin behind the first check of a reader."""
    for number, seed in enumerate(TARGETS[name].seeds()):
        folder = tmp_path / str(number)
        folder.mkdir()
        if name in ("checkpoint index", "study"):  # of files that are not there
            continue
        TARGETS[name].read(folder, seed)


def test_what_is_kept_stays_small():
    assert (
        sum(path.stat().st_size for path in KEPT.rglob("*") if path.is_file()) < 2**20
    )
    folders = {path.name for path in KEPT.iterdir()}
    assert folders <= {name.replace(" ", "-") for name in TARGETS}
