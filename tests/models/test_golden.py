"""Every forward case the reference gave: logits, and hidden states part by part."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import golden
from xabl.models.model import VisionLanguageBert
from xabl.models.reference_names import reference_names
from xabl.models.structs import RegionInput, TextInput

TOLERANCE = 5e-6
# Sines of coordinates x 100 carry float32 errors of the argument into the regions.
VL_BERT_REGION_TOLERANCE = 1e-5


def parameters(case: golden.GoldenCase) -> dict:
    state = case.state_dict()
    tree: dict = {}
    for path, tensor in reference_names(case.config).items():
        *parents, leaf = path.split("/")
        node = functools.reduce(
            lambda node, key: node.setdefault(key, {}), parents, tree
        )
        value = state[tensor.name]
        node[leaf] = jnp.asarray(value.T if tensor.transpose else value)
    return tree


class Case:
    """One golden case with the compiled model, run at most three times."""

    def __init__(self, name: str):
        case = golden.forward_case(name)
        self.config, self.arrays = case.config, case.arrays()
        model, params = VisionLanguageBert(self.config), parameters(case)
        self._run = jax.jit(functools.partial(model.apply, {"params": params}))
        self.num_words = self.arrays["in/text_mask"].astype(bool).sum(axis=1)

    def run(self, shift_start, features=None):
        given = {
            key.removeprefix("in/"): jnp.asarray(value)
            for key, value in self.arrays.items()
            if key.startswith("in/")
        }
        text = TextInput(
            token_ids=given["token_ids"].astype(jnp.int32),
            mask=given["text_mask"].astype(bool),
            token_type_ids=given["token_type_ids"].astype(jnp.int32),
            position_shift_start=jnp.asarray(shift_start, jnp.int32),
        )
        regions = RegionInput(
            features=given["region_features"] if features is None else features,
            locations=given["region_locations"],
            mask=given["region_mask"].astype(bool),
        )
        return self._run(text, regions)

    @functools.cached_property
    def one_batch(self):
        """All three examples in one batch, as the reference ran them."""
        return self.run([self.num_words.min()] * 3)


@pytest.fixture(scope="module", params=golden.FORWARD_CASES)
def case(request):
    return Case(request.param)


def agree(found, expected, tolerance=TOLERANCE):
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


def test_embeddings_and_every_sublayer(case):
    hidden = case.one_batch.hidden
    vl_bert = case.config.image_embeddings.name == "vl-bert"
    region_tolerance = VL_BERT_REGION_TOLERANCE if vl_bert else TOLERANCE
    words, regions = case.arrays["out/hidden_text"], case.arrays["out/hidden_regions"]
    assert len(hidden) == len(words) == len(regions) == case.config.num_sublayers + 1
    for streams, expected_words, expected_regions in zip(
        hidden, words, regions, strict=True
    ):
        agree(streams.words[:, np.array([0, 5])], expected_words)
        agree(streams.regions[:, np.array([0, 3])], expected_regions, region_tolerance)


def test_heads(case):
    output, arrays = case.one_batch, case.arrays
    agree(output.mlm_logits, arrays["out/mlm_logits"])
    targets = {key[-1] for key in arrays if key.startswith("out/vision_logits_")}
    assert set(output.region_logits) == targets
    for target, logits in output.region_logits.items():
        rows = np.array([0, 3, -1])
        agree(logits[:, rows], arrays[f"out/vision_logits_{target}"])
    assert (output.itm_logits is None) == ("out/itm_logits" not in arrays)
    if output.itm_logits is not None:
        agree(output.pooled, arrays["out/pooled"])
        agree(output.itm_logits, arrays["out/itm_logits"])


def test_each_example_alone(case):
    """With its own position shift, an example's batch does not matter."""
    output = case.run(case.num_words)
    agree(output.mlm_logits, case.arrays["out_one_by_one/mlm_logits"])


def test_constant_regions(case):
    features = case.arrays["in/region_features"]
    constant = jnp.broadcast_to(features.mean((0, 1)), features.shape)
    output = case.run([case.num_words.min()] * 3, constant)
    agree(output.mlm_logits, case.arrays["out_constant_regions/mlm_logits"])


def test_the_batch_matters_to_vl_bert_alone(case):
    alone = case.run(case.num_words).mlm_logits
    difference = np.abs(alone - case.one_batch.mlm_logits).max()
    if case.config.image_embeddings.name == "vl-bert":
        assert difference > 0.1
    else:
        assert difference == 0
