"""Configurations: reference files load as they are, everything else is refused."""

import dataclasses
import json
import math
from pathlib import Path

import jax
import pytest

from xabl.errors import UserError
from xabl.models.config import ModelConfig
from xabl.models.model import parameter_shapes
from xabl.models.presets import PRESETS, load_config

GOLDEN = Path(__file__).parent.parent / "data/golden/forward"

# Counts the reference gave at full size; tied and shared tensors count once.
PARAMETERS = {
    "ctrl_visualbert_base": 114_882_941,
    "ctrl_uniter_base": 114_497_405,
    "ctrl_vl-bert_base": 116_066_941,
    "ctrl_vilbert_base": 242_076_029,
    "ctrl_lxmert": 211_369_853,
    "ctrl_uniter_xent_base": 114_496_636,
    "ctrl_uniter_noviz_base": 113_266_236,
    "vilbert_base": 239_023_229,
    "lxmert": 212_265_996,
    "vl-bert_base": 114_490_747,
}

# What the golden configurations shrink; all else must be as in the preset.
SIZES = {
    "name",
    "vocab_size",
    "hidden_size",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "v_feature_size",
    "v_coordinate_embeddings_dim",
    "v_hidden_size",
    "v_num_attention_heads",
    "v_intermediate_size",
    "pooler_size",
    "v_pooler_size",
    "sublayer2attn_hidden_size",
    "sublayer2num_attention_heads",
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_full_size_presets_have_the_reference_number_of_parameters(name):
    shapes = jax.tree.leaves(parameter_shapes(PRESETS[name]))
    assert sum(leaf.size for leaf in shapes) == PARAMETERS[name]


@pytest.mark.parametrize("name", PARAMETERS)
def test_reference_file_agrees_with_preset_in_all_but_sizes(name):
    ours, theirs = PRESETS[name], ModelConfig.from_json(GOLDEN / name / "config.json")
    different = {
        field.name
        for field in dataclasses.fields(ModelConfig)
        if getattr(ours, field.name) != getattr(theirs, field.name)
    }
    assert different <= SIZES
    original = [dict(c.sublayer2attn_hidden_size).keys() for c in (ours, theirs)]
    assert original[0] == original[1]


@pytest.mark.parametrize("config", PRESETS.values(), ids=PRESETS.keys())
def test_configuration_survives_json(config, tmp_path):
    path = tmp_path / "model.json"
    path.write_text(json.dumps(config.to_dict()))
    assert ModelConfig.from_json(path) == config
    assert load_config(str(path)) == config


def fields(**changes):
    values = PRESETS["ctrl_uniter_base"].to_dict()
    values.update(changes)
    return {key: value for key, value in values.items() if value is not ...}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hiden_size": 7, "n_heads": 2}, "unknown configuration fields hiden_size, n"),
        ({"hidden_size": 770, "v_hidden_size": 770}, "770 is not a multiple of its 12"),
        ({"tt_attn_sublayers": [0, 1]}, r"\[1\] are both attention and feed-forward"),
        ({"v_ff_sublayers": [1, 40], "shared_sublayers": []}, "not contiguous from 0"),
        (
            {"shared_sublayers": [0, 99]},
            r"sublayers \[99\] do not exist",
        ),
        ({"shared_sublayers": []}, "not among shared_sublayers"),
        ({"v_hidden_size": 384}, "shared_sublayers need equal streams"),
        ({"v_pooler_size": 7}, "fusion mul needs equal poolers"),
        ({"fusion_method": "concat"}, "'concat' is not a valid Fusion"),
        ({"visual_target_weights": {"9": 1.0}}, '"9" is not one of 0 ... 6'),
        ({"hidden_act": "selu"}, "hidden_act is 'selu', expected one of"),
        ({"num_locs": 7}, "num_locs is 7, expected 4 or 5"),
        ({"hidden_size": "wide"}, "expected a whole number, found 'wide'"),
        ({"hidden_size": [768]}, "expected a whole number, found"),
        ({"num_attention_heads": 0}, "num_attention_heads is 0"),
        ({"tt_attn_sublayers": 3}, "tt_attn_sublayers"),
        ({"tt_attn_sublayers": [0.5]}, "expected a whole number, found 0.5"),
        ({"sublayer2num_attention_heads": {"0": 0}}, "0 for sublayer 0 must be at"),
        ({"sublayer2v_attn_hidden_size": {"2": -768}}, "-768 for sublayer 2 must be"),
        ({"sublayer2intermediate_size": {"1": math.inf}}, "whole number, found inf"),
        ({"hidden_dropout_prob": -0.1}, "hidden_dropout_prob is -0.1, a probability"),
        ({"v_attention_probs_dropout_prob": 1.0}, "is 1.0, a probability below 1"),
        ({"layer_norm_eps": math.nan}, "layer_norm_eps is nan"),
        ({"initializer_range": -0.02}, "initializer_range is -0.02"),
        ({"visual_target_weights": {"0": math.inf}}, '"0" has weight inf'),
        ({"visual_target_weights": {"0": 10**400}}, "int too large to convert"),
        ({"visual_target_weights": {"0": "1"}}, "expected a number, found '1'"),
        ({"vocab_size": 2**31}, "vocab_size is 2147483648, it must be at"),
        ({"v_coordinate_embeddings_dim": {}}, "expected a whole number or null"),
        ({"t_ff_sublayers": ""}, "t_ff_sublayers: expected a list, found ''"),
        ({"sublayer2intermediate_size": {"99": 8}}, r"size: sublayers \[99\] do not"),
        ({"sublayer2intermediate_size": {"01": 8}}, "number of a sublayer, found '01'"),
        ({"pad_token_id": 1}, "pad_token_id is 1, only 0 is supported"),
        ({"bert_model": "roberta-base"}, "RoBERTa, M3P and UC2"),
        ({"model": "uc2"}, "RoBERTa, M3P and UC2"),
        ({"image_embeddings": "vl-bert", "type_vocab_size": 3}, "must be 8 x"),
    ],
)
def test_impossible_configuration_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        ModelConfig.from_dict(fields(**changes), source="some.json")


