"""A model with embeddings of its own, and a visual target, added to the tables.

What a recipe adds to the product is added here instead: to `region_embedding` and
`embeddings` for the model (a preset only names it), to `visual_targets` for the target.
Both are then read from JSON, named in PyTorch checkpoints, drawn, trained and scored by
the product as it is.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.helpers import ablation, tiny_training
from xabl.ablation.any_model import flax_model
from xabl.errors import UserError
from xabl.models import embeddings, presets, region_embedding, visual_targets
from xabl.models.config import ModelConfig
from xabl.models.reference_names import reference_names
from xabl.models.region_embedding import Draw, RegionEmbedding
from xabl.models.visual_targets import Loss, VisualTarget
from xabl.pretraining.initial_values import random_values
from xabl.pretraining.optimiser import (
    OptimiserConfig,
    is_decayed,
    optimiser,
    warmup_linear,
)
from xabl.pretraining.train_step import TrainState, train_step
from xabl.support.devices import Devices

pytestmark = pytest.mark.usefixtures("quick_compilation")

OWN = RegionEmbedding(
    name="gated",
    parameters={
        "feature": "bert.embeddings.gated_feature",
        "gate": "bert.embeddings.gated_location",
        "kind": "bert.embeddings.gated_kind",
    },
    draws={
        "region_embeddings/feature": Draw.LINEAR,
        "region_embeddings/gate": Draw.ZERO,
    },
    one_width=True,
)


class GatedRegions(embeddings.RegionEmbeddings):
    """A feature let through by its location, plus one row of a table."""

    def setup(self):
        self.feature = self.dense(self.config.v_hidden_size)
        self.gate = self.dense(self.config.v_hidden_size)
        self.kind = self.embed_table(1, self.config.v_hidden_size)

    def project_features(self, features):
        return self.feature(features)

    def project_locations(self, locations):
        return nn.sigmoid(self.gate(locations))

    def __call__(self, regions, text_embeddings, deterministic):
        gated = regions.features * regions.locations + self.kind(jnp.zeros(1, int))
        return text_embeddings.normalised(gated, deterministic=deterministic)


# Objects without confidences, in the detector's 1601 classes: background first.
HARD = VisualTarget(
    name="hard",
    size=1601,
    loss=Loss.CROSS_ENTROPY,
    label="objects_id",
    first_object=1,
)


@pytest.fixture
def own(monkeypatch):
    """The preset of a model with embeddings of its own."""
    config = dataclasses.replace(
        ablation.shallow("uniter"), name="own", image_embeddings=OWN
    )
    monkeypatch.setitem(region_embedding.REGION_EMBEDDINGS, OWN.name, OWN)
    monkeypatch.setitem(embeddings.REGION_MODULES, OWN.name, GatedRegions)
    monkeypatch.setitem(presets.PRESETS, config.name, config)
    return config


@pytest.fixture
def hard(monkeypatch):
    """A model that learns and is scored by a visual target of its own."""
    monkeypatch.setitem(visual_targets.VISUAL_TARGETS, HARD.name, HARD)
    return dataclasses.replace(
        ablation.shallow("uniter"), name="hard", visual_target_weights=(("hard", 1.0),)
    )


def learn(config, steps=8):
    """Losses of updates on one batch."""
    config = tiny_training.without_dropout(
        dataclasses.replace(
            config,
            vocab_size=tiny_training.VOCABULARY,
            v_feature_size=tiny_training.FEATURES,
        )
    )
    devices, objective = Devices.all(1), tiny_training.objective(config)
    rate = warmup_linear(1e-2, warmup_steps=1, total_steps=100)
    rule = optimiser(OptimiserConfig(), rate, is_decayed(config))
    values = jax.tree.map(jnp.asarray, random_values(config, "published", 0).values)
    state = TrainState(
        step=jnp.int32(0),
        key=jax.random.key_data(jax.random.key(7)),
        trained=values,
        fixed={},
        optimiser=rule.init(values),
    )
    state = devices.replicate(jax.tree.map(np.asarray, state))
    update = train_step(objective, rule, rate, devices)
    found = []
    for _ in range(steps):
        batch = devices.spread(tiny_training.batch(config, 8), 1)
        state, metrics = update(state, batch)
        found.append({k: float(x / metrics.counts[k]) for k, x in metrics.sums.items()})
    moved = {k: np.asarray(x) for k, x in state.trained.items()}
    return found, {k for k, x in moved.items() if not np.array_equal(x, values[k])}


def assert_scored_as_defined(config, conditions=ablation.FEW_CONDITIONS):
    params, examples = ablation.ruled_params(config), ablation.examples()[:32]
    scores = ablation.scored(config, params, conditions=conditions, of=examples)
    definition = ablation.definition_of(config, flax_model(config, params))
    for column, condition in enumerate(conditions):
        for name, losses in definition.losses(examples, condition).items():
            np.testing.assert_allclose(scores.loss(name)[:, column], losses, atol=5e-6)
    return scores


def test_an_added_model_is_named_and_drawn(own):
    assert presets.load_config("own") is own
    assert ModelConfig.from_dict(own.to_dict()) == own
    assert own.to_dict()["image_embeddings"] == "gated"
    names = {tensor.name for tensor in reference_names(own).values()}
    assert {
        "bert.embeddings.gated_feature.weight",
        "bert.embeddings.gated_kind.weight",
    } <= names
    values = random_values(own, "published", 0).values
    assert not values["region_embeddings/gate/kernel"].any()
    bound = 1 / np.sqrt(own.v_feature_size)
    drawn = abs(values["region_embeddings/feature/kernel"]).max()
    assert 0.9 * bound < drawn <= bound
    with pytest.raises(UserError, match="gated embeddings need v_hidden_size equal"):
        dataclasses.replace(
            own, shared_sublayers=(), single_ln_sublayers=(), v_hidden_size=48
        )


def test_an_added_model_learns_and_is_scored(own):
    losses, moved = learn(own)
    assert losses[-1]["mlm"] < 0.7 * losses[0]["mlm"]
    assert {path for path in moved if path.startswith("region_embeddings")} == {
        path for path in reference_names(own) if path.startswith("region_embeddings")
    }
    scores = assert_scored_as_defined(own)
    losses = scores.loss("mlm")
    assert np.nanmax(np.abs(losses[:, 0] - losses[:, 2])) > 1e-4  # it sees regions


@pytest.mark.slow
def test_an_added_visual_target_is_learned_and_scored(hard):
    assert ModelConfig.from_dict(hard.to_dict()) == hard
    learned, _ = learn(hard)
    assert learned[-1]["regions_hard"] < 0.7 * learned[0]["regions_hard"]
    scores = assert_scored_as_defined(hard)
    assert np.isfinite(scores.loss("mrc_kl")).any()
    assert scores.loss("mrc_kl_aligned") is None  # its classes are where they belong
    corrected = scores.loss("mrc_xe_corrected") - scores.loss("mrc_xe")
    assert np.nanmax(np.abs(corrected)) > 1e-3
