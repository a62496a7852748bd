"""Small models: a toy of any run, to check that it works, and two that learn.

`toy` is what --toy trains. `small_uniter` and `small_vilbert` learn a synthetic world
in a minute or two.
"""

import dataclasses
from typing import Any

from xabl.models.config import ModelConfig
from xabl.models.presets import PRESETS, one_stream_layers
from xabl.pretraining.configuration import InitialValues, PretrainingConfig

_FIELDS = [field.name for field in dataclasses.fields(ModelConfig)]
_SUBLAYERS = [name for name in _FIELDS if name.endswith("_sublayers")]
_SIZES_BY_SUBLAYER = [name for name in _FIELDS if name.startswith("sublayer2")]
_SIZES = (
    *("hidden_size", "intermediate_size", "pooler_size"),
    *("v_hidden_size", "v_intermediate_size", "v_pooler_size"),
)


def toy(
    config: PretrainingConfig, *, vocab_size: int, feature_size: int
) -> PretrainingConfig:
    """The same run, small: 3 updates of 8 examples from random initial values.

    Args:
        config: of any size.
        vocab_size: of the vocabulary at hand.
        feature_size: of the corpus at hand.
    """
    sizes = dict(vocab_size=vocab_size, v_feature_size=feature_size)
    if config.model.image_embeddings.coordinate_waves:
        sizes["v_coordinate_embeddings_dim"] = feature_size // 8
    model = dataclasses.replace(shrunk(config.model), **sizes)
    return dataclasses.replace(
        config,
        model=model,
        # A warm-up of a fixed number of updates would not end.
        optimiser=dataclasses.replace(
            config.optimiser, warmup_steps=None, warmup_fraction=0.4
        ),
        initial=InitialValues(scheme=config.initial.scheme),
        steps=3,
        batch_size=8,
        accumulation=1,
        checkpoint_every=2,
        report_every=1,
    )


def shrunk(model: ModelConfig) -> ModelConfig:
    """Narrow, and with one sublayer of each kind the model has."""
    kinds: dict[tuple[bool, ...], int] = {}
    for sublayer in range(model.num_sublayers):
        kind = tuple(sublayer in getattr(model, name) for name in _SUBLAYERS)
        kinds.setdefault(kind, sublayer)
    new_number = {old: new for new, old in enumerate(sorted(kinds.values()))}

    changes: dict[str, object] = {name: _width(getattr(model, name)) for name in _SIZES}
    for name in _SUBLAYERS:
        numbers = getattr(model, name)
        changes[name] = tuple(new_number[n] for n in numbers if n in new_number)
    for name in _SIZES_BY_SUBLAYER:
        changes[name] = tuple(
            (new_number[n], 2 if name.endswith("heads") else _width(size))
            for n, size in getattr(model, name)
            if n in new_number
        )
    for name in ("bert_layer2attn_sublayer", "bert_layer2ff_sublayer"):
        targets = [new_number[n] for _, n in getattr(model, name) if n in new_number]
        changes[name] = tuple(enumerate(targets))
    return dataclasses.replace(
        model,
        num_attention_heads=2,
        v_num_attention_heads=2,
        max_position_embeddings=128,
        **changes,
    )


def _width(size: int) -> int:
    # Below 64, XLA compiles products for a CPU itself instead of calling a library,
    # which takes far longer.
    return 32 * max(2, round(size / 384))


def small_uniter(vocab_size: int, feature_size: int) -> ModelConfig:
    """One stream of three layers: `ctrl_uniter_base`, cut short."""
    return _small("uniter", vocab_size, feature_size, one_stream_layers(3))


def small_vilbert(vocab_size: int, feature_size: int) -> ModelConfig:
    """Two streams: a text layer, then two blocks of co- and self-attention."""
    co, own = (2, 6), (4, 8)
    sublayers = {
        "tt_attn_sublayers": (0, *own),
        "tv_attn_sublayers": co,
        "vt_attn_sublayers": co,
        "vv_attn_sublayers": own,
        "t_ff_sublayers": (1, 3, 5, 7, 9),
        "v_ff_sublayers": (3, 5, 7, 9),
    }
    return _small("vilbert", vocab_size, feature_size, sublayers)


def _small(
    kind: str, vocab_size: int, feature_size: int, sublayers: dict[str, Any]
) -> ModelConfig:
    from_no_bert = {"bert_layer2attn_sublayer": (), "bert_layer2ff_sublayer": ()}
    return dataclasses.replace(
        PRESETS[f"ctrl_{kind}_base"],
        name=f"small_{kind}",
        vocab_size=vocab_size,
        v_feature_size=feature_size,
        **sublayers | from_no_bert,
        hidden_size=64,
        v_hidden_size=64,
        intermediate_size=128,
        v_intermediate_size=128,
        num_attention_heads=2,
        v_num_attention_heads=2,
        pooler_size=64,
        v_pooler_size=64,
        max_position_embeddings=48,
        initializer_range=0.08,  # wider than BERT's: products have fewer terms
        # A small model that sees new data all the time gains nothing from dropout.
        hidden_dropout_prob=0.0,
        v_hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        v_attention_probs_dropout_prob=0.0,
    )
