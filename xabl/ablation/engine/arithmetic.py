"""How much arithmetic a step is: floating-point operations of its matrix products.

A product of an m x k with a k x n matrix counts 2mkn. What is not a matrix product
(softmax, LayerNorm, GELU, gathers) is left out; in full-size models it is a few per
cent. Only what the compiler keeps is counted: a stream whose result nobody reads any
more costs nothing.
"""

import dataclasses

from xabl.ablation.engine.scorer import Scorer, last_attention, scored_objective
from xabl.models.config import VISUAL_TARGET_SIZES, ModelConfig, RegionEmbedding
from xabl.results.conditions import Direction


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lengths:
    """Positions of one input: words, regions ([IMG] included), targets scored."""

    words: int
    regions: int
    targets: int = 1


def naive_input(config: ModelConfig, lengths: Lengths) -> int:
    """One input, everything computed: all sublayers, all heads at every position."""
    total = lengths.regions * region_row(config)
    for number in range(config.num_sublayers):
        total += _sublayer(config, number, lengths, words=True, regions=True)[0]
    total += lengths.words * _mlm_head(config)
    if config.has_region_head:
        transform = 2 * config.v_hidden_size**2
        decoders = sum(
            2 * config.v_hidden_size * VISUAL_TARGET_SIZES[target]
            for target in config.visual_targets
        )
        total += lengths.regions * (transform + decoders)
    return total


def score_input(scorer: Scorer, direction: Direction, lengths: Lengths) -> int:
    """One pair of a score step.

    From the meeting of the streams on; from the beginning where there are no tables.
    """
    config = scorer.config
    start = scorer.meeting if scorer.has_tables else 0
    vision = direction is Direction.VIS4LANG
    if vision:
        total = lengths.targets * _mlm_head(config)
    else:
        classes = VISUAL_TARGET_SIZES[scored_objective(config)]
        total = 2 * config.v_hidden_size * (config.v_hidden_size + classes)
    last = last_attention(config, direction)
    for number in range(last + 1, config.num_sublayers):
        if number in (config.t_ff_sublayers if vision else config.v_ff_sublayers):
            total += _feed_forward(config, number, lengths.targets, regions=not vision)
    at_targets = {"words" if vision else "regions": lengths.targets}
    cost, wanted = _attention(
        config,
        last,
        lengths,
        dataclasses.replace(lengths, **at_targets),
        words=vision,
        regions=not vision,
    )
    total += cost
    for number in range(last - 1, start - 1, -1):
        cost, wanted = _sublayer(
            config, number, lengths, words=wanted[0], regions=wanted[1]
        )
        total += cost
    return total


def word_position(scorer: Scorer) -> int:
    """What one more word adds to a pair of a score step: what padding costs."""
    shorter, longer = (
        score_input(scorer, Direction.VIS4LANG, Lengths(words=words, regions=0))
        for words in (20, 21)
    )
    return longer - shorter


def word_input(scorer: Scorer, words: int) -> int:
    """One word input of a table step."""
    lengths = Lengths(words=words, regions=0)
    return _until_meeting(scorer, lengths, words=True)


def region_input(scorer: Scorer, regions: int) -> int:
    """One region input of a table step."""
    lengths = Lengths(words=0, regions=regions)
    return _until_meeting(scorer, lengths, words=False)


def _until_meeting(scorer: Scorer, lengths: Lengths, *, words: bool) -> int:
    return sum(
        _sublayer(scorer.config, number, lengths, words=words, regions=not words)[0]
        for number in range(scorer.meeting)
    )


def _sublayer(
    config: ModelConfig, number: int, lengths: Lengths, *, words: bool, regions: bool
) -> tuple[int, tuple[bool, bool]]:
    """Cost of the wanted streams, and which streams are wanted before it."""
    if number in config.attention_sublayers:
        return _attention(
            config, number, lengths, lengths, words=words, regions=regions
        )
    total = 0
    if words and number in config.t_ff_sublayers:
        total += _feed_forward(config, number, lengths.words, regions=False)
    if regions and number in config.v_ff_sublayers:
        total += _feed_forward(config, number, lengths.regions, regions=True)
    return total, (words, regions)


def _attention(
    config: ModelConfig,
    number: int,
    keys: Lengths,
    queries: Lengths,
    *,
    words: bool,
    regions: bool,
) -> tuple[int, tuple[bool, bool]]:
    """As `_sublayer`; queries may be fewer positions than keys."""
    tt = words and number in config.tt_attn_sublayers
    tv = words and number in config.tv_attn_sublayers
    vt = regions and number in config.vt_attn_sublayers
    vv = regions and number in config.vv_attn_sublayers
    word_width, _ = config.attention_sizes(number, regions=False)
    region_width, _ = config.attention_sizes(number, regions=True)
    total = 0
    if tt or tv:  # query and output
        total += 4 * queries.words * config.hidden_size * word_width
    if vt or vv:
        total += 4 * queries.regions * config.v_hidden_size * region_width
    if tt or vt:  # key and value
        total += 4 * keys.words * config.hidden_size * word_width
    if tv or vv:
        total += 4 * keys.regions * config.v_hidden_size * region_width
    # Scores, and the sum of values they weigh.
    word_keys = tt * keys.words + tv * keys.regions
    region_keys = vt * keys.words + vv * keys.regions
    total += 4 * queries.words * word_keys * word_width
    total += 4 * queries.regions * region_keys * region_width
    return total, (words or tt or vt, regions or tv or vv)


def _feed_forward(
    config: ModelConfig, number: int, positions: int, *, regions: bool
) -> int:
    width = config.v_hidden_size if regions else config.hidden_size
    inner = config.intermediate_sizes(number, regions=regions)
    return 4 * positions * width * inner


def _mlm_head(config: ModelConfig) -> int:
    """At one position."""
    return 2 * config.hidden_size * (config.hidden_size + config.vocab_size)


def region_row(config: ModelConfig) -> int:
    """One region's products with its features and its location."""
    kind = config.image_embeddings
    if kind is RegionEmbedding.NONE:
        return 0
    inputs = config.v_feature_size
    if kind is RegionEmbedding.VL_BERT:
        inputs *= 2  # coordinates are as long as features
    elif kind is not RegionEmbedding.VISUALBERT:
        inputs += config.num_locs
    return 2 * inputs * config.v_hidden_size