def test_every_problem_is_listed_at_once():
    with pytest.raises(UserError) as caught:
        ModelConfig.from_dict(fields(num_locs=7, v_pooler_size=7))
    assert "num_locs" in str(caught.value) and "poolers" in str(caught.value)


def test_fields_of_the_newer_reference_load():
    newer = fields(
        bert_model="bert-base-uncased",
        model="bert",
        do_lower_case=True,
        qa_task_weight=0.0,
        qa_num_answers=9500,
        layer_norm_eps=1e-12,
        pad_token_id=0,
        fusion_act="relu",
        itm_dim=2,
        max_boxes=36,
        norm_embeddings=False,
        fixed_layers=[],
        visualization=False,
        objective=1,
        clf_hidden_size=1536,
        v_initializer_range=0.02,
    )
    assert ModelConfig.from_dict(newer) == PRESETS["ctrl_uniter_base"]


def test_absent_fields_have_the_reference_defaults():
    absent = dict.fromkeys(
        ["num_locs", "image_head_ln", "fusion_method", "visual_target_weights"], ...
    )
    config = ModelConfig.from_dict(fields(**absent, add_global_imgfeat=...))
    assert config.num_locs == 5 and config.image_head_ln
    assert config.fusion_method.value == "mul" and not config.has_image_row
    assert config.visual_target_weights == (("0", 1.0),)


def test_files_that_are_no_configuration(tmp_path):
    with pytest.raises(UserError, match="neither a file nor a preset; the presets are"):
        load_config("ctrl_unter_base")
    path = tmp_path / "cut.json"
    path.write_text('{"hidden_size": 76')
    with pytest.raises(UserError, match=r"cut\.json: not JSON"):
        load_config(str(path))
    path.write_text("[1, 2]")
    with pytest.raises(UserError, match="an object was expected"):
        load_config(str(path))
