"""Any run at a size at which it takes seconds, to check that it runs."""

import dataclasses

from xabl.models.config import RegionEmbedding
from xabl.pretraining.configuration import PretrainingConfig


def toy(
    config: PretrainingConfig, *, vocab_size: int, feature_size: int | None
) -> PretrainingConfig:
    """The same run with everything small: 3 updates of 4 examples.

    The list of sublayers, and so the model's kind, stays. For checking that a
    configuration runs.

    Args:
        config: of any size.
        vocab_size: of the vocabulary at hand.
        feature_size: of the corpus at hand; None if it has no regions.
    """

    def width(size: int) -> int:
        return 16 * max(1, round(size / 384))

    def widths(sizes: tuple) -> tuple:
        return tuple((sublayer, width(size)) for sublayer, size in sizes)

    model = config.model
    changes = {
        name: width(getattr(model, name))
        for name in (
            "hidden_size",
            "v_hidden_size",
            "intermediate_size",
            "v_intermediate_size",
            "pooler_size",
            "v_pooler_size",
        )
    }
    changes |= {
        name: widths(getattr(model, name))
        for name in (
            "sublayer2attn_hidden_size",
            "sublayer2intermediate_size",
            "sublayer2v_attn_hidden_size",
            "sublayer2v_intermediate_size",
        )
    }
    changes |= {
        name: tuple((sublayer, 2) for sublayer, _ in getattr(model, name))
        for name in ("sublayer2num_attention_heads", "sublayer2v_num_attention_heads")
    }
    if feature_size is not None and not model.text_only:
        changes["v_feature_size"] = feature_size
        if model.image_embeddings is RegionEmbedding.VL_BERT:
            changes["v_coordinate_embeddings_dim"] = feature_size // 8
    return dataclasses.replace(
        config,
        model=dataclasses.replace(
            model,
            vocab_size=vocab_size,
            num_attention_heads=2,
            v_num_attention_heads=2,
            max_position_embeddings=128,
            **changes,
        ),
        # A warm-up of a fixed number of updates would not end.
        optimiser=dataclasses.replace(
            config.optimiser, warmup_steps=None, warmup_fraction=0.4
        ),
        steps=3,
        batch_size=4,
        accumulation=1,
        checkpoint_every=2,
        report_every=1,
    )
