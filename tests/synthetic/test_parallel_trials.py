"""Trials from nothing to results, in processes of their own."""

import dataclasses
import json
import re

import pytest

from xabl import analysis
from xabl.errors import UserError
from xabl.synthetic import demo
from xabl.synthetic.parallel_trials import run_trials
from xabl.synthetic.trials import SmallWorld, Trial

TINY = SmallWorld(name="tiny", train_images=16, val_images=4)
FIRST = Trial(name="first", label="gold", world=TINY, steps=2)
SECOND = dataclasses.replace(
    FIRST, name="second", label="silver", start="first", seed=1
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder in which both have run, the second after the first."""
    root = tmp_path_factory.mktemp("trials")
    with pytest.MonkeyPatch.context() as patch:
        # Compiling takes most of the time.
        patch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
        results = run_trials([SECOND, FIRST], root, processes=2)
    assert results == [root / "results" / name for name in ("second", "first")]
    return root


@pytest.mark.slow
def test_results_are_those_of_the_real_binary(root):
    study = analysis.load_study([root / "results" / x for x in ("first", "second")])
    assert [model.label for model in study.models] == ["gold", "silver"]
    assert study.conditions("vis4lang") == ("none", "object@0.5", "all")
    assert study.conditions("lang4vis") == ("none", "phrase", "all")


@pytest.mark.slow
def test_the_second_started_from_the_first(root):
    run = root / "runs" / "second"
    resolved = json.loads((run / "config.json").read_text())
    assert resolved["initial"]["model"] == str(root / "runs" / "first" / "model")
    origin = json.loads((run / "initial_values.json").read_text())
    assert set(origin.values()) == {"model"}


@pytest.mark.slow
def test_what_is_finished_is_kept(root, capsys):
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()}
    run_trials([FIRST, SECOND], root, processes=2)
    assert {p: p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()} == before
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_a_failure_names_the_log_and_its_last_line(root):
    lost = dataclasses.replace(FIRST, name="lost", start="nobody")
    with pytest.raises(UserError, match=r"lost: .*nobody.* \(its log: .*lost.log\)"):
        run_trials([lost], root, processes=1)
    assert "error: " in (root / "logs" / "lost.log").read_text()


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file: cannot be written to"):
        run_trials([FIRST], tmp_path / "file", processes=1)


@pytest.mark.slow
def test_the_story_has_every_ablation_and_a_sentence_for_each_direction(root):
    text = demo.story([root / "results" / x for x in ("first", "second")], TINY)
    rows = [line for line in text.splitlines() if re.match("(gold|silver) ", line)]
    changes = [line for line in rows if re.search(" (regions|words): ", line)]
    assert len(changes) == 8
    assert len(rows) > len(changes)  # those by class of word
    assert text.count("- Vision for language: ") == 1
    assert text.count("- Language for vision: ") == 1
