"""What a run is known by: contents, not names, places or times."""

import os

import pytest

from tests.helpers import ablation, ablation_binaries, golden_world
from xabl.errors import UserError
from xabl.studies import contents as contents_module
from xabl.studies.contents import Contents, key_of
from xabl.studies.runs import identified, runs_of
from xabl.studies.study_file import read_study


@pytest.fixture
def contents(tmp_path):
    return Contents(tmp_path / "memory.json")


def old(path, seconds=60):
    """As if it had been written a while ago."""
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def test_contents_count_and_nothing_else(contents, tmp_path):
    for name in ("one", "other"):
        (tmp_path / name / "params").mkdir(parents=True)
        (tmp_path / name / "params" / "a").write_text("1 2 3")
        (tmp_path / name / "report.json").write_text(f"made by {name}")
    one, other = tmp_path / "one", tmp_path / "other"
    assert contents.of_model(one) == contents.of_model(other)
    assert contents.of(one) != contents.of(other)
    (other / "params" / "a").rename(other / "params" / "b")
    new = Contents(tmp_path / "memory.json")
    assert new.of_model(one) != new.of_model(other)


def test_an_untouched_file_is_not_read_again(contents, tmp_path, monkeypatch):
    path = tmp_path / "large"
    path.write_text("x" * 1000)
    old(path)
    digest = contents.of(path)
    contents.save()

    def read(*arguments):
        raise AssertionError("read again")

    monkeypatch.setattr(contents_module, "_digest", read)
    assert Contents(tmp_path / "memory.json").of(path) == digest
    path.write_text("y" * 1000)
    with pytest.raises(AssertionError, match="read again"):
        Contents(tmp_path / "memory.json").of(path)


def test_a_file_written_just_now_is_not_remembered(contents, tmp_path):
    path = tmp_path / "file"
    path.write_text("x")
    first, look = contents.of(path), path.stat()
    contents.save()
    path.write_text("y")
    os.utime(path, ns=(look.st_atime_ns, look.st_mtime_ns))
    assert Contents(tmp_path / "memory.json").of(path) != first


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null"])
def test_a_memory_that_is_damaged_costs_time_only(tmp_path, text):
    (tmp_path / "file").write_text("x")
    (tmp_path / "memory.json").write_text(text)
    memory = Contents(tmp_path / "memory.json")
    assert memory.of(tmp_path / "file") == Contents(tmp_path / "no").of(
        tmp_path / "file"
    )


def test_large_files_are_sampled(contents, tmp_path, monkeypatch):
    monkeypatch.setattr(contents_module, "_WHOLE", 1000)
    monkeypatch.setattr(contents_module, "_SAMPLE", 10)
    path = tmp_path / "large"
    path.write_bytes(bytes(100_000))
    first = contents.of(path)
    with path.open("r+b") as file:
        file.seek(99_995)
        file.write(b"!")
    assert Contents(tmp_path / "memory.json").of(path) != first


def test_entities_are_those_of_the_split(contents):
    first = contents.of_entities(golden_world.ENTITIES, "val")
    assert contents.of_entities(golden_world.ENTITIES, "val") == first


def test_what_is_not_there_is_named(contents, tmp_path):
    with pytest.raises(UserError, match="nowhere: does not exist"):
        contents.of(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no Flickr30k Entities directory"):
        contents.of_entities(tmp_path, "val")


def test_lmdb_may_be_read(contents, tmp_path):
    (tmp_path / "lmdb").mkdir()
    (tmp_path / "lmdb" / "data.mdb").write_text("data")
    first = contents.of(tmp_path / "lmdb")
    (tmp_path / "lmdb" / "lock.mdb").write_text("a reader was here")
    assert contents.of(tmp_path / "lmdb") == first


def test_a_key_depends_on_every_part():
    assert key_of({"a": 1, "b": [2]}) == key_of({"b": [2], "a": 1})
    assert key_of({"a": 1, "b": [2]}) != key_of({"a": 1, "b": [3]})


@pytest.fixture
def key(tmp_path):
    """Of a run of one model, with more data and options."""
    config = ablation.shallow("uniter")
    ablation_binaries.save(tmp_path / "uniter", config, ablation.ruled_params(config))

    def of(options="", data=""):
        file = tmp_path / "study.yaml"
        file.write_text(
            f"data: {{entities: {golden_world.ENTITIES}{data}}}\n"
            f"ablation: {{{options}}}\n"
            "models: [{label: A, model: uniter}]\n"
        )
        memory = Contents(tmp_path / "memory.json")
        (run,) = identified(runs_of(*read_study(file), tmp_path), memory)
        assert run.problem is None
        return run.key

    return of


def test_ways_of_removing_are_part_of_a_key(key):
    options = ("", "replace: [zero]", "replace: [zero], replace_seed: 1")
    assert len({key(each) for each in options}) == 3


def test_the_same_conditions_in_other_words_are_the_same_run(key):
    asked = "thresholds: [0.5, 0.7]"
    assert key(asked) == key("thresholds: [0.7, 0.5], directions: [lang4vis, vis4lang]")
    assert key(asked) != key("thresholds: [0.5]")


def test_lists_of_nouns_are_part_of_a_key(key, tmp_path):
    """Given, or beside the regions: each word's class depends on them."""
    (tmp_path / "regions.h5").write_text("any")
    names = tmp_path / "objects_vocab.txt"
    alone = key(data=", regions: regions.h5")
    names.write_text("dog\n")
    beside = key(data=", regions: regions.h5")
    names.write_text("cat\n")
    changed = key(data=", regions: regions.h5")
    assert len({alone, beside, changed}) == 3
    names.rename(tmp_path / "mine.txt")
    assert key(data=", regions: regions.h5, class_names: mine.txt") == changed


def test_the_data_of_many_runs_is_looked_at_once(contents, monkeypatch):
    contents.of_entities(golden_world.ENTITIES, "val")
    monkeypatch.setattr(contents_module.os, "stat", None)
    contents.of_entities(golden_world.ENTITIES, "val")
