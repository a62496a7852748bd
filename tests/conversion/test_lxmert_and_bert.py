"""Checkpoints that use other names: the original LXMERT and text-only BERT."""

import dataclasses
import re

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.conversion.test_conversion import assert_holds, convert, flat, write
from tests.helpers.golden import forward_case, rule_tensor
from xabl.errors import UserError
from xabl.models.presets import PRESETS

# ---- LXMERT: the table written the other way round ----

_PLAIN = {
    "bert.v_embeddings.image_embeddings": "bert.encoder.visn_fc.visn_fc",
    "bert.v_embeddings.ImgLayerNorm": "bert.encoder.visn_fc.visn_layer_norm",
    "bert.v_embeddings.image_location_embeddings": "bert.encoder.visn_fc.box_fc",
    "bert.v_embeddings.LocLayerNorm": "bert.encoder.visn_fc.box_layer_norm",
    "bert.t_pooler": "bert.pooler",
    "cls.bi_seq_relationship": "cls.seq_relationship",
    "cls.imagePredictions.transform": "obj_predict_head.transform",
    "cls.imagePredictions.decoder_dict.3": "obj_predict_head.decoder_dict.obj",
    "cls.imagePredictions.decoder_dict.4": "obj_predict_head.decoder_dict.attr",
    "cls.imagePredictions.decoder_dict.5": "obj_predict_head.decoder_dict.feat",
}


def original_lxmert_name(name):
    match = re.fullmatch(r"bert\.encoder\.layer\.(\d+)\.(\w+)\.(v_)?(.*)", name)
    if match is None:
        for reference, original in _PLAIN.items():
            if name.startswith(reference + "."):
                return original + name.removeprefix(reference)
        return name
    number, part, regions, rest = int(match[1]), match[2], match[3], match[4]
    if number < 18:
        stack = "r_layers" if regions else "layer"
        inner = part.replace("attention_", "attention.")
        return f"bert.encoder.{stack}.{number // 2}.{inner}.{rest}"
    block, position = divmod(number - 18, 3)
    stream = "visn" if regions else "lang"
    inner = {
        (0, "attention_self"): "visual_attention.att",
        (0, "attention_output"): "visual_attention.output",
        (1, "attention_self"): f"{stream}_self_att.self",
        (1, "attention_output"): f"{stream}_self_att.output",
        (2, "intermediate"): f"{stream}_inter",
        (2, "output"): f"{stream}_output",
    }[position, part]
    return f"bert.encoder.x_layers.{block}.{inner}.{rest}"


@pytest.fixture(scope="module")
def lxmert():
    case = forward_case("lxmert")
    tensors = case.state_dict()
    original = {original_lxmert_name(name): tensors[name] for name in case.shapes}
    assert len(original) == len(case.shapes)
    tied = "cls.predictions.decoder.weight"
    original[tied] = tensors[tied]
    original["answer_head.logit_fc.0.weight"] = np.ones((4, 4), np.float32)
    return case, original


def test_the_names_of_the_published_file(lxmert):
    _, original = lxmert
    # A sample of the names in Epoch20_LXRT.pth, without its "module." prefix.
    assert original.keys() >= {
        "bert.embeddings.word_embeddings.weight",
        "bert.encoder.layer.8.attention.output.LayerNorm.bias",
        "bert.encoder.r_layers.4.output.dense.weight",
        "bert.encoder.x_layers.4.visual_attention.att.query.weight",
        "bert.encoder.x_layers.0.visual_attention.output.dense.bias",
        "bert.encoder.x_layers.2.lang_self_att.self.key.bias",
        "bert.encoder.x_layers.2.visn_self_att.output.LayerNorm.weight",
        "bert.encoder.x_layers.1.lang_inter.dense.weight",
        "bert.encoder.x_layers.1.visn_output.LayerNorm.bias",
        "bert.encoder.visn_fc.visn_layer_norm.weight",
        "bert.pooler.dense.weight",
        "cls.predictions.transform.LayerNorm.weight",
        "cls.seq_relationship.bias",
        "obj_predict_head.decoder_dict.attr.weight",
    }


