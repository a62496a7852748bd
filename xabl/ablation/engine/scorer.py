"""Scoring functions: from indices and masks to losses, compiled, on one device.

The masks are applied on the device. Heads see target positions only, and in the last
sublayers only what reaches a target is computed.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from xabl.ablation.any_model import Words, text_rows
from xabl.ablation.engine.device_regions import (
    ProjectedStore,
    RegionBatch,
    region_input,
)
from xabl.ablation.engine.losses import (
    RegionLabels,
    Scores,
    mlm_scores,
    mrc_scores,
)
from xabl.ablation.options import ImageToken, Precision
from xabl.models.config import ModelConfig
from xabl.models.model import VisionLanguageBert
from xabl.models.structs import ProjectedRegions, Streams, TextInput
from xabl.results.conditions import Direction
from xabl.types import AnyArray, pytree

Params = dict[str, Any]


# As JAX names them.
PRODUCTS = {
    Precision.HIGHEST: "highest",
    Precision.DEFAULT: "default",
    Precision.BFLOAT16: "default",
}


@pytree
class WordBatch:
    """Word inputs as a step ships them; see `WordInputs`.

    dropped: None where the plan drops no word.
    """

    token_ids: Int[AnyArray, "*devices batch words"]
    lengths: Int[AnyArray, "*devices batch"]
    shift_starts: Int[AnyArray, "*devices batch"]
    dropped: Bool[AnyArray, "*devices batch words"] | None = None


@pytree
class MlmTargets:
    """Masked pieces: their positions and what stood there."""

    positions: Int[AnyArray, "*devices batch targets"]
    labels: Int[AnyArray, "*devices batch targets"]
    num_targets: Int[AnyArray, "*devices batch"]


@pytree
class MrcTargets:
    """Masked regions.

    target: which among the boxes.
    label: row of the labels.
    gold: gold class, -1 without one.
    """

    target: Int[AnyArray, "*devices batch"]
    label: Int[AnyArray, "*devices batch"]
    gold: Int[AnyArray, "*devices batch"]


@pytree
class Resident:
    """What stays on every device while a request is evaluated."""

    params: Params
    store: ProjectedStore | None
    labels: RegionLabels


@pytree
class Tables:
    """Both streams before the sublayer where they meet, by place: see `TableStep`."""

    words: Float[Array, "*devices word_places words hidden"]
    regions: Float[Array, "*devices region_places regions region_hidden"]
    region_mask: Bool[Array, "*devices region_places regions"]


@pytree
class PlaceBatch:
    """Pairs whose inputs are in the tables; `dropped` as in `WordBatch`."""

    words: Int[AnyArray, "*devices batch"]
    lengths: Int[AnyArray, "*devices batch"]
    dropped: Bool[AnyArray, "*devices batch words"] | None = None
    regions: Int[AnyArray, "*devices batch"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Started:
    """Both streams as they enter `sublayer`, and which positions are real."""

    streams: Streams
    text_mask: Bool[Array, "batch words"]
    region_mask: Bool[Array, "batch regions"] | None
    sublayer: int


@functools.partial(jax.jit, static_argnames="dtype")
def _matrices_rounded(params: Params, dtype: jnp.dtype) -> Params:
    return jax.tree.map(lambda x: x.astype(dtype) if x.ndim == 2 else x, params)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scorer:
    """A model as the ablation uses it.

    top: how many of the most probable predictions to return with the losses.
    """

    config: ModelConfig
    precision: Precision = Precision.HIGHEST
    image_token: ImageToken = ImageToken.PUBLISHED
    top: int = 0

    @property
    def model(self) -> VisionLanguageBert:
        if self.precision is Precision.BFLOAT16:
            return VisionLanguageBert(
                self.config, dtype=jnp.bfloat16, precision="default"
            )
        return VisionLanguageBert(self.config, precision=PRODUCTS[self.precision])

    def matrices_rounded(self, params: Params) -> Params:
        """Parameters as products take them, placed where `params` are.

        Every program would round the same matrices again, at every step. The others
        (biases, LayerNorm) stay: some are added to float32.
        """
        dtype = jnp.dtype(self.model.dtype)
        return params if dtype == jnp.float32 else _matrices_rounded(params, dtype)

    @property
    def has_tables(self) -> bool:
        """Whether sublayers come before the streams meet, each stream on its own.

        VL-BERT's meet in the embeddings.
        """
        config = self.config
        apart = not (config.text_only or config.image_embeddings.streams_meet)
        return apart and self.meeting > 0

    @property
    def meeting(self) -> int:
        """The first sublayer that needs both streams."""
        config = self.config
        return min(config.tv_attn_sublayers + config.vt_attn_sublayers, default=0)

    @property
    def has_region_sublayers(self) -> bool:
        """Whether sublayers of the region stream come before the meeting."""
        config = self.config
        of_regions = config.vv_attn_sublayers + config.v_ff_sublayers
        return any(number < self.meeting for number in of_regions)

    def fill_words(
        self,
        resident: Resident,
        tables: Tables,
        words: WordBatch,
        start: Int[Array, ""],
    ) -> Tables:
        """Puts word inputs, computed up to the meeting, in places `start` ..."""
        text = text_input(words)
        states = self._apply(resident.params, "embed_words", text)
        width = self.config.v_hidden_size
        alone = Streams(
            words=states,
            # Sublayers need a second stream; before the meeting it changes nothing
            # and the compiler drops it.
            regions=jnp.zeros((len(states), 1, width), states.dtype),
        )
        no_regions = jnp.zeros((len(states), 1), bool)
        states = self._until_meeting(resident, alone, text.mask, no_regions).words
        return Tables(
            words=_placed(tables.words, states, start),
            regions=tables.regions,
            region_mask=tables.region_mask,
        )

    def fill_regions(
        self,
        resident: Resident,
        tables: Tables,
        regions: RegionBatch,
        start: Int[Array, ""],
    ) -> Tables:
        """Puts region inputs, computed up to the meeting, in places `start` ..."""
        region = self._region_input(resident, regions)
        states = self._apply(resident.params, "embed_regions", region)
        width = self.config.hidden_size
        alone = Streams(
            words=jnp.zeros((len(states), 1, width), states.dtype), regions=states
        )
        no_words = jnp.zeros((len(states), 1), bool)
        states = self._until_meeting(resident, alone, no_words, region.mask).regions
        return Tables(
            words=tables.words,
            regions=_placed(tables.regions, states, start),
            region_mask=_placed(tables.region_mask, region.mask, start),
        )

    def _until_meeting(
        self, resident: Resident, streams: Streams, *masks: Bool[Array, "batch _"]
    ) -> Streams:
        encoded = self._apply(
            resident.params, "encode", streams, *masks, 0, self.meeting
        )
        return encoded[-1]

    def _region_input(self, resident: Resident, batch: RegionBatch) -> ProjectedRegions:
        regions = region_input(self.config, self.image_token, resident.store, batch)
        dtype = self.model.dtype
        return jax.tree.map(
            lambda array: array if array.dtype == bool else array.astype(dtype), regions
        )

    def from_tables(
        self, tables: Tables, places: PlaceBatch, num_words: int
    ) -> Started:
        """Both streams before the meeting; words cut to `num_words` positions."""
        return Started(
            streams=Streams(
                words=tables.words[places.words, :num_words],
                regions=tables.regions[places.regions],
            ),
            text_mask=attended(places.lengths, places.dropped, num_words),
            region_mask=tables.region_mask[places.regions],
            sublayer=self.meeting,
        )

    def from_inputs(
        self, resident: Resident, words: WordBatch, regions: RegionBatch | None
    ) -> Started:
        """Both streams before sublayer 0."""
        text, region = text_input(words), None
        if regions is not None:
            region = self._region_input(resident, regions)
        return Started(
            streams=self._apply(resident.params, "embed", text, region),
            text_mask=text.mask,
            region_mask=None if region is None else region.mask,
            sublayer=0,
        )

    def score_words(
        self, resident: Resident, started: Started, targets: MlmTargets
    ) -> Scores:
        """vis4lang: losses at masked pieces."""
        states = self._target_states(
            resident.params, started, targets.positions, Direction.VIS4LANG
        )
        logits = self._apply(resident.params, "mlm_logits", states)
        count = jnp.arange(targets.labels.shape[1])[None]
        is_target = count < targets.num_targets[:, None]
        return mlm_scores(logits, targets.labels, is_target, self.top)

    def score_regions(
        self, resident: Resident, started: Started, targets: MrcTargets
    ) -> Scores:
        """lang4vis: losses at the masked region."""
        rows = targets.target[:, None] + self.config.first_box
        states = self._target_states(resident.params, started, rows, Direction.LANG4VIS)
        target = self.config.scored_target()
        logits = self._apply(
            resident.params, "region_logits", states[:, 0], target.name
        )
        labels = jax.tree.map(lambda column: column[targets.label], resident.labels)
        return mrc_scores(target, logits, labels, targets.gold, self.top)

    def _target_states(
        self,
        params: Params,
        started: Started,
        positions: Int[Array, "batch targets"],
        direction: Direction,
    ) -> Float[Array, "batch targets hidden"]:
        """Last hidden states at `positions` of the stream that is predicted.

        Up to its last attention a stream is computed in full; from there on, queries
        and all that follows at `positions` only. What only the other stream still
        would need has no user then and is dropped by the compiler.
        """
        streams, masks = started.streams, (started.text_mask, started.region_mask)
        last = last_attention(self.config, direction)
        if last > started.sublayer:
            encoded = self._apply(
                params, "encode", streams, *masks, started.sublayer, last
            )
            streams = encoded[-1]

        def at_positions(states: Array) -> Array:
            return jnp.take_along_axis(states, positions[..., None], axis=1)

        if direction is Direction.VIS4LANG:
            queries = Streams(words=at_positions(streams.words), regions=None)
        else:
            queries = Streams(words=None, regions=at_positions(streams.regions))
        queries = self._apply(params, "run_sublayer", last, queries, streams, *masks)
        for number in range(last + 1, self.config.num_sublayers):
            if number in self.config.ff_sublayers:
                queries = self._apply(
                    params, "run_sublayer", number, queries, queries, *masks
                )
        return queries.words if direction is Direction.VIS4LANG else queries.regions

    def _apply(self, params: Params, method: str, *arguments) -> Any:
        return self.model.apply({"params": params}, *arguments, method=method)


def _placed(table: Array, rows: Array, start: Int[Array, ""]) -> Array:
    """The first positions of rows `start` ... of a table replaced."""
    at = (start,) + (jnp.zeros_like(start),) * (table.ndim - 1)
    return jax.lax.dynamic_update_slice(table, rows, at)


def text_input(words: WordBatch) -> TextInput:
    """Token types are all 0 in the ablations."""
    mask = attended(words.lengths, words.dropped, words.token_ids.shape[1])
    return text_rows(
        Words(token_ids=words.token_ids, mask=mask, shift_starts=words.shift_starts)
    )


def attended(
    lengths: Int[Array, " batch"],
    dropped: Bool[Array, "batch words"] | None,
    num_words: int,
) -> Bool[Array, "batch words"]:
    """Words that are attended to: those that are there and are not dropped."""
    is_there = jnp.arange(num_words)[None] < lengths[:, None]
    return is_there if dropped is None else is_there & ~dropped


def last_attention(config: ModelConfig, direction: Direction) -> int:
    """The last sublayer whose attention updates the stream that is predicted."""
    if direction is Direction.VIS4LANG:
        return max(config.tt_attn_sublayers + config.tv_attn_sublayers)
    return max(config.vt_attn_sublayers + config.vv_attn_sublayers)
