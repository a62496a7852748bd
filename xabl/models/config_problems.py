"""What keeps a configuration from describing a model, in words."""

from collections.abc import Iterator

from xabl.models.config import (
    ACTIVATIONS,
    VISUAL_TARGET_SIZES,
    Fusion,
    ModelConfig,
    RegionEmbedding,
)


def config_problems(config: ModelConfig) -> Iterator[str]:
    """Yields what is wrong, one line each; nothing for a model that can be built."""
    sizes = [key for key, value in vars(config).items() if type(value) is int]
    for key in sizes:
        if getattr(config, key) < 1:
            yield f"{key} is {getattr(config, key)}, it must be at least 1"
            return  # what follows divides by them
    attention, feed_forward = config.attention_sublayers, config.ff_sublayers
    both = sorted(attention & feed_forward)
    if both:
        yield f"sublayers {both} are both attention and feed-forward"
    numbers = attention | feed_forward
    if not numbers:
        yield "no sublayers"
    elif numbers != set(range(len(numbers))):
        missing = sorted(set(range(max(numbers) + 1)) - numbers)
        yield f"sublayers are not contiguous from 0: {missing} are missing"
    stray = sorted(set(config.shared_sublayers) - numbers)
    if stray:
        yield f"shared_sublayers {stray} do not exist"
    loose = sorted(set(config.single_ln_sublayers) - set(config.shared_sublayers))
    if loose:
        yield f"single_ln_sublayers {loose} are not among shared_sublayers"
    yield from _attention_problems(config)
    yield from _embedding_problems(config)
    yield from _head_problems(config)


def _attention_problems(config: ModelConfig) -> Iterator[str]:
    for sublayer in sorted(config.attention_sublayers):
        text = config.attention_sizes(sublayer, regions=False)
        region = config.attention_sizes(sublayer, regions=True)
        sides = [("", text)]
        if not config.text_only:
            sides.append(("v_", region))
        for prefix, (width, heads) in sides:
            if width % heads:
                yield (
                    f"sublayer {sublayer}: {prefix}attention size {width} is not a "
                    f"multiple of its {heads} heads"
                )
        crossed = (
            sublayer in config.tv_attn_sublayers or sublayer in config.vt_attn_sublayers
        )
        if crossed and text != region:
            yield (
                f"sublayer {sublayer}: words and regions attend to each other with "
                f"different (size, heads): {text} and {region}"
            )


def _embedding_problems(config: ModelConfig) -> Iterator[str]:
    if config.shared_sublayers and config.hidden_size != config.v_hidden_size:
        yield (
            f"shared_sublayers need equal streams, hidden_size is {config.hidden_size} "
            f"and v_hidden_size {config.v_hidden_size}"
        )
    # These share a LayerNorm or a table between words and regions.
    one_width = (
        RegionEmbedding.UNITER,
        RegionEmbedding.VISUALBERT,
        RegionEmbedding.VL_BERT,
    )
    if (
        config.image_embeddings in one_width
        and config.hidden_size != config.v_hidden_size
    ):
        yield (
            f"{config.image_embeddings.value} embeddings need v_hidden_size equal to "
            f"hidden_size, they are {config.v_hidden_size} and {config.hidden_size}"
        )
    if config.image_embeddings is RegionEmbedding.VL_BERT:
        width = 8 * (config.v_coordinate_embeddings_dim or 0)
        if width != config.v_feature_size:
            yield (
                f"vl-bert: v_feature_size {config.v_feature_size} must be 8 x "
                f"v_coordinate_embeddings_dim ({config.v_coordinate_embeddings_dim})"
            )
        if config.type_vocab_size < 3:
            yield f"vl-bert needs type_vocab_size 3, found {config.type_vocab_size}"
    elif config.type_vocab_size < 2 and not config.text_only:
        yield f"type_vocab_size is {config.type_vocab_size}, at least 2 is needed"
    if config.text_only:
        crossing = (
            config.tv_attn_sublayers
            + config.vt_attn_sublayers
            + config.vv_attn_sublayers
            + config.v_ff_sublayers
        )
        if crossing or config.visual_targets:
            yield "a text-only model has neither region sublayers nor visual targets"
        if config.fusion_method is not Fusion.NONE:
            yield 'a text-only model has fusion_method "none"'
    elif config.num_locs not in (4, 5):
        yield f"num_locs is {config.num_locs}, expected 4 or 5"


def _head_problems(config: ModelConfig) -> Iterator[str]:
    if config.fusion_method in (Fusion.MUL, Fusion.SUM) and (
        config.pooler_size != config.v_pooler_size
    ):
        yield (
            f"fusion {config.fusion_method.value} needs equal poolers, pooler_size is "
            f"{config.pooler_size} and v_pooler_size {config.v_pooler_size}"
        )
    for target in config.visual_targets:
        if target not in VISUAL_TARGET_SIZES:
            yield f'visual target "{target}" is not one of 0 ... 6'
    if config.visual_targets and not config.region_head:
        yield "visual targets need a region head"
    for key in ("hidden_act", "v_hidden_act", "fusion_act"):
        if getattr(config, key) not in ACTIVATIONS:
            yield f"{key} is {getattr(config, key)!r}, expected one of {ACTIVATIONS}"