@pytest.mark.parametrize("prefix", ["", "module."])
def test_original_lxmert(tmp_path, lxmert, prefix):
    case, original = lxmert
    state = {prefix + name: value for name, value in original.items()}
    converted = convert(write(tmp_path, state), case.config, "lxmert")
    assert_holds(converted, case.config, case.state_dict())
    report = converted.report
    assert report["ignored"] == {
        f"{prefix}answer_head.logit_fc.0.weight": (
            "question answering head, no part of the model"
        )
    }
    assert "tanh" in report["notes"][0] and "not faithful" in report["notes"][0]


def test_lxmert_with_a_layer_too_many_and_one_too_few(tmp_path, lxmert):
    case, original = lxmert
    state = dict(original)
    moved = "bert.encoder.r_layers.4.output.dense.bias"
    state["bert.encoder.r_layers.5.output.dense.bias"] = state.pop(moved)
    with pytest.raises(UserError, match="1 extra, 1 missing") as error:
        convert(write(tmp_path, state), case.config, "lxmert")
    assert "r_layers.5.output.dense.bias" in str(error.value)
    assert f"missing: {moved} (sublayers_9/" in str(error.value)


# ---- BERT ----

BERT = dataclasses.replace(
    PRESETS["bert_base"],
    name="tiny_bert",
    vocab_size=30,
    hidden_size=8,
    num_attention_heads=2,
    intermediate_size=12,
    max_position_embeddings=16,
)


def hugging_face_bert(*, old=False):
    """A state dict with the names of bert-base-uncased, older or newer."""
    weight, bias = ("gamma", "beta") if old else ("weight", "bias")
    shapes = {
        "bert.embeddings.word_embeddings.weight": (30, 8),
        "bert.embeddings.position_embeddings.weight": (16, 8),
        "bert.embeddings.token_type_embeddings.weight": (2, 8),
        f"bert.embeddings.LayerNorm.{weight}": (8,),
        f"bert.embeddings.LayerNorm.{bias}": (8,),
        "cls.predictions.bias": (30,),
        "cls.predictions.transform.dense.weight": (8, 8),
        "cls.predictions.transform.dense.bias": (8,),
        f"cls.predictions.transform.LayerNorm.{weight}": (8,),
        f"cls.predictions.transform.LayerNorm.{bias}": (8,),
    }
    for layer in range(12):
        start = f"bert.encoder.layer.{layer}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            shapes[f"{start}.attention.{part}.weight"] = (8, 8)
            shapes[f"{start}.attention.{part}.bias"] = (8,)
        for part in ("attention.output", "output"):
            shapes[f"{start}.{part}.LayerNorm.{weight}"] = (8,)
            shapes[f"{start}.{part}.LayerNorm.{bias}"] = (8,)
        shapes[f"{start}.intermediate.dense.weight"] = (12, 8)
        shapes[f"{start}.intermediate.dense.bias"] = (12,)
        shapes[f"{start}.output.dense.weight"] = (8, 12)
        shapes[f"{start}.output.dense.bias"] = (8,)
    state = {name: rule_tensor(name, shape, 0) for name, shape in shapes.items()}
    words = state["bert.embeddings.word_embeddings.weight"]
    if old:
        state["bert.pooler.dense.weight"] = np.ones((8, 8), np.float32)
        state["bert.pooler.dense.bias"] = np.ones(8, np.float32)
        state["cls.seq_relationship.weight"] = np.ones((2, 8), np.float32)
        state["cls.seq_relationship.bias"] = np.ones(2, np.float32)
    else:
        state["bert.embeddings.position_ids"] = np.arange(16)[None]
        state["cls.predictions.decoder.bias"] = state["cls.predictions.bias"].copy()
    return state | {"cls.predictions.decoder.weight": words}


