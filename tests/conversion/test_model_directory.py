"""Model directories: what is written is read back, and damage is named."""

import dataclasses
import json
import re
import shutil

import jax
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import xabl
from tests.conversion.test_lxmert_and_bert import BERT
from tests.helpers.transformers_checkpoints import write_vocabulary
from xabl.errors import UserError
from xabl.inspection import inspect_path
from xabl.models import model_directory
from xabl.models.model import parameter_shapes


@pytest.fixture(scope="module")
def params():
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: rng.standard_normal(leaf.shape).astype(np.float32),
        parameter_shapes(BERT),
    )


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocabulary") / "words.txt"
    return write_vocabulary(path, BERT.vocab_size)


@pytest.fixture(scope="module")
def saved(tmp_path_factory, params, vocabulary):
    path = tmp_path_factory.mktemp("models") / "tiny"
    model_directory.save(
        path, BERT, params, vocabulary=vocabulary, report={"kind": "made up"}
    )
    return path


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "copy")


def test_reads_back_what_was_written(saved, params, vocabulary):
    config, loaded = model_directory.load(saved)
    assert config == BERT == model_directory.load_config(saved)
    jax.tree.map(np.testing.assert_array_equal, loaded, params)
    kept = model_directory.vocabulary_path(saved)
    assert kept.read_text() == vocabulary.read_text()
    assert model_directory.load_report(saved)["kind"] == "made up"
    assert sorted(path.name for path in saved.parent.iterdir()) == ["tiny"]


def test_restores_straight_onto_every_device(saved):
    mesh = Mesh(np.array(jax.devices()), ("devices",))
    sharding = NamedSharding(mesh, PartitionSpec())
    _, loaded = model_directory.load(saved, sharding)
    assert all(leaf.sharding == sharding for leaf in jax.tree.leaves(loaded))
    assert len(jax.devices()) == 8


def test_a_directory_can_be_moved(copy, params):
    moved = copy.rename(copy.with_name("moved"))
    _, loaded = model_directory.load(moved)
    jax.tree.map(np.testing.assert_array_equal, loaded, params)


def test_without_vocabulary(tmp_path, params):
    model_directory.save(tmp_path / "m", BERT, params, report={})
    assert model_directory.vocabulary_path(tmp_path / "m") is None


def test_refuses_to_replace_unless_told(copy, params):
    other = jax.tree.map(lambda leaf: leaf + 1, params)
    with pytest.raises(UserError, match="already holds a model; give --overwrite"):
        model_directory.save(copy, BERT, other, report={})
    model_directory.save(copy, BERT, other, report={}, overwrite=True)
    _, loaded = model_directory.load(copy)
    jax.tree.map(np.testing.assert_array_equal, loaded, other)
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]


def test_never_replaces_a_directory_of_another_kind(tmp_path, params):
    """Nor a checkpoint's own folder, which has a configuration, too."""
    for name in ("thesis.txt", "config.json", "model.safetensors"):
        (tmp_path / name).write_text("precious")
        with pytest.raises(UserError, match="not a model directory, so it is never"):
            model_directory.save(tmp_path, BERT, params, report={}, overwrite=True)
        assert (tmp_path / name).read_text() == "precious"


@pytest.mark.parametrize(
    "failure",
    [OSError(28, "No space left on device"), ValueError("No space left on device")],
    ids=["our own files", "Orbax's files"],
)
def test_leaves_nothing_behind_when_writing_fails(
    tmp_path, params, monkeypatch, failure
):
    def full(*args, **kwargs):
        raise failure

    monkeypatch.setattr(model_directory.ocp, "save", full)
    with pytest.raises(UserError, match="No space left on device.*make room"):
        model_directory.save(tmp_path / "m", BERT, params, report={})
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_is_noticed_before(tmp_path, params, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match=r"m cannot be written \(it needs 0 MiB, "):
        model_directory.save(tmp_path / "m", BERT, params, report={})
    assert list(tmp_path.iterdir()) == []


def test_output_under_a_file_cannot_be_written(tmp_path, params):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written .File exists.; choose"):
        model_directory.save(tmp_path / "file" / "m", BERT, params, report={})


def test_refuses_parameters_of_another_model(tmp_path, params):
    wrong = jax.tree.map(lambda leaf: leaf, params)
    wrong["mlm_head"]["bias"] = np.zeros(3, np.float32)
    del wrong["sublayers_0"]
    wrong["extra"] = np.zeros(1, np.float32)
    with pytest.raises(UserError) as error:
        model_directory.save(tmp_path / "m", BERT, wrong, report={})
    message = str(error.value)
    assert "mlm_head/bias has shape (3,), expected (30,)" in message
    assert "missing sublayers_0/text/query/kernel" in message
    assert "unexpected extra" in message
    assert list(tmp_path.iterdir()) == []


def test_refuses_a_vocabulary_of_another_size(tmp_path, params, vocabulary):
    config = dataclasses.replace(BERT, vocab_size=31)
    with pytest.raises(UserError, match=r"has 30 word pieces .* has 31; give the voc"):
        model_directory.check_vocabulary(vocabulary, config)
    short = tmp_path / "short.txt"
    write_vocabulary(short, 29)
    with pytest.raises(UserError, match=r"short\.txt: has 29 word pieces"):
        model_directory.save(tmp_path / "m", BERT, params, vocabulary=short, report={})
    with pytest.raises(UserError, match=r"none\.txt is missing"):
        model_directory.check_vocabulary(tmp_path / "none.txt", BERT)


