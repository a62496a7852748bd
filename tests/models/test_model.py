"""What the golden cases do not show: training mode, gates, positions, padding."""

import dataclasses
import functools
import itertools

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xabl.models.config import Fusion, ModelConfig
from xabl.models.dropout import key_of_each_example
from xabl.models.embeddings import coordinate_embeddings, vl_bert_positions
from xabl.models.model import VisionLanguageBert, example_inputs, parameter_shapes
from xabl.models.presets import PRESETS
from xabl.models.structs import ProjectedRegions, Streams
from xabl.pretraining.small_models import shrunk

pytestmark = pytest.mark.usefixtures("quick_unless_slow")

# Narrower still, XLA on the CPU fuses the products and compiles for minutes.
SMALL = dict(
    vocab_size=40,
    hidden_size=48,
    num_attention_heads=2,
    intermediate_size=96,
    max_position_embeddings=64,
    v_feature_size=64,
    v_hidden_size=48,
    v_num_attention_heads=2,
    v_intermediate_size=96,
    pooler_size=8,
    v_pooler_size=8,
)


def small(preset: str, **changes) -> ModelConfig:
    config = PRESETS[preset]
    sizes = dict(SMALL)
    if config.image_embeddings.coordinate_waves:
        sizes["v_coordinate_embeddings_dim"] = 8
    for field in ("sublayer2attn_hidden_size", "sublayer2num_attention_heads"):
        sizes[field] = ()
    return dataclasses.replace(config, **sizes, **changes)


def random_inputs(config, seed=0, batch=4, words=14, regions=9):
    text, boxes = example_inputs(config, batch=batch, words=words, regions=regions)
    rng = np.random.default_rng(seed)
    ids = jnp.asarray(rng.integers(1, config.vocab_size, (batch, words)), jnp.int32)
    text = dataclasses.replace(text, token_ids=ids)
    if boxes is not None:
        boxes = dataclasses.replace(
            boxes,
            features=jnp.asarray(rng.random(boxes.features.shape), jnp.float32),
            locations=jnp.asarray(rng.random(boxes.locations.shape), jnp.float32),
        )
    return text, boxes


def shallow(preset: str, **changes) -> ModelConfig:
    """One sublayer of each kind that the preset has."""
    return dataclasses.replace(shrunk(small(preset)), **changes)


@functools.cache
def applied(config):
    """The model, compiled once for all tests."""
    return jax.jit(VisionLanguageBert(config).apply)


def initialised(config):
    """The model, and parameters of about the size that training gives them."""
    rng = np.random.default_rng(1)
    shapes = parameter_shapes(config)
    params = jax.tree.map(
        lambda leaf: jnp.asarray(0.1 * rng.standard_normal(leaf.shape), jnp.float32),
        shapes,
    )
    return VisionLanguageBert(config), params


@pytest.mark.parametrize("preset", ["ctrl_uniter_base", "ctrl_vl-bert_base"])
def test_dropout_needs_a_key_and_changes_the_scores(preset):
    config = shallow(preset)
    inputs = random_inputs(config)
    model, params = initialised(config)

    @jax.jit
    def logits(key):
        return model.apply(
            {"params": params}, *inputs, deterministic=False, rngs={"dropout": key}
        ).mlm_logits

    first, second = jax.random.key(1), jax.random.key(2)
    assert np.array_equal(logits(first), logits(first))
    assert not np.allclose(logits(first), logits(second))
    with pytest.raises(flax.errors.InvalidRngError):
        jax.eval_shape(
            lambda: model.apply({"params": params}, *inputs, deterministic=False)
        )


@pytest.mark.usefixtures("quick_compilation")
def test_an_example_loses_the_same_alone_and_in_a_batch():
    """VL-BERT calls one dropout twice, for words and for regions."""
    config = shallow("ctrl_vl-bert_base")
    inputs = random_inputs(config, batch=2)
    model, params = initialised(config)
    keys = jax.random.split(jax.random.key(5), 2)

    def scores(rngs, inputs):
        arguments = {"params": params}, *inputs
        return model.apply(*arguments, deterministic=False, rngs=rngs).mlm_logits

    together = jax.jit(lambda: scores(key_of_each_example(keys), inputs))()
    alone = jax.jit(lambda key, inputs: scores({"dropout": key}, inputs))
    for number, key in enumerate(keys):
        one = jax.tree.map(lambda x, n=number: x[n : n + 1], inputs)
        # The largest difference is the rounding of products of another size.
        np.testing.assert_allclose(
            together[number], alone(key, one)[0], rtol=2e-5, atol=2e-6
        )


