"""Models small enough to be pretrained on a synthetic world in a minute or two."""

import dataclasses

from xabl.models.config import ModelConfig
from xabl.models.presets import PRESETS

_WIDTH = 64
_SIZES = dict(
    hidden_size=_WIDTH,
    v_hidden_size=_WIDTH,
    intermediate_size=2 * _WIDTH,
    v_intermediate_size=2 * _WIDTH,
    num_attention_heads=2,
    v_num_attention_heads=2,
    pooler_size=_WIDTH,
    v_pooler_size=_WIDTH,
    max_position_embeddings=48,
    initializer_range=0.08,  # wider than BERT's: the fewer the rows of a product
    bert_layer2attn_sublayer=(),
    bert_layer2ff_sublayer=(),
    # Dropout costs a small model that sees fresh data more than it gives.
    hidden_dropout_prob=0.0,
    v_hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
    v_attention_probs_dropout_prob=0.0,
)


def small_uniter(vocab_size: int, feature_size: int) -> ModelConfig:
    """One stream of three layers: `ctrl_uniter_base`, cut short."""
    attention, feed_forward = (0, 2, 4), (1, 3, 5)
    return dataclasses.replace(
        PRESETS["ctrl_uniter_base"],
        name="small_uniter",
        vocab_size=vocab_size,
        v_feature_size=feature_size,
        tt_attn_sublayers=attention,
        tv_attn_sublayers=attention,
        vt_attn_sublayers=attention,
        vv_attn_sublayers=attention,
        t_ff_sublayers=feed_forward,
        v_ff_sublayers=feed_forward,
        shared_sublayers=tuple(range(6)),
        single_ln_sublayers=tuple(range(6)),
        **_SIZES,
    )


def small_vilbert(vocab_size: int, feature_size: int) -> ModelConfig:
    """Two streams: a text layer, then two blocks of co- and self-attention."""
    co, own = (2, 6), (4, 8)
    return dataclasses.replace(
        PRESETS["ctrl_vilbert_base"],
        name="small_vilbert",
        vocab_size=vocab_size,
        v_feature_size=feature_size,
        tt_attn_sublayers=(0, *own),
        tv_attn_sublayers=co,
        vt_attn_sublayers=co,
        vv_attn_sublayers=own,
        t_ff_sublayers=(1, 3, 5, 7, 9),
        v_ff_sublayers=(3, 5, 7, 9),
        **_SIZES,
    )
