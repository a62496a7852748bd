"""Where the tensors of a checkpoint may stand: files, folders, names, nested dicts."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from checkpoints_conversion.conversion import convert, convert_file
from checkpoints_conversion.recognition import recognise, settings_beside
from tests.helpers.torch_writer import write_torch_file
from tests.helpers.transformers_checkpoints import (
    visualbert_state,
    write_settings,
    write_vocabulary,
)
from xabl.data.checkpoints.opening import open_checkpoint
from xabl.errors import UserError
from xabl.inspection import inspect_path
from xabl.models import model_directory

# What is found beside the weights.
BESIDE = {"model": {"optimizer"}, "model in state_dict": {"optimizer", "epoch"}}


@pytest.mark.parametrize(
    "layout",
    ["module.", "module.module.", "_orig_mod.", "module._orig_mod.", "in the middle"]
    + ["state_dict", "model", "model_state_dict", "model in state_dict"],
)
def test_every_place_where_programs_put_weights(tmp_path, layout):
    plain = visualbert_state()
    state = {f"{layout}{name}": value for name, value in plain.items()}
    if layout == "in the middle":
        start, middle = "visual_bert.", "visual_bert._orig_mod."
        state = {name.replace(start, middle): value for name, value in plain.items()}
    elif not layout.endswith("."):
        state = {"optimizer": {"lr": 0.1}, layout.split()[0]: plain}
        if " in " in layout:
            state = {"epoch": 3, "state_dict": state}
    path = write_torch_file(tmp_path / "checkpoint.pth", state, "zip")
    write_settings(tmp_path)
    file = open_checkpoint(path)
    found = recognise(file, settings_beside(path))
    converted = convert(file, found.config, found.names)
    np.testing.assert_array_equal(
        converted.params["poolers"]["text"]["kernel"],
        plain["visual_bert.pooler.dense.weight"].T,
    )
    beside = set(converted.report["beside_the_weights"])
    assert beside == BESIDE.get(layout, {"optimizer"} if "_dict" in layout else set())


def write_shards(folder, state, suffix):
    """Two files and their index, as transformers writes them."""
    names = sorted(state)
    stem = "model" if suffix == "safetensors" else "pytorch_model"
    weight_map = {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        file = f"{stem}-{number:05}-of-00002.{suffix}"
        tensors = {name: state[name].copy() for name in part}
        if suffix == "safetensors":
            save_file(tensors, folder / file)
        else:
            write_torch_file(folder / file, tensors, "zip")
        weight_map |= dict.fromkeys(part, file)
    index = folder / f"{stem}.{suffix}.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return index


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_several_files_with_an_index(tmp_path, suffix):
    state = visualbert_state()
    index = write_shards(tmp_path, state, suffix)
    write_settings(tmp_path)
    summary = convert_file(tmp_path, tmp_path / "model")
    assert "VisualBERT" in summary and "in 2 files" in summary
    config, params = model_directory.load(tmp_path / "model")
    kernel = state["visual_bert.pooler.dense.weight"].T
    np.testing.assert_array_equal(params["poolers"]["text"]["kernel"], kernel)
    source = model_directory.load_report(tmp_path / "model")["source"]
    shards = sorted(tmp_path.glob(f"*-of-00002.{suffix}"))
    assert source["file"] == index.name
    assert source["bytes"] == sum(path.stat().st_size for path in shards)
    shards[0].unlink()
    absent = f"1 of its 2 files are not there: {shards[0].name}"
    with pytest.raises(UserError, match=absent):
        open_checkpoint(tmp_path)


def test_an_index_that_is_none(tmp_path):
    index = tmp_path / "model.safetensors.index.json"
    for text in (
        "{}",
        '{"weight_map": [1]}',
        '{"weight_map": {"a": 1}}',
        '{"weight_map": {"a": "../secret.bin"}}',
        json.dumps({"weight_map": {"a": index.name}}),
    ):
        index.write_text(text)
        with pytest.raises(UserError, match="not the index of a checkpoint"):
            open_checkpoint(tmp_path)


def test_a_folder_with_none_or_several(tmp_path):
    with pytest.raises(UserError, match="holds no checkpoint; give a folder with"):
        open_checkpoint(tmp_path)
    for name in ("pytorch_model_8.bin", "pytorch_model_9.bin"):
        write_torch_file(tmp_path / name, visualbert_state(), "zip")
    with pytest.raises(UserError, match="holds 2 checkpoints.*give the one to take"):
        open_checkpoint(tmp_path)


def test_inspecting_a_folder_with_a_checkpoint(tmp_path):
    state = visualbert_state()
    write_shards(tmp_path, state, "safetensors")
    write_settings(tmp_path, model_type="visual_bert")
    inspection = inspect_path(tmp_path)
    assert inspection.kind == "checkpoint (safetensors in 2 files)"
    facts = inspection.facts
    assert facts["tensors"] == str(len(state))
    assert facts["what it is"].startswith("transformers' VisualBERT: visualbert, 2 lay")
    assert facts["beside it"] == "config.json"
    assert facts["words"] == "no vocabulary; captions are read lower-cased"
    # Told before conversion as after it, the vocabulary included.
    write_vocabulary(tmp_path / "vocab.txt", 30)
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    facts = inspect_path(tmp_path).facts
    assert facts["beside it"] == "config.json, vocab.txt, tokenizer_config.json"
    assert facts["words"].startswith(
        "vocab.txt, 30 word pieces; captions are read with"
    )
    summary = convert_file(tmp_path, tmp_path / "model")
    assert f"words: {facts['words']}" in summary
    number, counts = facts["parameters"].split(" from ")
    assert f"{number} parameters of " in summary and f" from {counts}" in summary
    with pytest.raises(UserError, match="a model directory already.*as --model"):
        convert_file(tmp_path / "model", tmp_path / "again")
    # What is wrong with it both say.
    (tmp_path / "vocab.txt").write_text("[PAD]\n" * 30)
    (problem,) = inspect_path(tmp_path).problems
    with pytest.raises(UserError, match="line 2: '.PAD.' stands on line 1") as error:
        convert_file(tmp_path, tmp_path / "again")
    assert str(error.value) == problem
