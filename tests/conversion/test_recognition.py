"""What a checkpoint is: by names and shapes alone, and what is said when it is not."""

import dataclasses

import numpy as np
import pytest
from safetensors.numpy import save_file

from checkpoints_conversion.conversion import convert, convert_file
from checkpoints_conversion.recognition import recognise, settings_beside
from tests.conversion.test_conversion import flat
from tests.conversion.test_lxmert_and_bert import (
    BERT,
    assert_is_bert,
    hugging_face_bert,
    original_lxmert_name,
)
from tests.helpers.golden import forward_case
from tests.helpers.torch_writer import LAYOUTS, write_torch_file
from tests.helpers.transformers_checkpoints import (
    lxmert_state,
    visualbert_state,
    write_hollow,
    write_settings,
)
from xabl.data.checkpoints.opening import open_checkpoint
from xabl.data.checkpoints.tensors import Tensor, TensorFile
from xabl.errors import UserError
from xabl.models.config import Fusion
from xabl.models.presets import PRESETS
from xabl.models.reference_names import reference_names

VOLTA_PRESETS = [name for name in PRESETS if name != "bert_base"]


def file_of(shapes, path):
    """A checkpoint of which only names and shapes are known."""

    def read():
        raise AssertionError("recognition reads no tensor")

    dtype = np.dtype(np.float32)
    tensors = {
        name: Tensor(shape=tuple(shape), dtype=dtype, read=read)
        for name, shape in shapes.items()
    }
    return TensorFile(path=path, layout="zip", tensors=tensors, skipped={})


def shapes_of(config):
    """The tensors of a VOLTA checkpoint, each shared one under all its names."""
    return {
        name: row.shape[::-1] if row.transpose else row.shape
        for row in reference_names(config).values()
        for name in (row.name, *row.aliases)
    }


def recognised(path):
    file = open_checkpoint(path)
    return recognise(file, settings_beside(file.path))


# ---- What it is ----


@pytest.mark.parametrize("name", VOLTA_PRESETS)
def test_every_preset_is_recognised(tmp_path, name):
    found = recognise(file_of(shapes_of(PRESETS[name]), tmp_path / "x.bin"))
    assert (found.kind, found.config) == ("volta", PRESETS[name])
    (assumed,) = found.assumed
    assert "12 attention heads of 64" in assumed and name in assumed


def test_copies_of_shared_tensors_may_be_left_out(tmp_path):
    config = PRESETS["ctrl_uniter_base"]
    once = {row.name for row in reference_names(config).values()}
    shapes = {name: s for name, s in shapes_of(config).items() if name in once}
    assert recognise(file_of(shapes, tmp_path / "x.bin")).config == config
    # But not some of them: this file lost a tensor.
    shapes = shapes_of(config)
    lost = "bert.encoder.layer.4.attention_self.v_query.weight"
    del shapes[lost]
    with pytest.raises(UserError, match=f"1 missing\n  missing: {lost}"):
        recognise(file_of(shapes, tmp_path / "x.bin"))


def test_sizes_and_heads_that_differ_from_the_preset(tmp_path):
    config = dataclasses.replace(
        PRESETS["ctrl_lxmert"],
        vocab_size=119_547,
        v_feature_size=1024,
        num_locs=4,
        visual_target_weights=(("0", 1.0), ("5", 1.0)),
    )
    found = recognise(file_of(shapes_of(config), tmp_path / "x.bin")).config
    assert found == dataclasses.replace(config, name="lxmert-adapted")


def test_the_references_own_configuration_beside_it(tmp_path):
    case = forward_case("ctrl_vilbert_base")
    path = write_torch_file(tmp_path / "pytorch_model_9.bin", case.state_dict(), "zip")
    with pytest.raises(UserError, match="heads of a model 48 wide is not to be seen"):
        recognised(path)
    (tmp_path / "config.json").write_text(case.config_file.read_text())
    found = recognised(path)
    assert found.config == dataclasses.replace(case.config, name="vilbert-adapted")
    assert found.assumed == ()


