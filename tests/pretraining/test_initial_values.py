"""Initial values against the table of measured distributions."""

import dataclasses

import numpy as np
import pytest

from xabl.errors import UserError
from xabl.models.config import ModelConfig
from xabl.models.presets import PRESETS
from xabl.pretraining.initial_values import random_values, with_bert, with_model

VOCABULARY = 600


def small(name: str, **changes) -> ModelConfig:
    """A published model with a small vocabulary and narrow feed-forwards."""
    sizes = {"vocab_size": VOCABULARY, "intermediate_size": 64} | changes
    return dataclasses.replace(PRESETS[name], v_intermediate_size=64, **sizes)


def _is_normal(values, deviation):
    assert abs(values.mean()) < 4 * deviation / np.sqrt(values.size)
    assert values.std() == pytest.approx(deviation, rel=4 / np.sqrt(2 * values.size))
    assert np.abs(values).max() > 2.5 * deviation  # not uniform


def _is_uniform(values, bound):
    assert np.abs(values).max() <= bound
    assert np.abs(values).max() > 0.99 * bound
    deviation = bound / np.sqrt(3)
    assert abs(values.mean()) < 4 * deviation / np.sqrt(values.size)
    assert values.std() == pytest.approx(deviation, rel=2 / np.sqrt(values.size))


def _is_constant(values, value):
    assert np.all(values == value)


def test_published_values_of_uniter():
    values = random_values(small("ctrl_uniter_base"), "published", 0).values
    word = np.sqrt(6 / (VOCABULARY + 768))
    _is_uniform(values["text_embeddings/word/embedding"], word)
    _is_normal(values["text_embeddings/position/embedding"], 1.0)
    _is_normal(values["text_embeddings/token_type/embedding"], 1.0)
    _is_uniform(values["region_embeddings/feature/kernel"], 1 / np.sqrt(2048))
    _is_uniform(values["region_embeddings/feature/bias"], 1 / np.sqrt(2048))
    _is_uniform(values["region_embeddings/location/kernel"], 1 / np.sqrt(5))
    _is_uniform(values["region_embeddings/location/bias"], 1 / np.sqrt(5))
    _is_normal(values["sublayers_0/text/query/kernel"], 0.02)
    _is_constant(values["sublayers_0/text/query/bias"], 0)
    _is_normal(values["sublayers_1/text/intermediate/kernel"], 0.02)
    _is_normal(values["poolers/text/kernel"], 0.02)
    _is_uniform(values["mlm_head/transform/kernel"], np.sqrt(6 / (768 + 768)))
    _is_uniform(values["region_head/transform/kernel"], np.sqrt(6 / (768 + 768)))
    _is_uniform(values["region_head/objective_0/kernel"], np.sqrt(6 / (768 + 1601)))
    _is_uniform(values["itm_head/decoder/kernel"], np.sqrt(6 / (1024 + 2)))
    _is_constant(values["mlm_head/bias"], 0)
    _is_constant(values["region_embeddings/norm/scale"], 1)
    _is_constant(values["mlm_head/norm/bias"], 0)


def test_word_embeddings_of_the_published_vocabulary_reach_0_0138():
    config = dataclasses.replace(PRESETS["ctrl_vilbert_base"], vocab_size=30522)
    bound = np.sqrt(6 / (config.vocab_size + config.hidden_size))
    assert bound == pytest.approx(0.0138, abs=5e-5)


@pytest.mark.parametrize("name", ["ctrl_vilbert_base", "ctrl_lxmert"])
def test_two_stream_models_start_small(name):
    values = random_values(small(name), "published", 0).values
    _is_normal(values["text_embeddings/position/embedding"], 0.02)
    _is_normal(values["text_embeddings/token_type/embedding"], 0.02)
    _is_normal(values["region_embeddings/feature/kernel"], 0.02)
    _is_normal(values["region_embeddings/location/kernel"], 0.02)
    _is_constant(values["region_embeddings/feature/bias"], 0)


def test_visualbert_copies_the_random_text_tables():
    config = small("ctrl_visualbert_base")
    initial = random_values(config, "published", 0)
    values = initial.values
    bert = small("bert_base")
    started = with_bert(initial, config, bert, random_values(bert, "uniform", 1).values)
    for table in ("position", "token_type"):
        ours = f"region_embeddings/{table}/embedding"
        _is_normal(values[ours], 1.0)
        np.testing.assert_array_equal(
            values[ours], values[f"text_embeddings/{table}/embedding"]
        )
        # BERT replaces the text's tables alone.
        np.testing.assert_array_equal(started.values[ours], values[ours])
        assert started.values[f"text_embeddings/{table}/embedding"].std() < 0.1
    _is_uniform(values["region_embeddings/projection/kernel"], 1 / np.sqrt(2048))


def test_published_values_of_vl_bert():
    original = random_values(small("vl-bert_base"), "published", 0).values
    _is_constant(original["region_embeddings/object_mask_visual/embedding"], 0)
    _is_normal(original["region_embeddings/object_linguistic/embedding"], 0.02)
    _is_normal(original["region_embeddings/object_mask_word/embedding"], 0.02)
    _is_normal(original["region_embeddings/end/embedding"], 1.0)
    _is_constant(original["region_embeddings/text_visual_norm/scale"], 0)
    _is_constant(original["region_embeddings/object_visual_norm/scale"], 0)
    _is_uniform(original["region_embeddings/visual/kernel"], np.sqrt(6 / (4096 + 768)))