def test_without_dropout_training_mode_is_evaluation():
    rates = dict.fromkeys(
        (
            "hidden_dropout_prob",
            "v_hidden_dropout_prob",
            "attention_probs_dropout_prob",
            "v_attention_probs_dropout_prob",
        ),
        0.0,
    )
    config = shallow("ctrl_uniter_base", **rates)
    inputs = random_inputs(config)
    model, params = initialised(config)
    key = {"dropout": jax.random.key(0)}
    training = jax.jit(
        lambda: model.apply({"params": params}, *inputs, False, rngs=key)
    )
    evaluation = jax.jit(lambda: model.apply({"params": params}, *inputs))
    np.testing.assert_array_equal(training().mlm_logits, evaluation().mlm_logits)


def test_padding_changes_nothing():
    config = shallow("ctrl_vilbert_base")
    text, regions = random_inputs(config)
    model, params = initialised(config)
    apply = applied(config)
    short = apply({"params": params}, text, regions)

    def padded(array, extra, value):
        widths = [(0, 0), (0, extra)] + [(0, 0)] * (array.ndim - 2)
        return jnp.pad(array, widths, constant_values=value)

    longer_text = dataclasses.replace(
        text,
        token_ids=padded(text.token_ids, 3, 7),
        mask=padded(text.mask, 3, False),
        token_type_ids=padded(text.token_type_ids, 3, 0),
    )
    more_regions = dataclasses.replace(
        regions,
        features=padded(regions.features, 2, 9.0),
        locations=padded(regions.locations, 2, 0.5),
        mask=padded(regions.mask, 2, False),
    )
    long = apply({"params": params}, longer_text, more_regions)
    np.testing.assert_allclose(long.mlm_logits[:, :14], short.mlm_logits, atol=2e-6)
    np.testing.assert_allclose(
        long.region_logits["0"][:, :9], short.region_logits["0"], atol=2e-6
    )


def test_words_that_are_all_padded_still_give_numbers():
    config = shallow("ctrl_vilbert_base")
    text, regions = random_inputs(config)
    text = dataclasses.replace(text, mask=jnp.zeros_like(text.mask))
    _, params = initialised(config)
    output = applied(config)({"params": params}, text, regions)
    assert np.isfinite(output.region_logits["0"]).all()


@pytest.mark.parametrize("preset", ["ctrl_vilbert_base", "ctrl_lxmert"])
def test_streams_without_cross_attention_are_blind_to_each_other(preset):
    """An architecture can be ablated by its configuration alone."""
    blind = shallow(preset, tv_attn_sublayers=(), shared_sublayers=())
    text, regions = random_inputs(blind)
    model, params = initialised(blind)
    other = dataclasses.replace(regions, features=regions.features[::-1])
    first = applied(blind)({"params": params}, text, regions)
    second = applied(blind)({"params": params}, text, other)
    assert np.array_equal(first.mlm_logits, second.mlm_logits)
    assert not np.allclose(first.region_logits["0"], second.region_logits["0"])


def test_encode_in_parts_equals_encode_at_once():
    config = shallow("ctrl_lxmert")
    text, regions = random_inputs(config)
    model, params = initialised(config)
    whole = applied(config)({"params": params}, text, regions).hidden
    found = whole[0]
    for start, stop in itertools.pairwise((0, 1, 3, 4, None)):
        part = functools.partial(model.apply, method="encode", start=start, stop=stop)
        found = jax.jit(part)({"params": params}, found, text.mask, regions.mask)[-1]
        expected = whole[-1 if stop is None else stop]
        np.testing.assert_allclose(found.words, expected.words, atol=1e-6)
        np.testing.assert_allclose(found.regions, expected.regions, atol=1e-6)


def test_queries_may_be_some_of_the_positions():
    config = small("ctrl_uniter_base")
    text, regions = random_inputs(config)
    model, params = initialised(config)
    embed = jax.jit(functools.partial(model.apply, method="embed"))
    streams = embed({"params": params}, text, regions)

    @jax.jit
    def run(queries):
        return model.apply(
            {"params": params},
            0,
            queries,
            streams,
            text.mask,
            regions.mask,
            method="run_sublayer",
        )

    all_positions = run(streams)
    some = run(Streams(words=streams.words[:, 2:4], regions=None))
    np.testing.assert_allclose(some.words, all_positions.words[:, 2:4], atol=1e-6)
    assert some.regions is None


