"""What there is to compute, before anything is computed.

Many (example, condition) pairs put the same inputs into the model: neighbouring
thresholds select the same regions, mentions of one thing in several captions share
region inputs, "every word masked" depends on the length of a caption alone. The plan
holds every distinct word input, region input and scored pair of them once, and knows
which (example, condition) each scored pair answers.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int16, Int32, Int64, Shaped

from xabl.ablation import overlap
from xabl.ablation.distinct_inputs import (
    NOT_SCORED,
    Fill,
    MlmPairs,
    MrcPairs,
    RegionInputs,
    TargetClasses,
    WordInputs,
)
from xabl.ablation.examples import PhraseExample, VlBertPositions
from xabl.data.regions.image_regions import StackedRegions, canonical_id
from xabl.errors import UserError
from xabl.results.conditions import Condition, Direction, Level

NO_REGIONS = "image without regions"
NO_TARGET = "no target region"
CUT_OFF = "phrase cut off"


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
    reasons: tuple[str, ...] = (NO_REGIONS, NO_TARGET, CUT_OFF)

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
) -> Plan:
    """Finds the distinct inputs of `examples` under `conditions`.

    Args:
        examples: all or some of a split, in any order.
        regions: of their images; None for a text-only model.
        conditions: for a text-only model vis4lang's `none` alone.
        mask_id: the vocabulary's [MASK].
        vlbert_positions: for VL-BERT; other models do not read positions' shifts.
        gold_labels: by example number, a class in the detector's 1601 or None.
    """
    builder = _Builder(regions, tuple(conditions), mask_id, vlbert_positions)
    for example in examples:
        gold = None if gold_labels is None else gold_labels[example.number]
        builder.add(example, -1 if gold is None else gold)
    return builder.plan(tuple(examples))


class _Numbering:
    """Numbers distinct keys from 0 in the order they are first seen."""

    def __init__(self):
        self.numbers: dict = {}

    def __call__(self, *key) -> int:
        return self.numbers.setdefault(key, len(self.numbers))

    def columns(self, count: int) -> tuple[tuple, ...]:
        """The keys' parts, each as a tuple over all keys."""
        return tuple(zip(*self.numbers, strict=True)) or ((),) * count