def test_original_lxmert_as_it_was_trained(tmp_path):
    config = PRESETS["lxmert"]
    names = {row.name for row in reference_names(config).values()}
    shapes = {
        "module." + original_lxmert_name(name): shape
        for name, shape in shapes_of(config).items()
        if name in names
    }
    found = recognise(file_of(shapes, tmp_path / "Epoch20_LXRT.pth"))
    assert found.kind == "lxmert"
    assert found.config == dataclasses.replace(config, fusion_act="tanh")
    assert found.names.matching_last and not found.names.notes


@pytest.mark.parametrize("layout", LAYOUTS)
def test_transformers_lxmert(tmp_path, layout):
    state = lxmert_state()
    path = write_torch_file(tmp_path / "pytorch_model.bin", state, layout)
    write_settings(tmp_path, model_type="lxmert", l_layers=2, r_layers=3, x_layers=1)
    found = recognised(path)
    config = found.config
    assert (config.num_attention_heads, config.v_num_attention_heads) == (2, 2)
    assert (config.num_sublayers, config.vt_attn_sublayers) == (9, (6,))
    assert (config.fusion_method, config.fusion_act) == (Fusion.TEXT, "tanh")
    converted = convert(open_checkpoint(path), config, found.names)
    params = flat(converted.params)
    for ours, theirs in {
        "sublayers_2/text/query/kernel": "lxmert.encoder.layer.1.attention.self.query",
        "sublayers_5/regions/output/kernel": "lxmert.encoder.r_layers.2.output.dense",
        "sublayers_6/text/key/kernel": (
            "lxmert.encoder.x_layers.0.visual_attention.att.key"
        ),
        "sublayers_8/regions/intermediate/kernel": (
            "lxmert.encoder.x_layers.0.visn_inter.dense"
        ),
        "region_head/objective_3/kernel": "obj_predict_head.decoder_dict.obj",
    }.items():
        np.testing.assert_array_equal(params[ours], state[f"{theirs}.weight"].T)
    # Their second output is the one for a pair that matches, ours is the first.
    matching = state["cls.seq_relationship.weight"]
    np.testing.assert_array_equal(params["itm_head/decoder/kernel"], matching[::-1].T)
    matching = state["cls.seq_relationship.bias"]
    np.testing.assert_array_equal(params["itm_head/decoder/bias"], matching[::-1])
    assert set(converted.report["ignored"]) == {
        "answer_head.logit_fc.0.weight",
        "answer_head.logit_fc.0.bias",
    }


@pytest.mark.parametrize("tied", [True, False], ids=["twice", "once"])
def test_transformers_visualbert(tmp_path, tied):
    state = visualbert_state()
    if not tied:
        del state["cls.predictions.decoder.weight"]
        del state["cls.predictions.bias"]  # and its second name stays
    path = tmp_path / "model.safetensors"
    save_file({name: value.copy() for name, value in state.items()}, path)
    write_settings(tmp_path, hidden_dropout_prob=0.3, num_hidden_layers=2)
    found = recognised(tmp_path)
    config = found.config
    assert (config.v_feature_size, config.hidden_dropout_prob) == (6, 0.3)
    assert (config.visual_targets, config.has_region_head) == ((), False)
    assert not config.has_image_row
    params = flat(convert(open_checkpoint(path), config, found.names).params)
    assert not any(name.startswith("region_head") for name in params)
    embeddings = "visual_bert.embeddings"
    for ours, theirs in {
        "region_embeddings/projection/kernel": f"{embeddings}.visual_projection",
        "poolers/text/kernel": "visual_bert.pooler.dense",
        "itm_head/decoder/kernel": "cls.seq_relationship",
        "sublayers_3/text/output/kernel": "visual_bert.encoder.layer.1.output.dense",
    }.items():
        np.testing.assert_array_equal(params[ours], state[f"{theirs}.weight"].T)
    np.testing.assert_array_equal(
        params["region_embeddings/position/embedding"],
        state[f"{embeddings}.visual_position_embeddings.weight"],
    )
    np.testing.assert_array_equal(
        params["mlm_head/bias"], state["cls.predictions.decoder.bias"]
    )
    with pytest.raises(UserError, match="without a visual target.*no lang4vis"):
        config.scored_target()