def test_vl_bert_positions():
    mask = jnp.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], bool)
    words, regions = vl_bert_positions(mask, jnp.array([3, 5]), 4)
    assert words.tolist() == [[0, 1, 2, 7, 8], [0, 1, 2, 3, 4]]
    assert regions.tolist() == [[3, 3, 3, 4], [5, 5, 5, 6]]
    # The published code starts the shift at the shortest caption of the batch.
    words, regions = vl_bert_positions(mask, jnp.array([3, 3]), 4)
    assert words.tolist() == [[0, 1, 2, 7, 8], [0, 1, 2, 7, 8]]
    assert regions.tolist() == [[3, 3, 3, 4], [5, 5, 5, 6]]


def test_coordinate_embeddings_by_hand():
    corners = jnp.array([[[0.1, 0.2, 0.5, 0.8]]])
    found = coordinate_embeddings(corners, 2)[0, 0]
    expected = []
    for value in (30.0, 50.0, 40.0, 60.0):  # centre x, centre y, width, height
        waves = np.array([value, value / np.sqrt(1000)])
        expected += [*np.sin(waves), *np.cos(waves)]
    # float32 arguments near 60 carry an error of about 4e-6 into the sines.
    np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize("fusion", list(Fusion))
def test_fusion_methods(fusion):
    config = shallow("ctrl_uniter_base", fusion_method=fusion)
    text, regions = random_inputs(config)
    model, params = initialised(config)
    output = jax.eval_shape(model.apply, {"params": params}, text, regions)
    assert (output.itm_logits is None) == (fusion in (Fusion.NONE, Fusion.VL_BERT_VQA))
    if fusion is Fusion.NONE:
        assert output.pooled is None
        return
    rng = np.random.default_rng(2)
    last = jax.tree.map(
        lambda leaf: rng.standard_normal(leaf.shape, np.float32), output.hidden[-1]
    )
    position = 12 if fusion is Fusion.VL_BERT_VQA else 0  # the word before the last

    def pooled(side, states):
        dense = params["poolers"][side]
        return np.maximum(states @ dense["kernel"] + dense["bias"], 0)

    expected = pooled("text", last.words[:, position])
    if fusion in (Fusion.MUL, Fusion.SUM):
        regions = pooled("regions", last.regions[:, 0])
        expected = expected * regions if fusion is Fusion.MUL else expected + regions
    found = model.apply({"params": params}, last, text.mask, method="pool")
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_bfloat16_keeps_parameters_and_scores_in_float32():
    config = shallow("ctrl_vl-bert_base")
    inputs = random_inputs(config)
    _, params = initialised(config)
    exact = applied(config)({"params": params}, *inputs)
    rough = jax.jit(VisionLanguageBert(config, dtype=jnp.bfloat16).apply)(
        {"params": params}, *inputs
    )
    assert rough.hidden[-1].words.dtype == jnp.bfloat16
    assert rough.mlm_logits.dtype == jnp.float32
    # Eight bits of mantissa: 0.4% of activations of size 1.
    np.testing.assert_allclose(rough.mlm_logits, exact.mlm_logits, atol=0.05)


def test_text_only_bert_has_no_regions():
    shapes = parameter_shapes(small("bert_base"))
    assert "region_embeddings" not in shapes and "region_head" not in shapes
    assert "poolers" not in shapes


@pytest.mark.parametrize(
    "preset",
    [f"ctrl_{n}" for n in ("vilbert_base", "lxmert", "uniter_base", "visualbert_base")]
    + ["ctrl_vl-bert_base", "vl-bert_base"],
)
def test_embedding_rows_that_were_projected_before(preset):
    """Products of features and of locations, each made on its own."""
    config = small(preset)
    text, regions = random_inputs(config)
    regions = dataclasses.replace(regions, features=regions.features.at[1, 3].set(0))
    model, params = initialised(config)

    def apply(*arguments, method):
        return model.apply({"params": params}, *arguments, method=method)

    is_zero = jnp.all(regions.features == 0, axis=-1)
    features = apply(regions.features, method="project_features")
    masked = apply(method="masked_projection")
    projected = ProjectedRegions(
        features=jnp.where(is_zero[..., None], masked, features),
        locations=apply(regions.locations, method="project_locations"),
        is_zero=is_zero,
        mask=regions.mask,
    )
    expected = apply(text, regions, method="embed")
    found = apply(text, projected, method="embed")
    np.testing.assert_allclose(found.words, expected.words, atol=2e-6)
    np.testing.assert_allclose(found.regions, expected.regions, atol=2e-6)
    # The product of a mean is the mean of the products.
    mean = apply(regions.features.mean(axis=1), method="project_features")
    np.testing.assert_allclose(features.mean(axis=1), mean, atol=2e-6)
