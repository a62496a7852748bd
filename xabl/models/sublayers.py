"""The gated bimodal sublayers, of which every model is a list.

Source: Bugliarello et al. (TACL 2021), section 3. The configuration says which streams
a sublayer updates, and what they attend to. Other streams pass through unchanged.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from xabl.models.dropout import Dropout
from xabl.models.layers import ACTIVATION, Numerics, row_major, split_heads
from xabl.models.structs import Streams

# Added to the scores of padded keys. Not minus infinity: where all keys are padding
# (words, in vision-only pretraining), a query attends as if none were.
PADDING_SCORE = -10000.0


class GatedAttention(Numerics):
    """Words and regions attend to words, to regions or to both."""

    sublayer: int = 0

    def setup(self):
        config, n = self.config, self.sublayer
        self.tt = n in config.tt_attn_sublayers
        self.tv = n in config.tv_attn_sublayers
        self.vt = n in config.vt_attn_sublayers
        self.vv = n in config.vv_attn_sublayers
        self.text = self.part(AttentionStream, sublayer=n)
        if n in config.shared_sublayers:
            self.regions = self.text
        elif self.vv or self.vt or self.tv:
            self.regions = self.part(AttentionStream, sublayer=n, is_regions=True)
        everything = self.tt and self.tv and self.vt and self.vv
        self.one_stream = everything and n in config.shared_sublayers

    def __call__(
        self,
        queries: Streams,
        context: Streams,
        text_mask: Bool[Array, "batch words"],
        region_mask: Bool[Array, "batch regions"] | None,
        deterministic: bool,
    ) -> Streams:
        """Updates `queries` with what they find in `context`.

        Args:
            queries: the positions to update; `context` itself, or a part of its
                positions where no other is needed. A stream that is None stays None.
            context: hidden states attended to.
            text_mask: True for words, False for padding of `context.words`.
            region_mask: likewise for regions; None in a text-only model.
            deterministic: whether dropout is off.
        """
        if self.one_stream:
            # One sequence with one set of weights: larger products, fewer of them.
            states = joined(context.words, context.regions)
            mask = jnp.concatenate([text_mask, region_mask], axis=1)
            keys_values = (*self.text.keys_values(states), mask)
            return on_both(
                lambda part: self.text(part, [keys_values], deterministic), queries
            )
        words_kv = regions_kv = None
        if self.tt or self.tv or self.vt:
            words_kv = (*self.text.keys_values(context.words), text_mask)
        if self.vv or self.vt or self.tv:
            regions_kv = (*self.regions.keys_values(context.regions), region_mask)
        words, regions = queries.words, queries.regions
        if (self.tt or self.tv) and words is not None:
            attended = [words_kv] * self.tt + [regions_kv] * self.tv
            words = self.text(words, attended, deterministic)
        if (self.vt or self.vv) and regions is not None:
            attended = [words_kv] * self.vt + [regions_kv] * self.vv
            regions = self.regions(regions, attended, deterministic)
        return Streams(words=words, regions=regions)


class AttentionStream(Numerics):
    """One stream's side of an attention sublayer, or both sides where shared."""

    sublayer: int = 0
    is_regions: bool = False

    def setup(self):
        config = self.config
        width, self.heads = config.attention_sizes(
            self.sublayer, regions=self.is_regions
        )
        self.query, self.key, self.value = (self.dense(width) for _ in range(3))
        if self.is_regions:
            self.output = self.dense(config.v_hidden_size)
            self.probability_dropout = Dropout(config.v_attention_probs_dropout_prob)
            self.dropout = Dropout(config.v_hidden_dropout_prob)
        else:
            self.output = self.dense(config.hidden_size)
            self.probability_dropout = Dropout(config.attention_probs_dropout_prob)
            self.dropout = Dropout(config.hidden_dropout_prob)
        self.norm = self.layer_norm()

    def keys_values(self, states: Float[Array, "batch _ width"]) -> tuple:
        """Keys [batch, heads, head_size, keys], values [batch, heads, keys, head_size].

        In this layout, products are twice as fast on a CPU.
        """
        keys = split_heads(self.key(states), self.heads)
        values = split_heads(self.value(states), self.heads)
        return jnp.moveaxis(keys, 1, 3), jnp.moveaxis(values, 1, 2)

    def __call__(
        self,
        states: Float[Array, "batch queries width"],
        attended: list[tuple],
        deterministic: bool,
    ) -> Float[Array, "batch queries width"]:
        """One softmax over all keys of `attended`: (keys, values, mask) by stream."""
        query = jnp.moveaxis(split_heads(self.query(states), self.heads), 1, 2)
        query = query / jnp.sqrt(query.shape[-1]).astype(query.dtype)
        scores = jnp.concatenate(
            [
                self.product(query, key).astype(self.wide_dtype)
                + jnp.where(mask, 0.0, PADDING_SCORE)[:, None, None, :]
                for key, _, mask in attended
            ],
            axis=-1,
        )
        probabilities = self.probability_dropout(
            jax.nn.softmax(scores, axis=-1).astype(self.dtype),
            deterministic=deterministic,
        )
        ends = [key.shape[-1] for key, _, _ in attended]
        context = sum(
            self.product(part, value)
            for part, (_, value, _) in zip(
                jnp.split(probabilities, ends[:-1], axis=-1), attended, strict=True
            )
        )
        context = context.astype(self.dtype)
        context = jnp.moveaxis(context, 1, 2).reshape(*states.shape[:-1], -1)
        update = self.output(context)
        update = self.dropout(update, deterministic=deterministic)
        return row_major(self.norm(update + states))


