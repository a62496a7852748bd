"""The three binaries as a user runs them: what they write, and what they say."""

import json
import os

import jax
import numpy as np
import pytest

from tests.conversion.test_lxmert_and_bert import (
    BERT,
    assert_is_bert,
    hugging_face_bert,
    original_lxmert_name,
)
from tests.helpers import binaries
from tests.helpers.golden import forward_case
from tests.helpers.torch_writer import write_torch_file
from tests.helpers.transformers_checkpoints import write_vocabulary
from xabl.models import model_directory


def run(binary, **flags):
    return binaries.run(f"checkpoints_conversion.{binary}", **flags)


@pytest.fixture(scope="module")
def case():
    return forward_case("ctrl_vilbert_base")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, case):
    path = tmp_path_factory.mktemp("published") / "pytorch_model_9.bin"
    return write_torch_file(path, case.state_dict(), "sequence")


@pytest.fixture
def vocabulary(tmp_path, case):
    return write_vocabulary(tmp_path / "vocab.txt", case.config.vocab_size)


def config_with(tmp_path, case, **fields):
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(json.loads(case.config_file.read_text()) | fields))
    return path


def test_convert_volta(tmp_path, case, checkpoint, vocabulary):
    flags = dict(checkpoint=checkpoint, config=case.config_file, output=tmp_path / "m")
    done = run("convert_volta", **flags, vocab=vocabulary)
    assert done.status == 0, done.err
    assert "673,254 parameters" in done.out and "wrote" in done.out
    config, params = model_directory.load(tmp_path / "m")
    assert config == case.config
    np.testing.assert_array_equal(
        params["mlm_head"]["transform"]["kernel"],
        case.state_dict()["cls.predictions.transform.dense.weight"].T,
    )
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 673_254
    assert model_directory.vocabulary_path(tmp_path / "m") is not None
    assert model_directory.load_report(tmp_path / "m")["kind"] == "VOLTA"
    again = run("convert_volta", **flags)
    assert (again.status, again.out) == (1, "")
    assert "already holds a model; give --overwrite" in again.err
    assert run("convert_volta", **flags, overwrite=True).status == 0


def test_convert_lxmert_says_what_is_not_faithful(tmp_path):
    case = forward_case("lxmert")
    state = case.state_dict()
    state = {original_lxmert_name(name): state[name] for name in case.shapes}
    done = run(
        "convert_lxmert",
        checkpoint=write_torch_file(tmp_path / "Epoch20_LXRT.pth", state, "zip"),
        config=case.config_file,
        output=tmp_path / "m",
    )
    assert done.status == 0, done.err
    assert "note: image-text matching scores are not faithful" in done.out


def test_convert_bert(tmp_path):
    state = hugging_face_bert()
    config = tmp_path / "tiny_bert.json"
    config.write_text(json.dumps(BERT.to_dict()))
    done = run(
        "convert_bert",
        checkpoint=write_torch_file(tmp_path / "pytorch_model.bin", state, "zip"),
        config=config,
        output=tmp_path / "m",
    )
    assert done.status == 0, done.err
    config, params = model_directory.load(tmp_path / "m")
    assert config == BERT
    assert_is_bert(params, state)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"attention_temperature": 2}, "unknown configuration fields attention_temp"),
        ({"num_attention_heads": 7}, "7"),
    ],
    ids=["unknown field", "sizes that do not divide"],
)
def test_a_configuration_that_is_wrong(tmp_path, case, checkpoint, fields, message):
    config = config_with(tmp_path, case, **fields)
    done = run(
        "convert_volta", checkpoint=checkpoint, config=config, output=tmp_path / "m"
    )
    assert done.status == 1
    assert f"error: {config}: " in done.err and message in done.err
    assert not (tmp_path / "m").exists()


def test_a_vocabulary_of_another_size(tmp_path, case, checkpoint, vocabulary):
    write_vocabulary(vocabulary, 30_522)
    done = run(
        "convert_volta",
        checkpoint=checkpoint,
        config=case.config_file,
        output=tmp_path / "m",
        vocab=vocabulary,
    )
    assert done.status == 1
    assert "vocab.txt: has 30522 word pieces (lines), the model" in done.err
    assert "has 211; give the vocab.txt" in done.err
    assert not (tmp_path / "m").exists()


def test_a_cut_checkpoint(tmp_path, case, checkpoint):
    cut = tmp_path / "cut.bin"
    cut.write_bytes(checkpoint.read_bytes()[:100_000])
    done = run(
        "convert_volta", checkpoint=cut, config=case.config_file, output=tmp_path / "m"
    )
    assert done.status == 1
    assert "cut.bin: storage" in done.err and "fetch it again" in done.err


def test_an_interrupted_conversion_leaves_nothing(tmp_path, case, checkpoint):
    done = binaries.interrupted(
        "checkpoints_conversion.convert_volta",
        checkpoint=checkpoint,
        config=case.config_file,
        output=tmp_path / "m",
    )
    assert (done.status, done.out) == (130, "")
    assert done.err == "interrupted; what was finished before is kept\n"
    assert os.listdir(tmp_path) == []
