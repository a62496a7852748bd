"""Studies that are killed again and again: nothing is lost, nothing done twice."""

import re
import shutil
import signal
import subprocess
import time

import pytest

from tests.helpers import binaries, studies
from tests.studies import kills
from xabl.studies.events import read_events
from xabl.synthetic.trials import SmallWorld, Trial, TrialFolders, make_small_world

pytestmark = [pytest.mark.slow, pytest.mark.faults]


def test_killed_at_random_moments(golden, tmp_path):
    study, corrupt = studies.synthetic_study(tmp_path, range(2))
    found = kills.check(
        study, tmp_path, golden, kills=12, longest=2.0, seed=1, corrupt=corrupt
    )
    assert found.count >= 12 and found.inside > 0


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """Two configurations with two seeds each, on a world of 16 images."""
    folder = tmp_path_factory.mktemp("grid")
    world = SmallWorld(name="tiny", train_images=16, val_images=4)
    trial = Trial(name="any", label="any", world=world, steps=1)
    make_small_world(trial, folder)
    at = TrialFolders(root=folder, trial=trial)
    vocabulary = at.world / "vocab.txt"
    path = folder / "study.yaml"
    path.write_text(f"""
data: {{entities: {at.entities}, regions: {at.regions}}}
ablation: {{thresholds: [0.5]}}
report: {{resamples: 100}}
pretrainings:
  - config: synthetic_world
    overrides:
      - corpus={at.corpus}
      - vocabulary={vocabulary}
      - model.vocab_size={len(vocabulary.read_text().splitlines())}
      - valid_split=null
      - steps=8
      - batch_size=8
      - checkpoint_every=2
      - inputs.max_words=24
    variants:
      - label: first
      - {{label: second, start: first, overrides: [optimiser.learning_rate=1e-3]}}
    seeds: [0, 1]
""")
    return path


def test_a_grid_of_trainings_killed_twice_on_the_way(grid, golden):
    calm, output = grid.parent / "calm", grid.parent / "killed"

    def start(folder):
        return subprocess.Popen(
            kills.command(grid, folder),
            cwd=binaries.ROOT,
            env=binaries.environment(golden),
        )

    assert start(calm).wait() == 0
    expected = studies.tables(calm)
    assert len([name for name in expected if name.endswith("scores.parquet")]) == 4
    for event, number in (("progress", 1), ("finished", 2)):
        with start(output) as sweep:
            while [e["event"] for e in read_events(output)].count(event) < number:
                assert sweep.poll() is None
                time.sleep(0.1)
            sweep.send_signal(signal.SIGKILL)
        # Runs are known by what files hold, wherever they are.
        before = grid.read_text()
        corpus = re.search(r"corpus=(.*)", before)[1]
        shutil.move(corpus, f"{corpus}-moved")
        grid.write_text(before.replace(corpus, f"{corpus}-moved"))
    assert start(output).wait() == 0
    assert studies.tables(output) == expected
    finished = [e["run"] for e in read_events(output) if e["event"] == "finished"]
    assert len(finished) == len(set(finished)) <= 4
    assert (output / "report.html").exists()
    for name in ("second-s0", "second-s1"):
        start_of = (output / "trainings" / name / "config.json").read_text()
        assert f"first-{name[-2:]}/model" in start_of