@pytest.mark.parametrize("name", ["ctrl_uniter_base", "ctrl_vl-bert_base"])
def test_uniform_scheme_has_one_rule(name):
    for path, values in random_values(small(name), "uniform", 0).values.items():
        kind = path.rpartition("/")[2]
        if kind in ("bias", "scale"):
            _is_constant(values, int(kind == "scale"))
        elif values.size > 1000:
            _is_normal(values, 0.02)


def test_same_seed_same_values_and_another_seed_others():
    config = small("bert_base")
    first, again, other = (
        random_values(config, "published", seed).values for seed in (3, 3, 4)
    )
    for path, values in first.items():
        np.testing.assert_array_equal(values, again[path])
    path = "sublayers_0/text/query/kernel"
    assert np.any(first[path] != other[path])


def test_bert_goes_where_the_configuration_says():
    config = small("ctrl_vilbert_base")
    initial = random_values(config, "published", 0)
    bert = small("bert_base")
    theirs = random_values(bert, "uniform", 1).values
    started = with_bert(initial, config, bert, theirs)
    for layer, sublayer in config.bert_layer2attn_sublayer:
        np.testing.assert_array_equal(
            started.values[f"sublayers_{sublayer}/text/query/kernel"],
            theirs[f"sublayers_{2 * layer}/text/query/kernel"],
        )
    for layer, sublayer in config.bert_layer2ff_sublayer:
        np.testing.assert_array_equal(
            started.values[f"sublayers_{sublayer}/text/output/kernel"],
            theirs[f"sublayers_{2 * layer + 1}/text/output/kernel"],
        )
    from_bert = {path for path, origin in started.origin.items() if "BERT" in origin}
    assert len(from_bert) == len(theirs)  # all of BERT, each once
    for path, values in started.values.items():
        if path not in from_bert:
            np.testing.assert_array_equal(values, initial.values[path])
    assert "202 parameters: BERT (bert_base)" in started.summary()


def test_vl_bert_keeps_its_own_third_token_type():
    config = small("ctrl_vl-bert_base")
    initial = random_values(config, "published", 0)
    bert = small("bert_base")
    theirs = random_values(bert, "uniform", 1).values
    path = "text_embeddings/token_type/embedding"
    found = with_bert(initial, config, bert, theirs).values[path]
    np.testing.assert_array_equal(found[:2], theirs[path])
    np.testing.assert_array_equal(found[2], initial.values[path][2])


def test_a_bert_that_does_not_fit_is_refused():
    config = small("ctrl_uniter_base")
    initial = random_values(config, "published", 0)
    wide = small("bert_base", hidden_size=384)
    with pytest.raises(UserError, match=r"has shape .* start from a model of the same"):
        with_bert(initial, config, wide, random_values(wide, "uniform", 0).values)
    short = small("bert_base", bert_layer2attn_sublayer=((0, 0),))
    with pytest.raises(UserError, match="has no layer 1, from which sublayer 2"):
        with_bert(initial, config, short, initial.values)
    with pytest.raises(UserError, match="is not a text-only BERT"):
        with_bert(initial, config, config, initial.values)


def _marked(config: ModelConfig) -> dict[str, np.ndarray]:
    """Parameters that tell the sublayer they come from."""
    values = random_values(config, "uniform", 0).values
    for path in values:
        if path.startswith("sublayers_"):
            number = float(path.split("/")[0].removeprefix("sublayers_"))
            values[path] = np.full_like(values[path], 100 + number)
    return values


def test_another_model_is_loaded_where_it_belongs():
    config = small("ctrl_uniter_base")
    initial = random_values(config, "published", 1)
    theirs = _marked(config)
    started = with_model(initial, config, theirs)
    assert set(started.origin.values()) == {"model"}
    for path, values in started.values.items():
        np.testing.assert_array_equal(values, theirs[path])


def test_published_two_stage_loading_shuffles_feed_forwards():
    config = small("ctrl_uniter_base")
    initial = random_values(config, "published", 1)
    started = with_model(initial, config, _marked(config), feed_forward="published")
    came_from = {}
    for sublayer in range(1, 24, 2):
        value = started.values[f"sublayers_{sublayer}/text/output/kernel"].flat[0]
        came_from[sublayer] = int(value - 100) if value >= 100 else None
    assert came_from == {
        1: None,
        3: 1,
        5: None,
        7: 3,
        9: None,
        11: 5,
        13: 13,
        15: 7,
        17: 17,
        19: 9,
        21: 21,
        23: 11,
    }
    for sublayer in range(0, 24, 2):
        kernel = started.values[f"sublayers_{sublayer}/text/query/kernel"]
        _is_constant(kernel, 100 + sublayer)


def test_a_model_of_another_size_is_refused():
    config = small("bert_base")
    wide = small("bert_base", intermediate_size=1536)
    initial = random_values(config, "uniform", 0)
    with pytest.raises(UserError, match="start from a model of the same sizes"):
        with_model(initial, config, random_values(wide, "uniform", 0).values)
    with pytest.raises(UserError, match="no parameter in common"):
        with_model(initial, config, {"something/else": np.zeros(1)})
