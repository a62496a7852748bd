"""What goes into a model and what comes out."""

from jaxtyping import Array, Bool, Float, Int

from xabl.types import pytree


@pytree
class TextInput:
    """Word pieces: [CLS] ... [SEP], then padding.

    mask: what is attended to: no padding, and no words that are taken away.
    position_shift_start: the word position from which VL-BERT adds the number of
        regions to a word's position (`embeddings.vl_bert_positions`); the other
        models do not read it. The intended rule is the example's own number of words.
    """

    token_ids: Int[Array, "batch words"]
    mask: Bool[Array, "batch words"]
    token_type_ids: Int[Array, "batch words"]
    position_shift_start: Int[Array, " batch"]


@pytree
class RegionInput:
    """Image regions, the [IMG] row included where the model has one.

    locations are relative (0 ... 1): x1, y1, x2, y2 and, for `num_locs` 5, the area.
    mask: what is attended to: no padding, and no regions that are taken away.
    """

    features: Float[Array, "batch regions features"]
    locations: Float[Array, "batch regions locations"]
    mask: Bool[Array, "batch regions"]


@pytree
class ProjectedRegions:
    """Region rows after the products that need nothing but the row itself.

    A row stands in many inputs; see `RegionEmbeddings` for what can be made once.

    features: products with the features; in VL-BERT with the coordinates too, unless
        `locations` has those.
    locations: products with the locations; None where a model does not use them.
    is_zero: rows whose features are all exactly zero: masked, to VL-BERT.
    """

    features: Float[Array, "batch regions region_hidden"]
    locations: Float[Array, "batch regions region_hidden"] | None
    is_zero: Bool[Array, "batch regions"]
    mask: Bool[Array, "batch regions"]


@pytree
class Streams:
    """Hidden states of both streams; one that is absent or not wanted is None."""

    words: Float[Array, "batch words hidden"] | None
    regions: Float[Array, "batch regions region_hidden"] | None


@pytree
class ModelOutput:
    """Scores of every head, and the hidden states they came from.

    hidden: the embeddings, then the streams after each sublayer (length L+1).
    region_logits: by name of the visual target.
    itm_logits: None without a matching head.
    pooled: the fused vector before the matching head; None when the model pools
        nothing.
    """

    hidden: tuple[Streams, ...]
    mlm_logits: Float[Array, "batch words vocabulary"]
    region_logits: dict[str, Float[Array, "batch regions _"]]
    itm_logits: Float[Array, "batch labels"] | None
    pooled: Float[Array, "batch pooled"] | None
