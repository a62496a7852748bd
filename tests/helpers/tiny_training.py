"""A narrow model of any kind and made-up batches for it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from xabl.models.config import ModelConfig
from xabl.models.model import VisionLanguageBert
from xabl.models.presets import PRESETS
from xabl.pretraining.initial_values import random_values
from xabl.pretraining.inputs.batch import PretrainingBatch
from xabl.pretraining.inputs.config import InputConfig
from xabl.pretraining.objective import forward, losses
from xabl.pretraining.small_models import shrunk

VOCABULARY, FEATURES = 40, 16
WORDS, REGIONS = 10, 6


def model(name: str = "ctrl_uniter_base", **changes) -> ModelConfig:
    """A published model with one sublayer of each kind, 32 wide."""
    narrow = dict.fromkeys(
        (
            "hidden_size",
            "v_hidden_size",
            "intermediate_size",
            "v_intermediate_size",
            "pooler_size",
            "v_pooler_size",
        ),
        32,
    )
    config = shrunk(PRESETS[name])
    is_vl_bert = config.image_embeddings.coordinate_waves
    return dataclasses.replace(
        config,
        vocab_size=VOCABULARY,
        v_feature_size=FEATURES,
        v_coordinate_embeddings_dim=FEATURES // 8 if is_vl_bert else None,
        sublayer2attn_hidden_size=(),
        **narrow | changes,
    )


def without_dropout(config: ModelConfig) -> ModelConfig:
    names = (field.name for field in dataclasses.fields(config))
    rates = {name: 0.0 for name in names if name.endswith("dropout_prob")}
    return dataclasses.replace(config, **rates)


def objective(
    config: ModelConfig, inputs: InputConfig | None = None, **options
) -> forward.Objective:
    inputs = inputs or InputConfig()
    numerics = {
        name: options.pop(name) for name in ("dtype", "precision") if name in options
    }
    return forward.Objective(
        model=VisionLanguageBert(config, **numerics),
        weights=losses.loss_weights(config, inputs),
        word_rate=inputs.word_rate,
        region_rate=inputs.region_rate,
        **options,
    )


def parameters(config: ModelConfig, seed: int = 0) -> dict[str, jax.Array]:
    """By path; larger than BERT's, so that a narrow model is not almost linear."""
    values = random_values(config, "uniform", seed).values
    return {
        path: jnp.asarray(value * (8 if path.endswith(("kernel", "embedding")) else 1))
        for path, value in values.items()
    }


def batch(config: ModelConfig, size: int, seed: int = 0) -> PretrainingBatch:
    """Targets of every kind, padding in both streams, every field filled."""
    random = np.random.default_rng(seed)
    lengths = random.integers(4, WORDS + 1, size)
    text_mask = np.arange(WORDS) < lengths[:, None]
    token_ids = np.where(text_mask, random.integers(5, VOCABULARY, (size, WORDS)), 0)
    is_target = text_mask & (random.random((size, WORDS)) < 0.3)
    fields = {
        "example_index": np.arange(size) * 3 + 1,
        "token_ids": token_ids,
        "token_type_ids": np.zeros((size, WORDS)),
        "position_shift_start": lengths,
        "mlm_targets": np.where(
            is_target, random.integers(5, VOCABULARY, (size, WORDS)), -1
        ),
        "itm_labels": random.integers(0, 2, size),
    }
    floats, masks, regions = {}, {"text_mask": text_mask}, {}
    if not config.text_only:
        first = int(config.has_image_row)
        boxes = random.integers(3, REGIONS + 1 - first, size)
        rows = np.full((size, 3), -1)
        for example in range(size):
            count = random.integers(0, 4)
            rows[example, :count] = first + random.permutation(boxes[example])[:count]
        fields["target_rows"] = rows
        classes = {
            "objects_id": random.integers(0, 1600, rows.shape),
            "attrs_id": random.integers(0, 400, rows.shape),
        }
        masks["region_mask"] = np.arange(REGIONS) < first + boxes[:, None]
        floats = {
            "region_features": random.random((size, REGIONS, FEATURES)),
            "region_locations": random.random((size, REGIONS, config.num_locs)),
            "unmasked_features": random.random((size, REGIONS, FEATURES)),
        }
        shares = {
            "cls_prob": random.dirichlet(np.full(1601, 0.05), rows.shape),
            "objects_conf": random.random(rows.shape),
            "attrs_conf": random.random(rows.shape),
        }
        regions["labels"] = {
            **{name: np.asarray(value, np.int32) for name, value in classes.items()},
            **{name: np.asarray(value, np.float32) for name, value in shares.items()},
        }
    return PretrainingBatch(
        **{name: np.asarray(value, np.int32) for name, value in fields.items()},
        **{name: np.asarray(value, np.float32) for name, value in floats.items()},
        **{name: np.asarray(value, bool) for name, value in masks.items()},
        **regions,
    )


def is_target(batch: PretrainingBatch) -> np.ndarray:
    """[batch, regions]: the rows that are targets."""
    found = np.zeros(batch.region_mask.shape, bool)
    example, slot = np.nonzero(batch.target_rows >= 0)
    found[example, batch.target_rows[example, slot]] = True
    return found


def keys(size: int) -> jax.Array:
    return jax.random.split(jax.random.key(0), size)