def assert_is_bert(params, state, *, old=False):
    params = flat(params)
    scale, bias = ("gamma", "beta") if old else ("weight", "bias")
    expected = {
        "text_embeddings/word/embedding": "embeddings.word_embeddings.weight",
        "text_embeddings/position/embedding": "embeddings.position_embeddings.weight",
        "text_embeddings/token_type/embedding": (
            "embeddings.token_type_embeddings.weight"
        ),
        "text_embeddings/norm/scale": f"embeddings.LayerNorm.{scale}",
        "text_embeddings/norm/bias": f"embeddings.LayerNorm.{bias}",
    }
    for layer in range(12):
        theirs = f"encoder.layer.{layer}"
        attention = f"sublayers_{2 * layer}/text"
        feed_forward = f"sublayers_{2 * layer + 1}/text"
        dense = {
            f"{attention}/query": f"{theirs}.attention.self.query",
            f"{attention}/key": f"{theirs}.attention.self.key",
            f"{attention}/value": f"{theirs}.attention.self.value",
            f"{attention}/output": f"{theirs}.attention.output.dense",
            f"{feed_forward}/intermediate": f"{theirs}.intermediate.dense",
            f"{feed_forward}/output": f"{theirs}.output.dense",
        }
        for ours, name in dense.items():
            expected[f"{ours}/kernel"] = f"{name}.weight"
            expected[f"{ours}/bias"] = f"{name}.bias"
        norms = {attention: "attention.output", feed_forward: "output"}
        for ours, name in norms.items():
            expected[f"{ours}/norm/scale"] = f"{theirs}.{name}.LayerNorm.{scale}"
            expected[f"{ours}/norm/bias"] = f"{theirs}.{name}.LayerNorm.{bias}"
    expected = {ours: f"bert.{theirs}" for ours, theirs in expected.items()}
    head = "cls.predictions"
    expected |= {
        "mlm_head/bias": f"{head}.bias",
        "mlm_head/transform/kernel": f"{head}.transform.dense.weight",
        "mlm_head/transform/bias": f"{head}.transform.dense.bias",
        "mlm_head/norm/scale": f"{head}.transform.LayerNorm.{scale}",
        "mlm_head/norm/bias": f"{head}.transform.LayerNorm.{bias}",
    }
    assert params.keys() == expected.keys()
    for ours, theirs in expected.items():
        value = state[theirs].T if ours.endswith("kernel") else state[theirs]
        np.testing.assert_array_equal(params[ours], value)


def test_old_bert(tmp_path):
    state = hugging_face_bert(old=True)
    converted = convert(write(tmp_path, state), BERT, "bert")
    assert_is_bert(converted.params, state, old=True)
    assert converted.report["ignored"].keys() == {
        "bert.pooler.dense.weight",
        "bert.pooler.dense.bias",
        "cls.seq_relationship.weight",
        "cls.seq_relationship.bias",
    }


def test_new_bert_without_pooler(tmp_path):
    state = hugging_face_bert()
    converted = convert(write(tmp_path, state), BERT, "bert")
    assert_is_bert(converted.params, state)
    report = converted.report
    assert report["ignored"].keys() == {"bert.embeddings.position_ids"}
    assert report["merged"]["cls.predictions.decoder.bias"] == "cls.predictions.bias"


def test_bert_as_safetensors(tmp_path):
    state = hugging_face_bert(old=True)
    del state["cls.predictions.decoder.weight"]
    path = tmp_path / "model.safetensors"
    save_file(state, path)
    assert_is_bert(convert(path, BERT, "bert").params, state, old=True)


def test_bert_with_an_output_bias_of_its_own(tmp_path):
    state = hugging_face_bert()
    state["cls.predictions.decoder.bias"] += 1
    with pytest.raises(UserError, match="unequal: cls.predictions.bias and cls.*decod"):
        convert(write(tmp_path, state), BERT, "bert")


def test_bert_of_another_depth(tmp_path):
    state = hugging_face_bert()
    renamed = {name.replace("layer.11.", "layer.12."): v for name, v in state.items()}
    with pytest.raises(UserError, match="16 extra, 16 missing") as error:
        convert(write(tmp_path, renamed), BERT, "bert")
    assert "none for BERT layer 12" in str(error.value)
