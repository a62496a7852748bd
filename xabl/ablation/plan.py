"""What there is to compute, before anything is computed.

Many (example, condition) pairs put the same inputs into the model: neighbouring
thresholds select the same regions, mentions of one thing in several captions share
region inputs, "every word masked" depends on the length of a caption alone. The plan
holds every distinct word input, region input and scored pair of them once, and knows
which (example, condition) each scored pair answers. What these inputs and pairs hold is
in `distinct_inputs`.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int16, Int32, Shaped

from xabl.ablation import overlap
from xabl.ablation.definition import hidden_regions, hidden_words
from xabl.ablation.distinct_inputs import (
    NOT_SCORED,
    Distinct,
    MlmPairKey,
    MlmPairs,
    MrcPairKey,
    MrcPairs,
    RegionInputKey,
    RegionInputs,
    TargetClasses,
    TargetKey,
    WordInputKey,
    WordInputs,
    mlm_pairs,
    mrc_pairs,
    region_inputs,
    target_classes,
    word_inputs,
)
from xabl.ablation.examples import PhraseExample
from xabl.ablation.options import VlBertPositions
from xabl.ablation.replacement import (
    Donors,
    Fill,
    RegionsInstead,
    regions_instead,
    words_instead,
)
from xabl.data.regions.image_regions import StackedRegions
from xabl.errors import UserError
from xabl.results.conditions import Condition, Direction, Level
from xabl.support.image_ids import canonical_id

NO_REGIONS = "image without regions"
NO_TARGET = "no target region"
CUT_OFF = "phrase cut off"
NONE_STAYS = "all regions dropped"  # of a model that needs one


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """All distinct inputs, and where their scores belong.

    pair: number of the scored pair, among `mlm` or `mrc` by the condition's
        direction, of each example and condition; `NOT_SCORED` where excluded.
    excluded: why, as an index into `reasons`; -1 where scored.
    ablated_regions: number of regions ablated (vis4lang), -1 elsewhere.
    target: row of `targets` of each example; -1 without target region.
    """

    examples: tuple[PhraseExample, ...]
    conditions: tuple[Condition, ...]
    words: WordInputs
    regions: RegionInputs
    mlm: MlmPairs
    mrc: MrcPairs
    targets: TargetClasses
    pair: Int32[np.ndarray, "examples conditions"]
    excluded: Int16[np.ndarray, "examples conditions"]
    ablated_regions: Int16[np.ndarray, "examples conditions"]
    target: Int32[np.ndarray, " examples"]
    reasons: tuple[str, ...] = (NO_REGIONS, NO_TARGET, CUT_OFF, NONE_STAYS)

    @property
    def num_scored(self) -> int:
        """Scored inputs of the naive way: every example under every condition."""
        return int((self.pair != NOT_SCORED).sum())

    def columns(self, direction: Direction) -> list[int]:
        """Which conditions are of `direction`."""
        return [
            column
            for column, condition in enumerate(self.conditions)
            if condition.direction is direction
        ]

    def scatter(
        self, direction: Direction, scores: Shaped[np.ndarray, " pairs"]
    ) -> Float32[np.ndarray, "examples conditions"]:
        """Scores of the pairs of `direction`, given back to all that share them.

        NaN where excluded and in the columns of the other direction.
        """
        padded = np.append(scores.astype(np.float32), np.float32(np.nan))
        result = np.full(self.pair.shape, np.nan, np.float32)
        columns = self.columns(direction)
        result[:, columns] = padded[self.pair[:, columns]]
        return result

    def example_of(self, direction: Direction, pair: int) -> tuple[int, int]:
        """The first (example, condition) that a scored pair answers."""
        columns = self.columns(direction)
        rows, found = np.nonzero(self.pair[:, columns] == pair)
        return int(rows[0]), columns[int(found[0])]


def build_plan(
    examples: Sequence[PhraseExample],
    regions: StackedRegions | None,
    conditions: Sequence[Condition],
    *,
    mask_id: int,
    vlbert_positions: VlBertPositions | None = None,
    gold_labels: Sequence[int | None] | None = None,
    donors: Donors | None = None,
    needs_regions: bool = False,
) -> Plan:
    """Finds the distinct inputs of `examples` under `conditions`.

    Args:
        examples: all or some of a split, in any order.
        regions: of their images; None for a text-only model.
        conditions: for a text-only model vis4lang's `none` alone.
        mask_id: the vocabulary's [MASK].
        vlbert_positions: for VL-BERT; other models do not read positions' shifts.
        gold_labels: by example number, a class in the detector's 1601 or None.
        donors: of the whole split; needed where regions of another image or words of
            another caption stand in.
        needs_regions: see `ModelConfig.needs_regions`.

    Raises:
        UserError: the split has no other image or caption that could stand in.
    """
    builder = _Builder(
        regions=regions,
        conditions=tuple(conditions),
        mask_id=mask_id,
        vlbert_positions=vlbert_positions,
        donors=donors or Donors(),
        needs_regions=needs_regions,
    )
    for example in examples:
        gold = None if gold_labels is None else gold_labels[example.number]
        builder.add(example, -1 if gold is None else gold)
    return builder.plan(tuple(examples))


class _Ablated(NamedTuple):
    """The regions of an image under a condition of vis4lang.

    region: number of the region input.
    count: how many are ablated.
    none_stays: whether all are dropped.
    """

    region: int = NOT_SCORED
    count: int = -1
    none_stays: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Mentioned:
    """Something in an image that phrases mention: what its mentions have in common.

    ablated: vis4lang, by condition.
    masked_input: lang4vis: the region input; None when no region shows the thing.
    target: lang4vis: the region whose class is asked for.
    target_row: of that region among the plan's targets.
    """

    ablated: dict[Condition, _Ablated]
    masked_input: int | None = None
    target: int = NOT_SCORED
    target_row: int = NOT_SCORED


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Outcome:
    """Of one example under one condition: a scored pair, or why there is none."""

    pair: int = NOT_SCORED
    excluded: str | None = None
    ablated_regions: int = -1


class _Builder:
    def __init__(
        self,
        *,
        regions: StackedRegions | None,
        conditions: tuple[Condition, ...],
        mask_id: int,
        vlbert_positions: VlBertPositions | None,
        donors: Donors,
        needs_regions: bool,
    ):
        self._regions, self._conditions = regions, conditions
        self._mask_id, self._vlbert_positions = mask_id, vlbert_positions
        self._donors, self._needs_regions = donors, needs_regions
        self._row = {} if regions is None else regions.rows
        self._word_inputs = Distinct[WordInputKey]()
        self._region_inputs = Distinct[RegionInputKey]()
        self._mlm, self._mrc = Distinct[MlmPairKey](), Distinct[MrcPairKey]()
        self._targets = Distinct[TargetKey]()
        self._mentioned: dict[tuple[int, bytes], _Mentioned] = {}
        self._outcomes: list[list[_Outcome]] = []  # by example, by condition
        self._target_rows: list[int] = []  # by example

    def add(self, example: PhraseExample, gold: int) -> None:
        """Adds one example under every condition.

        Args:
            gold: its gold class, -1 without one.
        """
        mentioned = self._find(example)
        # One condition after the other asks for it. Kept in `self` it would be a circle
        # that keeps the classes of all regions until Python looks for such.
        masked = functools.cache(lambda: self._phrase_masked(example))
        outcomes = []
        for condition in self._conditions:
            if mentioned is None and self._regions is not None:
                outcomes.append(_Outcome(excluded=NO_REGIONS))
            elif condition.direction is Direction.VIS4LANG:
                outcomes.append(self._vis4lang(example, mentioned, condition, masked))
            else:
                outcomes.append(self._lang4vis(example, mentioned, condition, gold))
        self._outcomes.append(outcomes)
        self._target_rows.append(mentioned.target_row if mentioned else NOT_SCORED)

    def _vis4lang(
        self,
        example: PhraseExample,
        mentioned: _Mentioned | None,
        condition: Condition,
        masked: Callable[[], MlmPairKey],
    ) -> _Outcome:
        """Predict the words of the phrase, from regions of which some are ablated."""
        ablated = _Ablated() if mentioned is None else mentioned.ablated[condition]
        if not len(example.pieces):
            return _Outcome(excluded=CUT_OFF, ablated_regions=ablated.count)
        if self._needs_regions and ablated.none_stays:
            return _Outcome(excluded=NONE_STAYS, ablated_regions=ablated.count)
        pair = masked()._replace(region=ablated.region)
        return _Outcome(pair=self._mlm.number(pair), ablated_regions=ablated.count)

    def _phrase_masked(self, example: PhraseExample) -> MlmPairKey:
        """A pair without its regions: the words are the same whatever these are."""
        intact = Condition(direction=Direction.VIS4LANG, level=Level.NONE)
        return MlmPairKey(
            word=self._word_input(example, intact),
            region=NOT_SCORED,
            positions=example.pieces.tobytes(),
            labels=example.token_ids[example.pieces].tobytes(),
        )

    def _lang4vis(
        self,
        example: PhraseExample,
        mentioned: _Mentioned,
        condition: Condition,
        gold: int,
    ) -> _Outcome:
        """Predict the class of the target region, with some words ablated."""
        if mentioned.masked_input is None:
            return _Outcome(excluded=NO_TARGET)
        if condition.level is Level.PHRASE and not len(example.pieces):
            return _Outcome(excluded=CUT_OFF)
        pair = MrcPairKey(
            word=self._word_input(example, condition),
            region=mentioned.masked_input,
            target=mentioned.target,
            label=mentioned.target_row,
            gold=gold,
        )
        return _Outcome(pair=self._mrc.number(pair))

    def _word_input(self, example: PhraseExample, condition: Condition) -> int:
        token_ids = example.token_ids.copy()
        dropped = np.zeros(len(token_ids), bool)
        hidden = hidden_words(example, condition)
        instead = words_instead(condition, self._donors, example, self._mask_id)
        token_ids[hidden], dropped[hidden] = instead.pieces, not instead.attended
        shift = length = len(token_ids)
        if self._vlbert_positions is VlBertPositions.REFERENCE_BATCH:
            # A shift from the first padding position on moves no word.
            shift = min(example.reference_shift_start, length)
        return self._word_inputs.number(
            WordInputKey(
                token_ids=token_ids.tobytes(),
                shift_start=shift,
                dropped=dropped.tobytes(),
            )
        )

    def _find(self, example: PhraseExample) -> _Mentioned | None:
        """What a phrase mentions; None when its image has no regions here."""
        row = self._row.get(canonical_id(example.image_id))
        if row is None:
            return None
        key = (row, example.boxes.tobytes())
        if key not in self._mentioned:
            self._mentioned[key] = self._mention(row, example.boxes)
        return self._mentioned[key]

    def _mention(self, row: int, boxes: Float32[np.ndarray, "boxes 4"]) -> _Mentioned:
        count, width = int(self._regions.num_boxes[row]), self._regions.boxes.shape[1]
        found = self._regions.boxes[row, :count].astype(np.float64)
        coverage = overlap.coverage(found, boxes)

        def region_input(
            condition: Condition, hidden: Bool[np.ndarray, " boxes"]
        ) -> _Ablated:
            instead = RegionsInstead(fill=Fill.AVERAGE)  # where nothing is hidden
            if hidden.any():
                instead = regions_instead(condition, self._donors, row)
            key = RegionInputKey(
                image=row,
                fill=instead.fill,
                donor=instead.donor,
                ablated=np.pad(hidden, (0, width - count)).tobytes(),
            )
            return _Ablated(
                region=self._region_inputs.number(key),
                count=int(hidden.sum()),
                none_stays=instead.fill is Fill.DROP and bool(hidden.all()),
            )

        ablated, asked_region = {}, None
        for condition in self._conditions:
            if condition.direction is Direction.VIS4LANG:
                hidden = hidden_regions(coverage, condition)
                ablated[condition] = region_input(condition, hidden)
            else:
                asked_region = condition
        masked, target = overlap.target_region(found, boxes)
        if target is None or asked_region is None:
            return _Mentioned(ablated=ablated)
        return _Mentioned(
            ablated=ablated,
            masked_input=region_input(asked_region, masked).region,
            target=target,
            target_row=self._targets.number(TargetKey(image=row, region=target)),
        )

    def plan(self, examples: tuple[PhraseExample, ...]) -> Plan:
        shape = (len(examples), len(self._conditions))
        boxes = 0 if self._regions is None else self._regions.boxes.shape[1]

        def table(dtype: type, of: Callable[[_Outcome], int]) -> np.ndarray:
            values = [[of(outcome) for outcome in row] for row in self._outcomes]
            return np.array(values, dtype).reshape(shape)

        number = {None: -1, **{reason: n for n, reason in enumerate(Plan.reasons)}}
        return Plan(
            examples=examples,
            conditions=self._conditions,
            words=word_inputs(self._word_inputs),
            regions=region_inputs(self._region_inputs, boxes),
            mlm=mlm_pairs(self._mlm),
            mrc=mrc_pairs(self._mrc),
            targets=target_classes(self._targets, self._regions),
            pair=table(np.int32, lambda outcome: outcome.pair),
            excluded=table(np.int16, lambda outcome: number[outcome.excluded]),
            ablated_regions=table(np.int16, lambda outcome: outcome.ablated_regions),
            target=np.array(self._target_rows, np.int32),
        )


def check_scorable(plan: Plan) -> None:
    """Refuses a plan that scores nothing.

    Raises:
        UserError: says why every example is excluded.
    """
    if plan.num_scored:
        return
    if not plan.examples:
        raise UserError(
            "no examples left: no phrase of the chosen captions has a box in its image"
        )
    counts = np.bincount(plan.excluded.ravel(), minlength=len(plan.reasons))
    reasons = (
        f"{reason}: {count}"
        for reason, count in zip(plan.reasons, counts, strict=True)
        if count
    )
    raise UserError(
        f"no examples left: all {len(plan.examples)} are excluded under every "
        f"condition ({', '.join(reasons)}, counted by example and condition)"
    )
