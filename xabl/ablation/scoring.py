"""Scoring functions: from indices and masks to losses, compiled, on one device.

The masks are applied on the device. Heads see target positions only, and in the last
sublayers only what reaches a target is computed.
"""

import dataclasses
import enum
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from xabl.ablation.conditions import Direction
from xabl.ablation.device_regions import (
    ImageToken,
    RegionBatch,
    RegionStore,
    region_input,
)
from xabl.ablation.losses import (
    SCORED_OBJECTIVES,
    RegionLabels,
    Scores,
    mlm_scores,
    mrc_scores,
)
from xabl.errors import UserError
from xabl.models.config import GlobalImage, ModelConfig
from xabl.models.model import VisionLanguageBert
from xabl.models.structs import Streams, TextInput
from xabl.types import pytree

Params = dict[str, Any]


class Precision(enum.StrEnum):
    """How matrix products are computed."""

    HIGHEST = "highest"  # float32: equals the published numbers
    DEFAULT = "default"  # the platform's fast way with float32 inputs, e.g. TF32
    BFLOAT16 = "bfloat16"  # softmax, LayerNorm and losses stay float32


@pytree
class WordBatch:
    """Word inputs as a step ships them; see `WordInputs`."""

    token_ids: Int[Array, "batch words"]
    lengths: Int[Array, " batch"]
    shift_starts: Int[Array, " batch"]


@pytree
class MlmTargets:
    """Masked pieces: their positions and what stood there."""

    positions: Int[Array, "batch targets"]
    labels: Int[Array, "batch targets"]
    num_targets: Int[Array, " batch"]


@pytree
class MrcTargets:
    """Masked regions: which among the boxes, row of the label table, gold class."""

    target: Int[Array, " batch"]
    label: Int[Array, " batch"]
    gold: Int[Array, " batch"]


@pytree
class LabelTable:
    """The columns of `TargetClasses` that losses read, on the device."""

    objects_id: Int[Array, " labels"]
    objects_conf: Float[Array, " labels"]
    cls_prob: Float[Array, "labels classes"] | None


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
        return VisionLanguageBert(self.config, precision=self.precision.value)

    def embed(
        self,
        params: Params,
        store: RegionStore | None,
        words: WordBatch,
        regions: RegionBatch | None,
    ) -> tuple[Streams, Bool[Array, "batch words"], Array | None]:
        """Both streams before sublayer 0, and which of their positions are real."""
        text = text_input(words)
        if regions is None:
            streams = self._apply(params, "embed", text, None)
            return streams, text.mask, None
        region = region_input(self.config, self.image_token, store, regions)
        return self._apply(params, "embed", text, region), text.mask, region.mask

    def score_words(
        self,
        params: Params,
        embedded: tuple[Streams, Array, Array | None],
        targets: MlmTargets,
        start: int = 0,
    ) -> Scores:
        """vis4lang: losses at masked pieces, given the streams before `start`."""
        states = self._target_states(
            params, embedded, targets.positions, start, Direction.VIS4LANG
        )
        logits = self._apply(params, "mlm_logits", states)
        count = jnp.arange(targets.labels.shape[1])[None]
        is_target = count < targets.num_targets[:, None]
        return mlm_scores(logits, targets.labels, is_target, self.top)

    def score_regions(
        self,
        params: Params,
        embedded: tuple[Streams, Array, Array | None],
        targets: MrcTargets,
        table: LabelTable,
        start: int = 0,
    ) -> Scores:
        """lang4vis: losses at the masked region, given the streams before `start`."""
        first = self.config.add_global_imgfeat is GlobalImage.FIRST
        rows = targets.target[:, None] + int(first)
        states = self._target_states(params, embedded, rows, start, Direction.LANG4VIS)
        objective = scored_objective(self.config)
        logits = self._apply(params, "region_logits", states[:, 0], objective)
        labels = RegionLabels(
            objects_id=table.objects_id[targets.label],
            objects_conf=table.objects_conf[targets.label],
            gold=targets.gold,
            cls_prob=None if table.cls_prob is None else table.cls_prob[targets.label],
        )
        return mrc_scores(objective, logits, labels, self.top)

    def _target_states(
        self,
        params: Params,
        embedded: tuple[Streams, Array, Array | None],
        positions: Int[Array, "batch targets"],
        start: int,
        direction: Direction,
    ) -> Float[Array, "batch targets hidden"]:
        """Last hidden states at `positions` of the stream that is predicted.

        Up to its last attention a stream is computed in full; from there on, queries
        and all that follows at `positions` only. What only the other stream still
        would need has no user then and is dropped by the compiler.
        """
        streams, text_mask, region_mask = embedded
        last = last_attention(self.config, direction)
        if last > start:
            encoded = self._apply(
                params, "encode", streams, text_mask, region_mask, start, last
            )
            streams = encoded[-1]

        def at_positions(states: Array) -> Array:
            return jnp.take_along_axis(states, positions[..., None], axis=1)

        if direction is Direction.VIS4LANG:
            queries = Streams(words=at_positions(streams.words), regions=None)
        else:
            queries = Streams(words=None, regions=at_positions(streams.regions))
        masks = (text_mask, region_mask)
        queries = self._apply(params, "run_sublayer", last, queries, streams, *masks)
        for number in range(last + 1, self.config.num_sublayers):
            if number in self.config.ff_sublayers:
                queries = self._apply(
                    params, "run_sublayer", number, queries, queries, *masks
                )
        return queries.words if direction is Direction.VIS4LANG else queries.regions

    def _apply(self, params: Params, method: str, *arguments) -> Any:
        return self.model.apply({"params": params}, *arguments, method=method)


def text_input(words: WordBatch) -> TextInput:
    """Token types are all 0 in the ablations."""
    positions = jnp.arange(words.token_ids.shape[1])[None]
    return TextInput(
        token_ids=words.token_ids,
        mask=positions < words.lengths[:, None],
        token_type_ids=jnp.zeros_like(words.token_ids),
        position_shift_start=words.shift_starts,
    )


def last_attention(config: ModelConfig, direction: Direction) -> int:
    """The last sublayer whose attention updates the stream that is predicted."""
    if direction is Direction.VIS4LANG:
        return max(config.tt_attn_sublayers + config.tv_attn_sublayers)
    return max(config.vt_attn_sublayers + config.vv_attn_sublayers)


def scored_objective(config: ModelConfig) -> str:
    """The visual target that lang4vis measures: the configuration's first.

    Raises:
        UserError: the model predicts no classes of regions.
    """
    if config.text_only:
        raise UserError(
            f"model {config.name} reads words alone, so there is no lang4vis for it; "
            "use --directions=vis4lang"
        )
    if not config.visual_targets:
        raise UserError(
            f"model {config.name} was trained without a visual target and cannot "
            "predict the classes of regions, so there is no lang4vis for it; use "
            "--directions=vis4lang"
        )
    objective = config.visual_targets[0]
    if objective not in SCORED_OBJECTIVES:
        raise UserError(
            f'model {config.name}: its first visual target is "{objective}", which '
            "predicts no object class, so there is no lang4vis for it; use "
            "--directions=vis4lang"
        )
    return objective
