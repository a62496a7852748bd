"""Poolers and prediction heads. All may be applied to any subset of positions."""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from xabl.models.config import Fusion
from xabl.models.dropout import Dropout
from xabl.models.layers import ACTIVATION, Numerics
from xabl.models.structs import Streams

ITM_DROPOUT = 0.1  # not a field of the configuration: fixed in the published code


class MlmHead(Numerics):
    """Scores of every word piece, by product with the word embeddings (tied)."""

    def setup(self):
        config = self.config
        self.transform = self.dense(config.hidden_size)
        self.norm = self.layer_norm()
        self.bias = self.param("bias", nn.initializers.zeros, (config.vocab_size,))

    def __call__(
        self,
        states: Float[Array, "*positions hidden"],
        word_embeddings: Float[Array, "vocabulary hidden"],
    ) -> Float[Array, "*positions vocabulary"]:
        activation = ACTIVATION[self.config.hidden_act]
        states = self.norm(activation(self.transform(states)))
        scores = jnp.einsum(
            "...h,vh->...v",
            states,
            word_embeddings.astype(self.dtype),
            precision=self.precision,
            preferred_element_type=self.product_dtype,
        )
        return scores.astype(self.wide_dtype) + self.bias


class RegionHead(Numerics):
    """Predictions of each visual target, by its name, for a region."""

    def setup(self):
        config = self.config
        self.transform = self.dense(config.v_hidden_size)
        if config.image_head_ln:
            self.norm = self.layer_norm()
        self.objective = {
            target.name: self.dense(target.size) for target in config.visual_targets
        }

    def __call__(
        self, states: Float[Array, "*positions region_hidden"], target: str
    ) -> Float[Array, "*positions classes"]:
        states = self.transformed(states)
        return self.objective[target](states).astype(self.wide_dtype)

    def transformed(
        self, states: Float[Array, "*positions region_hidden"]
    ) -> Float[Array, "*positions region_hidden"]:
        states = ACTIVATION[self.config.v_hidden_act](self.transform(states))
        return self.norm(states) if self.config.image_head_ln else states


class Poolers(Numerics):
    """One vector for each stream, fused into the one the matching head sees."""

    def setup(self):
        config = self.config
        self.text = self.dense(config.pooler_size)
        if config.fusion_method in (Fusion.MUL, Fusion.SUM):
            self.regions = self.dense(config.v_pooler_size)

    def __call__(
        self, streams: Streams, text_mask: Bool[Array, "batch words"]
    ) -> Float[Array, "batch pooled"]:
        activation = ACTIVATION[self.config.fusion_act]
        fusion = self.config.fusion_method
        if fusion is Fusion.VL_BERT_VQA:
            # The word before the last: the answer's [MASK] in VL-BERT's questions.
            answer = jnp.sum(text_mask, axis=1, dtype=jnp.int32) - 2
            word = jnp.take_along_axis(streams.words, answer[:, None, None], axis=1)
            return activation(self.text(word[:, 0]))
        text = activation(self.text(streams.words[:, 0]))
        if fusion is Fusion.TEXT:
            return text
        regions = activation(self.regions(streams.regions[:, 0]))
        return text * regions if fusion is Fusion.MUL else text + regions


class ItmHead(Numerics):
    """Whether caption and image match: label 0 is a matching pair."""

    def setup(self):
        self.decoder = self.dense(self.config.itm_dim)
        self.dropout = Dropout(ITM_DROPOUT)

    def __call__(
        self, pooled: Float[Array, "batch pooled"], deterministic: bool
    ) -> Float[Array, "batch labels"]:
        pooled = self.dropout(pooled, deterministic=deterministic)
        return self.decoder(pooled).astype(self.wide_dtype)
