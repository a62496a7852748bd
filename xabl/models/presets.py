"""The published configurations, by name.

Each preset is written as its difference from the controlled setup, so that what sets
two models apart can be read here.
"""

import dataclasses
from pathlib import Path
from typing import Any

from xabl.errors import UserError, from_system
from xabl.models import region_embedding
from xabl.models.config import Fusion, GlobalImage, ModelConfig
from xabl.models.config_json import IntMap


def _enumerated(sublayers: tuple[int, ...]) -> IntMap:
    return tuple(enumerate(sublayers))


def _each(sublayers: tuple[int, ...], number: int) -> IntMap:
    return tuple((sublayer, number) for sublayer in sublayers)


def bert_layers(number: int) -> dict[str, Any]:
    """Fields of text-only BERT: one attention and one feed-forward sublayer a layer."""
    attention, feed_forward = _alternating(number)
    return {
        "tt_attn_sublayers": attention,
        "t_ff_sublayers": feed_forward,
        "bert_layer2attn_sublayer": _enumerated(attention),
        "bert_layer2ff_sublayer": _enumerated(feed_forward),
    }


def one_stream_layers(number: int) -> dict[str, Any]:
    """Fields of BERT over words and regions, with the same weights for both."""
    attention, feed_forward = _alternating(number)
    return bert_layers(number) | {
        "tv_attn_sublayers": attention,
        "vt_attn_sublayers": attention,
        "vv_attn_sublayers": attention,
        "v_ff_sublayers": feed_forward,
        "shared_sublayers": tuple(range(2 * number)),
        "single_ln_sublayers": tuple(range(2 * number)),
    }


def lxmert_layers(words: int, regions: int, cross: int) -> dict[str, Any]:
    """Fields of LXMERT: layers of words and of regions alone, then `cross` blocks.

    A block is a shared cross-attention, self-attentions and feed-forwards.
    """
    first = 2 * max(words, regions)
    meeting, own, forward = (
        tuple(range(first + part, first + 3 * cross, 3)) for part in range(3)
    )
    (word_self, word_forward), (region_self, region_forward) = (
        _alternating(words),
        _alternating(regions),
    )
    return {
        "tt_attn_sublayers": word_self + own,
        "tv_attn_sublayers": meeting,
        "vt_attn_sublayers": meeting,
        "vv_attn_sublayers": region_self + own,
        "t_ff_sublayers": word_forward + forward,
        "v_ff_sublayers": region_forward + forward,
        "shared_sublayers": meeting,
        "bert_layer2attn_sublayer": _enumerated((word_self + own)[:12]),
        "bert_layer2ff_sublayer": _enumerated((word_forward + forward)[:12]),
    }