class _Builder:
    def __init__(self, regions, conditions, mask_id, vlbert_positions):
        self.regions, self.conditions = regions, conditions
        self.mask_id, self.vlbert_positions = mask_id, vlbert_positions
        self.row = {}
        if regions is not None:
            self.row = {canonical_id(i): n for n, i in enumerate(regions.image_ids)}
        self.word_inputs, self.region_inputs = _Numbering(), _Numbering()
        self.mlm, self.mrc, self.targets = _Numbering(), _Numbering(), _Numbering()
        self.things: dict = {}  # (image row, boxes): its region inputs and target
        self.pair, self.excluded, self.ablated, self.target = [], [], [], []

    def add(self, example: PhraseExample, gold: int) -> None:
        """Adds one example under every condition."""
        row = self.row.get(canonical_id(example.image_id))
        if self.regions is not None and row is None:
            self._append(example, None, lambda _: NO_REGIONS)
            return
        thing = None if row is None else self._thing(row, example.boxes)

        def scored(column: int) -> int | str:
            condition = self.conditions[column]
            if condition.direction is Direction.VIS4LANG:
                return self._mlm_pair(example, thing, column)
            return self._mrc_pair(example, thing, condition.level, gold)

        self._append(example, thing, scored)

    def _append(self, example, thing, scored) -> None:
        outcomes = [scored(column) for column in range(len(self.conditions))]
        reasons = Plan.reasons
        self.pair.append(
            [NOT_SCORED if isinstance(value, str) else value for value in outcomes]
        )
        self.excluded.append(
            [reasons.index(v) if isinstance(v, str) else -1 for v in outcomes]
        )
        self.ablated.append(thing.ablated if thing else [-1] * len(self.conditions))
        self.target.append(thing.target_row if thing else -1)

    def _thing(self, row: int, boxes: np.ndarray) -> "_Thing":
        """The region inputs of what a phrase mentions; its other mentions share it."""
        key = (row, boxes.tobytes())
        if key in self.things:
            return self.things[key]
        region_boxes = self.regions.boxes[row].astype(np.float64)
        real = np.arange(len(region_boxes)) < self.regions.num_boxes[row]
        coverage = np.where(real, overlap.coverage(region_boxes, boxes), -1.0)
        inputs, ablated = [], []
        for condition in self.conditions:
            if condition.direction is Direction.LANG4VIS:
                inputs.append(None)
                ablated.append(-1)
                continue
            selected = {
                Level.NONE: np.zeros_like(real),
                Level.ALL: real,
            }.get(condition.level)
            if selected is None:
                selected = coverage > condition.threshold
            inputs.append(self.region_inputs(row, Fill.AVERAGE, selected.tobytes()))
            ablated.append(int(selected.sum()))
        count = int(self.regions.num_boxes[row])
        masked, target = overlap.target_region(region_boxes[:count], boxes)
        masked_input, target_row = None, -1
        if target is not None and any(number is None for number in inputs):
            masked = np.pad(masked, (0, len(real) - count))
            masked_input = self.region_inputs(row, Fill.ZERO, masked.tobytes())
            target_row = self.targets(row, target)
        self.things[key] = _Thing(
            inputs=inputs,
            ablated=ablated,
            masked_input=masked_input,
            target=target,
            target_row=target_row,
        )
        return self.things[key]

    def _word_input(self, example: PhraseExample, masked: np.ndarray) -> int:
        token_ids = example.token_ids.copy()
        token_ids[masked] = self.mask_id
        shift = length = len(token_ids)
        if self.vlbert_positions is VlBertPositions.REFERENCE_BATCH:
            # A shift from the first padding position on moves no word.
            shift = min(example.reference_shift_start, length)
        return self.word_inputs(token_ids.tobytes(), shift)

    def _mlm_pair(self, example, thing, column: int) -> int | str:
        if not len(example.pieces):
            return CUT_OFF
        labels = example.token_ids[example.pieces]
        return self.mlm(
            self._word_input(example, example.pieces),
            thing.inputs[column] if thing else NOT_SCORED,
            example.pieces.tobytes(),
            labels.tobytes(),
        )

    def _mrc_pair(self, example, thing, level: Level, gold: int) -> int | str:
        if thing.masked_input is None:
            return NO_TARGET
        if level is Level.PHRASE and not len(example.pieces):
            return CUT_OFF
        masked = {
            Level.NONE: np.zeros(0, np.int64),
            Level.PHRASE: example.pieces,
            Level.ALL: np.arange(1, len(example.token_ids) - 1),
        }[level]
        return self.mrc(
            self._word_input(example, masked),
            thing.masked_input,
            thing.target,
            thing.target_row,
            gold,
        )

    def plan(self, examples: tuple[PhraseExample, ...]) -> Plan:
        shape = (len(examples), len(self.conditions))
        return Plan(
            examples=examples,
            conditions=self.conditions,
            words=self._words(),
            regions=self._regions(),
            mlm=self._mlm(),
            mrc=MrcPairs(
                **{
                    name: np.array(values, np.int32)
                    for name, values in zip(
                        ("word", "region", "target", "label", "gold"),
                        self.mrc.columns(5),
                        strict=True,
                    )
                }
            ),
            targets=self._target_classes(),
            pair=np.array(self.pair, np.int32).reshape(shape),
            excluded=np.array(self.excluded, np.int16).reshape(shape),
            ablated_regions=np.array(self.ablated, np.int16).reshape(shape),
            target=np.array(self.target, np.int32),
        )

    def _words(self) -> WordInputs:
        token_bytes, shifts = self.word_inputs.columns(2)
        token_ids, lengths = _padded(token_bytes, np.int32)
        return WordInputs(
            token_ids=token_ids,
            lengths=lengths,
            shift_starts=np.array(shifts, np.int32),
        )

    def _regions(self) -> RegionInputs:
        image, fill, ablated = self.region_inputs.columns(3)
        boxes = 0 if self.regions is None else self.regions.boxes.shape[1]
        return RegionInputs(
            image=np.array(image, np.int32),
            fill=np.array(fill, np.int32),
            ablated=np.frombuffer(b"".join(ablated), bool).reshape(len(image), boxes),
        )

    def _mlm(self) -> MlmPairs:
        word, region, positions, labels = self.mlm.columns(4)
        positions, num_targets = _padded(positions, np.int64)
        return MlmPairs(
            word=np.array(word, np.int32),
            region=np.array(region, np.int32),
            positions=positions.astype(np.int32),
            labels=_padded(labels, np.int32)[0],
            num_targets=num_targets,
        )

    def _target_classes(self) -> TargetClasses:
        image, region = (np.array(c, np.int32) for c in self.targets.columns(2))
        if not len(image):
            empty = np.zeros(0, np.int32)
            return TargetClasses(
                image=empty,
                region=empty,
                objects_id=empty,
                objects_conf=np.zeros(0, np.float32),
                silver=empty,
                cls_prob=None,
            )
        ids = self.regions.objects_id[image, region].astype(np.int32)
        cls_prob = None
        if self.regions.cls_prob is not None:
            cls_prob = self.regions.cls_prob[image, region]
        return TargetClasses(
            image=image,
            region=region,
            objects_id=ids,
            objects_conf=self.regions.objects_conf[image, region],
            silver=ids + 1
            if cls_prob is None
            else cls_prob.argmax(axis=1).astype(np.int32),
            cls_prob=cls_prob,
        )


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Thing:
    """inputs, ablated: by condition (vis4lang's); the rest is lang4vis's."""

    inputs: list[int | None]
    ablated: list[int]
    masked_input: int | None
    target: int | None
    target_row: int


def _padded(
    rows: Sequence[bytes], dtype: type
) -> tuple[
    Int32[np.ndarray, "_ _"] | Int64[np.ndarray, "_ _"], Int32[np.ndarray, " _"]
]:
    """Arrays given as bytes, padded with zeros to the longest; and their lengths."""
    arrays = [np.frombuffer(row, dtype) for row in rows]
    lengths = np.array([len(array) for array in arrays], np.int32)
    result = np.zeros((len(arrays), int(lengths.max(initial=0))), dtype)
    for number, array in enumerate(arrays):
        result[number, : len(array)] = array
    return result, lengths


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
