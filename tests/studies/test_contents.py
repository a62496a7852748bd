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
    assert contents.of_model(one) != contents.of_model(other)


def test_an_untouched_file_is_not_read_again(contents, tmp_path, monkeypatch):
    path = tmp_path / "large"
    path.write_text("x" * 1000)
    old(path)
    digest = contents.of(path)
    contents.save()

    def read(*arguments):
        raise AssertionError("read again")

    monkeypatch.setattr(contents_module, "_digest", read)
    later = Contents(tmp_path / "memory.json")
    assert later.of(path) == digest
    path.write_text("y" * 1000)
    with pytest.raises(AssertionError, match="read again"):
        later.of(path)


def test_a_file_written_just_now_is_not_remembered(contents, tmp_path):
    path = tmp_path / "file"
    path.write_text("x")
    first, look = contents.of(path), path.stat()
    path.write_text("y")
    os.utime(path, ns=(look.st_atime_ns, look.st_mtime_ns))
    assert contents.of(path) != first


def test_large_files_are_sampled(contents, tmp_path, monkeypatch):
    monkeypatch.setattr(contents_module, "_WHOLE", 1000)
    monkeypatch.setattr(contents_module, "_SAMPLE", 10)
    path = tmp_path / "large"
    path.write_bytes(bytes(100_000))
    first = contents.of(path)
    with path.open("r+b") as file:
        file.seek(99_995)
        file.write(b"!")
    assert contents.of(path) != first


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


def test_ways_of_removing_are_part_of_a_key(contents, tmp_path):
    config = ablation.shallow("bert")
    ablation_binaries.save(tmp_path / "bert", config, ablation.ruled_params(config))
    keys = set()
    for options in ("", "replace: [zero]", "replace: [zero], replace_seed: 1"):
        file = tmp_path / "study.yaml"
        file.write_text(
            f"data: {{entities: {golden_world.ENTITIES}}}\n"
            f"ablation: {{{options}}}\n"
            f"models: [{{label: A, model: {tmp_path / 'bert'}}}]\n"
        )
        (run,) = identified(runs_of(*read_study(file), tmp_path), contents)
        assert run.problem is None
        keys.add(run.key)
    assert len(keys) == 3