@pytest.mark.parametrize("features", [512, 1024, 2048])
def test_published_sizes_of_visualbert(tmp_path, features):
    config = dataclasses.replace(BERT, num_attention_heads=1)
    write_settings(tmp_path, num_attention_heads=config.num_attention_heads)
    state = visualbert_state(features=features)
    path = write_torch_file(tmp_path / "pytorch_model.bin", state, "zip")
    assert recognised(path).config.v_feature_size == features


def test_bert_of_another_depth_and_vocabulary(tmp_path):
    state = {
        name: value
        for name, value in hugging_face_bert().items()
        if "layer.10." not in name and "layer.11." not in name
    }
    path = write_torch_file(tmp_path / "pytorch_model.bin", state, "zip")
    write_settings(tmp_path)
    found = recognised(path)
    assert found.config.num_sublayers == 20 and found.config.name == "bert-adapted"


def test_bert_of_the_usual_depth(tmp_path):
    state = hugging_face_bert()
    path = write_torch_file(tmp_path / "pytorch_model.bin", state, "zip")
    write_settings(tmp_path)
    found = recognised(path)
    assert dataclasses.replace(found.config, name=BERT.name) == BERT
    converted = convert(open_checkpoint(path), found.config, found.names)
    assert_is_bert(converted.params, state)


# ---- What it is not, in one line ----


def one_line(error):
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        ("answer_head", "LXMERT for question answering: has no heads that predict"),
        ("lxmert", "LXMERT: has no heads that predict words; give the model as pre"),
    ],
)
def test_lxmert_without_the_head(tmp_path, keep, message):
    state = lxmert_state()
    state = {n: v for n, v in state.items() if n.startswith(("lxmert.", keep))}
    path = write_torch_file(tmp_path / "pytorch_model.bin", state, "zip")
    with pytest.raises(UserError) as error:
        recognised(path)
    assert message in one_line(error) and "LxmertForPreTraining" in one_line(error)


@pytest.mark.parametrize("architectures", [None, ["LxmertModel"]])
def test_an_encoder_that_was_saved_alone(tmp_path, architectures):
    """Nothing stands before its names, and it has no heads."""
    state = lxmert_state()
    state = {n[7:]: v for n, v in state.items() if n.startswith("lxmert.")}
    path = write_torch_file(tmp_path / "pytorch_model.bin", state, "zip")
    write_settings(tmp_path, architectures=architectures)
    with pytest.raises(UserError) as error:
        recognised(path)
    assert "LXMERT" in one_line(error) and "what can be converted" not in str(error)
    assert "has no heads that predict words; give the model as" in str(error.value)
    assert "(LxmertForPreTraining)" in str(error.value)


