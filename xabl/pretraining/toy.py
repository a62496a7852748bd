"""Any run at a size at which it takes seconds, to check that it runs."""

import dataclasses

from xabl.models.config import ModelConfig
from xabl.models.config_json import IntMap
from xabl.pretraining.configuration import InitialValues, PretrainingConfig

_SUBLAYER_LISTS = (
    "tt_attn_sublayers",
    "tv_attn_sublayers",
    "vt_attn_sublayers",
    "vv_attn_sublayers",
    "t_ff_sublayers",
    "v_ff_sublayers",
    "shared_sublayers",
    "single_ln_sublayers",
)
_WIDTHS = (
    "sublayer2attn_hidden_size",
    "sublayer2intermediate_size",
    "sublayer2v_attn_hidden_size",
    "sublayer2v_intermediate_size",
)
_HEADS = ("sublayer2num_attention_heads", "sublayer2v_num_attention_heads")


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
    model = dataclasses.replace(small_model(config.model), **sizes)
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


def small_model(model: ModelConfig) -> ModelConfig:
    """Narrow, and with one sublayer of each kind the model has."""
    kinds: dict[tuple[bool, ...], int] = {}
    for sublayer in range(model.num_sublayers):
        kind = tuple(sublayer in getattr(model, name) for name in _SUBLAYER_LISTS)
        kinds.setdefault(kind, sublayer)
    new_number = {old: new for new, old in enumerate(sorted(kinds.values()))}

    def kept(sizes: IntMap) -> IntMap:
        return tuple((new_number[n], size) for n, size in sizes if n in new_number)

    changes: dict[str, object] = {
        name: tuple(new_number[n] for n in getattr(model, name) if n in new_number)
        for name in _SUBLAYER_LISTS
    }
    for name in _WIDTHS:
        changes[name] = tuple((n, _width(x)) for n, x in kept(getattr(model, name)))
    for name in _HEADS:
        changes[name] = tuple((n, 2) for n, _ in kept(getattr(model, name)))
    for name in ("bert_layer2attn_sublayer", "bert_layer2ff_sublayer"):
        targets = [new_number[n] for _, n in getattr(model, name) if n in new_number]
        changes[name] = tuple(enumerate(targets))
    for name in (
        "hidden_size",
        "v_hidden_size",
        "intermediate_size",
        "v_intermediate_size",
        "pooler_size",
        "v_pooler_size",
    ):
        changes[name] = _width(getattr(model, name))
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
