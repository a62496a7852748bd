"""The one model: a list of gated bimodal sublayers between embeddings and heads."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import traverse_util
from jaxtyping import Array, Bool, Float

from xabl.models.config import Fusion, ModelConfig
from xabl.models.embeddings import REGION_MODULES, TextEmbeddings
from xabl.models.heads import ItmHead, MlmHead, Poolers, RegionHead
from xabl.models.layers import Numerics
from xabl.models.structs import (
    ModelOutput,
    ProjectedRegions,
    RegionInput,
    Streams,
    TextInput,
)
from xabl.models.sublayers import GatedAttention, GatedFeedForward


class VisionLanguageBert(Numerics):
    """Any of the five V&L BERTs, their original-size relatives, or text-only BERT.

    `__call__` runs everything; its parts are methods of their own (`embed`, `encode`,
    `mlm_logits`, ...), for callers that need only some of it:

        model = VisionLanguageBert(PRESETS["ctrl_uniter_base"])
        output = model.apply({"params": params}, text, regions)
        streams = model.apply({"params": params}, text, regions, method="embed")
    """

    def setup(self):
        config = self.config
        self.text_embeddings = self.part(TextEmbeddings)
        if not config.text_only:
            kind = REGION_MODULES[config.image_embeddings.name]
            self.region_embeddings = self.part(kind)
        self.sublayers = [
            self.part(
                GatedAttention
                if number in config.attention_sublayers
                else GatedFeedForward,
                sublayer=number,
            )
            for number in range(config.num_sublayers)
        ]
        if config.fusion_method is not Fusion.NONE:
            self.poolers = self.part(Poolers)
        self.mlm_head = self.part(MlmHead)
        if config.has_region_head:
            self.region_head = self.part(RegionHead)
        if config.has_matching_head:
            self.itm_head = self.part(ItmHead)

    def __call__(
        self,
        text: TextInput,
        regions: RegionInput | None = None,
        deterministic: bool = True,
    ) -> ModelOutput:
        """Embeds, encodes and applies every head at every position.

        Args:
            text: word pieces.
            regions: image regions; None for a text-only model.
            deterministic: False turns dropout on, which needs the "dropout" rng.
        """
        embedded = self.embed(text, regions, deterministic)
        region_mask = None if regions is None else regions.mask
        encoded = self.encode(
            embedded, text.mask, region_mask, deterministic=deterministic
        )
        last = encoded[-1]
        if self.is_initializing() and self.config.has_region_head:
            # Without a visual target the head keeps its transform, which no output
            # depends on; checkpoints of the reference hold it.
            self.region_head.transformed(last.regions)
        pooled = self.pool(last, text.mask)
        return ModelOutput(
            hidden=(embedded, *encoded),
            mlm_logits=self.mlm_logits(last.words),
            region_logits={
                target.name: self.region_logits(last.regions, target.name)
                for target in self.config.visual_targets
            },
            itm_logits=self.itm_logits(pooled, deterministic)
            if self.config.has_matching_head
            else None,
            pooled=pooled,
        )

    def embed(
        self,
        text: TextInput,
        regions: RegionInput | ProjectedRegions | None = None,
        deterministic: bool = True,
    ) -> Streams:
        """The input of sublayer 0."""
        if isinstance(regions, RegionInput):
            regions = self.region_embeddings.project(regions, deterministic)
        if self.config.image_embeddings.streams_meet:
            return self.region_embeddings(
                text, regions, self.text_embeddings, deterministic
            )
        return Streams(
            words=self.embed_words(text, deterministic),
            regions=None
            if self.config.text_only
            else self.embed_regions(regions, deterministic),
        )

    def embed_words(
        self, text: TextInput, deterministic: bool = True
    ) -> Float[Array, "batch words hidden"]:
        """Words alone; not where the streams meet in the embeddings."""
        return self.text_embeddings(text, deterministic=deterministic)

    def embed_regions(
        self, regions: ProjectedRegions, deterministic: bool = True
    ) -> Float[Array, "batch regions region_hidden"]:
        """Regions alone; not where the streams meet in the embeddings."""
        return self.region_embeddings(regions, self.text_embeddings, deterministic)

    def project_features(
        self, features: Float[Array, "*rows features"]
    ) -> Float[Array, "*rows region_hidden"]:
        """`ProjectedRegions.features`: an affine function of the features."""
        return self.region_embeddings.project_features(features)

    def project_locations(
        self, locations: Float[Array, "*rows locations"]
    ) -> Float[Array, "*rows region_hidden"] | None:
        """`ProjectedRegions.locations`; None where a model does not use them."""
        return self.region_embeddings.project_locations(locations)

    def masked_projection(self) -> Float[Array, " region_hidden"]:
        """`ProjectedRegions.features` of a masked row."""
        return self.region_embeddings.masked_projection()

    def encode(
        self,
        streams: Streams,
        text_mask: Bool[Array, "batch words"],
        region_mask: Bool[Array, "batch regions"] | None = None,
        start: int = 0,
        stop: int | None = None,
        deterministic: bool = True,
    ) -> tuple[Streams, ...]:
        """Hidden states after each of the sublayers `start` ... `stop` - 1."""
        stop = self.config.num_sublayers if stop is None else stop
        encoded = []
        for number in range(start, stop):
            streams = self.run_sublayer(
                number, streams, streams, text_mask, region_mask, deterministic
            )
            encoded.append(streams)
        return tuple(encoded)

    def run_sublayer(
        self,
        number: int,
        queries: Streams,
        context: Streams,
        text_mask: Bool[Array, "batch words"],
        region_mask: Bool[Array, "batch regions"] | None = None,
        deterministic: bool = True,
    ) -> Streams:
        """One sublayer; see `GatedAttention` for `queries` other than `context`."""
        sublayer = self.sublayers[number]
        if number in self.config.ff_sublayers:
            return sublayer(queries, deterministic)
        return sublayer(queries, context, text_mask, region_mask, deterministic)

    def mlm_logits(
        self, states: Float[Array, "*positions hidden"]
    ) -> Float[Array, "*positions vocabulary"]:
        """Scores of every word piece at the given positions (float32)."""
        return self.mlm_head(states, self.text_embeddings.word.embedding)

    def region_logits(
        self, states: Float[Array, "*positions region_hidden"], target: str
    ) -> Float[Array, "*positions classes"]:
        """Predictions of a visual target, by name, at the given regions (float32)."""
        return self.region_head(states, target)

    def pool(
        self, streams: Streams, text_mask: Bool[Array, "batch words"]
    ) -> Float[Array, "batch pooled"] | None:
        """The fused vector; None for a model without poolers."""
        if self.config.fusion_method is Fusion.NONE:
            return None
        return self.poolers(streams, text_mask)

    def itm_logits(
        self, pooled: Float[Array, "batch pooled"], deterministic: bool = True
    ) -> Float[Array, "batch labels"]:
        """Scores of "matching" (0) and "not matching" (1)."""
        return self.itm_head(pooled, deterministic)


def example_inputs(
    config: ModelConfig, *, batch: int = 1, words: int = 4, regions: int = 3
) -> tuple[TextInput, RegionInput | None]:
    """Inputs of the right shapes, all zeros, for shape evaluation and compilation."""
    text = TextInput(
        token_ids=jnp.zeros((batch, words), jnp.int32),
        mask=jnp.ones((batch, words), bool),
        token_type_ids=jnp.zeros((batch, words), jnp.int32),
        position_shift_start=jnp.full((batch,), words, jnp.int32),
    )
    if config.text_only:
        return text, None
    return text, RegionInput(
        features=jnp.zeros((batch, regions, config.v_feature_size)),
        locations=jnp.zeros((batch, regions, config.num_locs)),
        mask=jnp.ones((batch, regions), bool),
    )


@functools.lru_cache(maxsize=32)
def parameter_shapes(config: ModelConfig) -> dict:
    """The parameter tree with `jax.ShapeDtypeStruct` leaves; allocates nothing."""
    model = VisionLanguageBert(config)
    inputs = jax.eval_shape(lambda: example_inputs(config))
    return jax.eval_shape(model.init, jax.random.key(0), *inputs)["params"]


def nest(flat: dict[str, Any]) -> dict[str, Any]:
    """{"a/b": x} as {"a": {"b": x}}, the form the model takes."""
    return traverse_util.unflatten_dict(flat, sep="/")


def flatten(nested: dict[str, Any]) -> dict[str, Any]:
    """The inverse of `nest`: parameters by path."""
    return traverse_util.flatten_dict(nested, sep="/")