def test_what_is_missing_is_called_as_the_file_would(tmp_path):
    """By its own names, whether a module lost a part or a layer one of its modules."""
    lost = {
        "obj_predict_head.decoder_dict.attr.bias",
        "lxmert.encoder.r_layers.1.intermediate.dense.weight",
        "lxmert.encoder.layer.1.attention.self.key.weight",
        "lxmert.encoder.layer.1.attention.self.key.bias",
    }
    state = {n: v for n, v in lxmert_state().items() if n not in lost}
    path = write_torch_file(tmp_path / "pytorch_model.bin", state, "zip")
    write_settings(tmp_path)
    with pytest.raises(UserError, match="transformers' LXMERT names.: 4 missing") as e:
        recognised(path)
    told = [line.split()[:2] for line in str(e.value).splitlines()[1:]]
    assert {name for _, name in told} == lost
    assert {what for what, _ in told} == {"missing:"}


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ("VisualBertForVisualReasoning", "VisualBERT for visual reasoning: has no"),
        ("VisualBertModel", "VisualBERT without heads: has no heads"),
    ],
)
def test_what_the_settings_call_it(tmp_path, architecture, message):
    state = visualbert_state()
    state = {n: v for n, v in state.items() if not n.startswith("cls.predictions.")}
    path = write_torch_file(tmp_path / "pytorch_model.bin", state, "zip")
    write_settings(tmp_path, architectures=[architecture])
    with pytest.raises(UserError) as error:
        recognised(path)
    assert message in one_line(error)


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("vilt.encoder.layer.0.x", {}, "not a model that is known (tensors such as"),
        ("vilt.x", {"architectures": ["ViltForMaskedLM"]}, "Vilt for masked lm: not a"),
        (
            "embeddings.word_embeddings.weight",
            {"architectures": ["RobertaModel"]},
            "Roberta without heads: not a model that is known",
        ),
    ],
)
def test_an_unknown_model(tmp_path, name, fields, message):
    state = {name: np.ones((2, 2), np.float32)}
    path = write_torch_file(tmp_path / "pytorch_model.bin", state, "zip")
    write_settings(tmp_path, **fields)
    with pytest.raises(UserError) as error:
        recognised(path)
    assert message in one_line(error) and "what can be converted is" in one_line(error)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bypass_transformer": True}, "bypass_transformer is True, only False is"),
        ({"position_embedding_type": "relative_key"}, "only 'absolute' is supported"),
        ({"hidden_size": 16}, "hidden_size is 16, but model.bin has 8: they are"),
        ({"hidden_act": "gelu_new"}, "hidden_act is 'gelu_new', expected one of"),
        ({"num_attention_heads": 3}, "attention size 8 is not a multiple of its 3"),
        ({"num_attention_heads": 0}, "num_attention_heads is 0, it must be at least"),
        ({"num_attention_heads": "2"}, "is '2', expected one such as 12"),
        ({"layer_norm_eps": None}, "is None, expected one such as 1e-12"),
    ],
)
def test_settings_that_do_not_fit(tmp_path, fields, message):
    path = write_torch_file(tmp_path / "model.bin", visualbert_state(), "zip")
    write_settings(tmp_path, **fields)
    with pytest.raises(UserError) as error:
        recognised(path)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "lost", ["word_embeddings", "intermediate", "encoder.layer", "visual_projection"]
)
def test_parts_that_are_lost(tmp_path, lost):
    """Whatever is not there, the message is one a person can read."""
    state = {n: v for n, v in visualbert_state().items() if f".{lost}" not in n}
    path = write_torch_file(tmp_path / "model.bin", state, "zip")
    write_settings(tmp_path, architectures={"not": "a list"})
    with pytest.raises(UserError, match=r"model\.bin: ") as error:
        recognised(path)
    assert str(error.value).count("\n") < 20


def test_settings_of_something_else_are_not_used(tmp_path):
    (tmp_path / "config.json").write_text('{"learning_rate": 0.1}')
    assert settings_beside(tmp_path / "model.bin") == {}
    (tmp_path / "config.json").write_text("no json")
    with pytest.raises(UserError, match=r"config\.json: not JSON"):
        settings_beside(tmp_path / "model.bin")


def test_the_wrong_preset_is_told_the_right_one_first(tmp_path):
    shapes = shapes_of(PRESETS["ctrl_visualbert_base"])
    path = write_hollow(tmp_path / "model.safetensors", shapes)
    with pytest.raises(UserError) as error:
        convert_file(path, tmp_path / "model", config="ctrl_vilbert_base")
    first, *details = str(error.value).splitlines()
    assert "this fits ctrl_visualbert_base: --config=ctrl_visualbert_base" in first
    assert "not the weights of 'ctrl_vilbert_base'" in first
    assert 10 < len(details) < 20 and details[-1].startswith("  ... and ")
    assert not (tmp_path / "model").exists()


def test_the_nearest_model_is_named(tmp_path):
    shapes = shapes_of(PRESETS["ctrl_uniter_base"]) | {"cls.extra.weight": (3, 3)}
    with pytest.raises(UserError, match="ctrl_uniter_base' .the nearest") as error:
        recognise(file_of(shapes, tmp_path / "x.bin"))
    assert str(error.value).splitlines()[1:] == [
        "  extra: cls.extra.weight is no part of the model"
    ]