def _alternating(layers: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return tuple(range(0, 2 * layers, 2)), tuple(range(1, 2 * layers, 2))


_BERT = ModelConfig(
    name="bert_base",
    image_embeddings=region_embedding.NONE,
    **bert_layers(12),
    fusion_method=Fusion.NONE,
    visual_target_weights=(),
)

# One stream: every sublayer sees words and regions, with the same weights for both.
_UNITER = ModelConfig(
    name="ctrl_uniter_base",
    image_embeddings=region_embedding.UNITER,
    add_global_imgfeat=GlobalImage.FIRST,
    **one_stream_layers(12),
    pooler_size=1024,
    v_pooler_size=1024,
)
_UNITER_XENT = dataclasses.replace(
    _UNITER, name="ctrl_uniter_xent_base", visual_target_weights=(("3", 1.0),)
)
_UNITER_NOVIZ = dataclasses.replace(
    _UNITER, name="ctrl_uniter_noviz_base", visual_target_weights=()
)
_VISUALBERT = dataclasses.replace(
    _UNITER,
    name="ctrl_visualbert_base",
    image_embeddings=region_embedding.VISUALBERT,
)
_VL_BERT = dataclasses.replace(
    _UNITER,
    name="ctrl_vl-bert_base",
    image_embeddings=region_embedding.VL_BERT,
    v_coordinate_embeddings_dim=256,
    type_vocab_size=3,
    image_head_ln=False,
)
_VL_BERT_ORIGINAL = dataclasses.replace(
    _VL_BERT,
    name="vl-bert_base",
    num_locs=4,
    add_global_imgfeat=GlobalImage.LAST,
    fusion_method=Fusion.NONE,
    visual_target_weights=(("6", 1.0),),
)

# Two streams: six text layers alone, then six blocks of co-attention + self-attention.
_VILBERT_CO = tuple(range(12, 36, 4))
_VILBERT_REGION_SELF = tuple(range(14, 36, 4))
_VILBERT_TEXT_SELF = tuple(range(0, 12, 2)) + _VILBERT_REGION_SELF
_VILBERT = ModelConfig(
    name="ctrl_vilbert_base",
    image_embeddings=region_embedding.VILBERT,
    add_global_imgfeat=GlobalImage.FIRST,
    tt_attn_sublayers=_VILBERT_TEXT_SELF,
    tv_attn_sublayers=_VILBERT_CO,
    vt_attn_sublayers=_VILBERT_CO,
    vv_attn_sublayers=_VILBERT_REGION_SELF,
    t_ff_sublayers=tuple(range(1, 36, 2)),
    v_ff_sublayers=tuple(range(13, 36, 2)),
    bert_layer2attn_sublayer=_enumerated(_VILBERT_TEXT_SELF),
    bert_layer2ff_sublayer=_enumerated(tuple(s + 1 for s in _VILBERT_TEXT_SELF)),
    pooler_size=1024,
    v_pooler_size=1024,
)
_VILBERT_ORIGINAL = dataclasses.replace(
    _VILBERT,
    name="vilbert_base",
    v_hidden_size=1024,
    v_num_attention_heads=8,
    v_intermediate_size=1024,
    sublayer2attn_hidden_size=_each(_VILBERT_CO, 1024),
    sublayer2num_attention_heads=_each(_VILBERT_CO, 8),
)

# Two streams: nine text and five region layers, then five blocks.
_LXMERT = ModelConfig(
    name="ctrl_lxmert",
    image_embeddings=region_embedding.LXMERT,
    add_global_imgfeat=GlobalImage.FIRST,
    **lxmert_layers(words=9, regions=5, cross=5),
    pooler_size=1024,
    v_pooler_size=1024,
)
_LXMERT_ORIGINAL = dataclasses.replace(
    _LXMERT,
    name="lxmert",
    num_locs=4,
    add_global_imgfeat=GlobalImage.ABSENT,
    pooler_size=768,
    fusion_method=Fusion.TEXT,
    visual_target_weights=(("3", 6.667), ("4", 6.667), ("5", 6.667)),
)

PRESETS: dict[str, ModelConfig] = {
    config.name: config
    for config in (
        _UNITER,
        _VISUALBERT,
        _VL_BERT,
        _VILBERT,
        _LXMERT,
        _UNITER_XENT,
        _UNITER_NOVIZ,
        _VILBERT_ORIGINAL,
        _LXMERT_ORIGINAL,
        _VL_BERT_ORIGINAL,
        _BERT,
    )
}


def load_config(preset_or_json: str) -> ModelConfig:
    """A preset by name, or else a configuration file of the reference.

    Raises:
        UserError: neither a preset nor a readable configuration file.
    """
    if preset_or_json in PRESETS:
        return PRESETS[preset_or_json]
    path = Path(preset_or_json)
    try:
        is_there = path.exists()
    except OSError as error:  # a closed folder, a name that is too long
        raise from_system(error, path) from error
    if not is_there:
        raise UserError(
            f"{preset_or_json!r} is neither a file nor a preset; the presets are "
            + ", ".join(PRESETS)
        )
    return ModelConfig.from_json(path)