def test_one_check_of_a_vocabulary(tmp_path, params, copy):
    """Whoever is given it says what is wrong: who keeps it, who uses what is kept."""
    twice = tmp_path / "twice.txt"
    twice.write_text(write_vocabulary(twice, 29).read_text() + "[UNK]\n")
    wrong = r"\.txt, line 30: '\[UNK\]' stands on line 2 already"
    for check in (
        lambda: model_directory.check_vocabulary(twice, BERT),
        lambda: model_directory.is_cased(twice),
        lambda: model_directory.save(
            tmp_path / "m", BERT, params, vocabulary=twice, report={}
        ),
        lambda: model_directory.vocabulary_of(copy, BERT, twice),
    ):
        with pytest.raises(UserError, match="twice" + wrong):
            check()
    shutil.copy(twice, copy / "vocab.txt")
    with pytest.raises(UserError, match=wrong + ".*give another with --vocab"):
        model_directory.vocabulary_of(copy, BERT)
    with pytest.raises(xabl.UserError, match=wrong + ".*give another with vocabulary="):
        xabl.load(copy)
    assert re.search(wrong, inspect_path(copy).problems[0])
    (copy / "vocab.txt").unlink()
    with pytest.raises(UserError, match="no vocabulary was kept .* with --vocab"):
        model_directory.vocabulary_of(copy, BERT)
    with pytest.raises(xabl.UserError, match="no vocabulary was kept .* vocabulary="):
        xabl.load(copy)


def test_names_a_directory_that_is_none(tmp_path):
    with pytest.raises(UserError, match="is not a model directory; .*xabl convert"):
        model_directory.load(tmp_path)
    with pytest.raises(UserError, match="nowhere: does not exist"):
        model_directory.load(tmp_path / "nowhere")
    (tmp_path / "config.json").write_text('{"model_type": "lxmert"}')
    with pytest.raises(UserError, match="transformers, not a model.*: xabl convert"):
        model_directory.load(tmp_path)


def _parameter_files(directory):
    return sorted(p for p in (directory / "params").rglob("*") if p.is_file())


def test_names_every_missing_or_cut_file(copy):
    files = [path for path in _parameter_files(copy) if path.stat().st_size]
    for path in files:
        content = path.read_bytes()
        name = str(path.relative_to(copy / "params"))
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(UserError) as cut:
            model_directory.load(copy)
        path.unlink()
        with pytest.raises(UserError) as missing:
            model_directory.load(copy)
        path.write_bytes(content)
        size = len(content)
        assert f"{name}: {size // 2} bytes instead of {size}" in str(cut.value)
        assert f"{name}: no bytes instead of {size}" in str(missing.value)
        assert "incomplete" in str(cut.value) and str(copy) in str(cut.value)
    model_directory.load(copy)


def test_names_a_missing_report(copy):
    (copy / "report.json").unlink()
    with pytest.raises(UserError, match=r"report\.json: .*incomplete"):
        model_directory.load(copy)


@pytest.mark.parametrize("damaged", ["*", "state/_METADATA"])
def test_names_damage_that_keeps_the_sizes(copy, damaged):
    for path in (copy / "params").rglob(damaged):
        if path.is_file():
            path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(UserError, match="copy: damaged.*not the bytes that were writt"):
        model_directory.load(copy)
    # As it was listed before there were digests.
    report = json.loads((copy / "report.json").read_text())
    files = {name: size for name, (size, _) in report["parameter_files"].items()}
    (copy / "report.json").write_text(json.dumps(report | {"parameter_files": files}))
    with pytest.raises(UserError, match="copy: the parameters cannot be read"):
        model_directory.load(copy)


def test_names_the_file_of_a_flipped_bit(copy):
    """In whatever file of the parameters; as it was, all is well again."""
    for path in _parameter_files(copy):
        content = path.read_bytes()
        for place in {0, len(content) // 2, len(content) - 1} if content else ():
            damaged = bytearray(content)
            damaged[place] ^= 4
            path.write_bytes(damaged)
            name = str(path.relative_to(copy / "params"))
            with pytest.raises(UserError, match=f"{re.escape(name)}: not the bytes"):
                model_directory.load(copy)
        path.write_bytes(content)
    model_directory.load(copy)


def test_says_that_a_vocabulary_or_configuration_was_edited(copy, capfd):
    """Which may be on purpose."""
    model_directory.load(copy)
    assert capfd.readouterr().err == ""
    config = copy / "config.json"
    config.write_text(config.read_text().replace("0.02", "0.03"))
    model_directory.load(copy)
    assert "config.json: not the bytes that were written; if you did not edit it" in (
        capfd.readouterr().err
    )


def test_names_a_configuration_that_is_not_the_parameters_own(copy):
    fields = json.loads((copy / "config.json").read_text())
    fields["intermediate_size"] = 13
    (copy / "config.json").write_text(json.dumps(fields))
    with pytest.raises(UserError, match="not those of its configuration") as error:
        model_directory.load(copy)
    assert "sublayers_1/text/intermediate/bias has shape (12,)" in str(error.value)