class GatedFeedForward(Numerics):
    """Words, regions or both through a position-wise feed-forward network."""

    sublayer: int = 0

    def setup(self):
        config, n = self.config, self.sublayer
        self.has_text = n in config.t_ff_sublayers
        self.has_regions = n in config.v_ff_sublayers
        self.text = self.part(FeedForwardStream, sublayer=n)
        self.shared = n in config.shared_sublayers
        if self.shared:
            self.regions = self.text
        else:
            self.regions = self.part(FeedForwardStream, sublayer=n, is_regions=True)

    def __call__(self, streams: Streams, deterministic: bool) -> Streams:
        if self.shared and self.has_text and self.has_regions:
            return on_both(lambda part: self.text(part, deterministic), streams)
        words, regions = streams.words, streams.regions
        if self.has_text and words is not None:
            words = self.text(words, deterministic)
        if self.has_regions and regions is not None:
            regions = self.regions(regions, deterministic)
        return Streams(words=words, regions=regions)


class FeedForwardStream(Numerics):
    """One stream's side of a feed-forward sublayer, or both sides where shared."""

    sublayer: int = 0
    is_regions: bool = False

    def setup(self):
        config = self.config
        self.intermediate = self.dense(
            config.intermediate_sizes(self.sublayer, regions=self.is_regions)
        )
        if self.is_regions:
            self.activation = ACTIVATION[config.v_hidden_act]
            self.output = self.dense(config.v_hidden_size)
            self.dropout = Dropout(config.v_hidden_dropout_prob)
        else:
            self.activation = ACTIVATION[config.hidden_act]
            self.output = self.dense(config.hidden_size)
            self.dropout = Dropout(config.hidden_dropout_prob)
        self.norm = self.layer_norm()

    def __call__(
        self, states: Float[Array, "batch _ width"], deterministic: bool
    ) -> Float[Array, "batch _ width"]:
        update = self.output(self.activation(self.intermediate(states)))
        update = self.dropout(update, deterministic=deterministic)
        return row_major(self.norm(update + states))


def on_both(function: Callable[[jax.Array], jax.Array], streams: Streams) -> Streams:
    """`function` of words and regions as one sequence, or of the one that is there."""
    words, regions = streams.words, streams.regions
    if words is None or regions is None:
        return Streams(
            words=None if words is None else function(words),
            regions=None if regions is None else function(regions),
        )
    states = function(joined(words, regions))
    return Streams(
        words=states[:, : words.shape[1]], regions=states[:, words.shape[1] :]
    )


def joined(
    words: Float[Array, "batch words hidden"],
    regions: Float[Array, "batch regions hidden"],
) -> Float[Array, "batch positions hidden"]:
    """Words and regions as one sequence."""
    return jnp.concatenate([words, regions], axis=1)
