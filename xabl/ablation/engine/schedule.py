"""The plan cut into steps of a few fixed shapes, for one device or several.

Inputs of similar length share a batch, so that little padding is computed: a batch is
padded to the smallest of a handful of sizes that holds its longest input. The sizes are
chosen from the plan.

Where the streams of a model run apart before they first meet, that part is computed
once for every distinct word input and region input and kept in tables on the device.
The tables are as large as memory allows; the plan is worked off in segments whose
inputs fit into them. Where much is computed for a region input, a segment is whole
images, which share region inputs. Where nothing is computed for one, a segment is
captions of about one length: then each word input is computed once, and few programs
are in use at a time.
"""

import dataclasses
import functools
from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Int, Int64

from xabl.ablation.distinct_inputs import NOT_SCORED
from xabl.ablation.engine.padding import PaddedSizes, ProgramLimits, allotted_sizes
from xabl.ablation.engine.pair_scores import pairs_of
from xabl.ablation.plan import Plan
from xabl.results.conditions import Direction

# Word inputs of tables: a small part of the arithmetic, so a few sizes do.
_WORD_TABLE_SIZES = 4

EMPTY = NOT_SCORED  # a place in a batch that is not filled


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shape:
    """Of one program: the direction, and positions of words and targets it holds."""

    direction: Direction
    words: int
    targets: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableShape:
    """Of a program that fills a table: word positions, or None for regions."""

    words: int | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableSizes:
    """How many word inputs and region inputs a device's tables hold."""

    words: int
    regions: int


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TableStep:
    """Fills places `start` ... of a table with a batch of word or region inputs.

    inputs: numbers of inputs, `EMPTY` where a batch is not full.
    """

    shape: TableShape
    start: int
    inputs: Int64[np.ndarray, "devices batch"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ScoreStep:
    """One batch of pairs on every device.

    pairs: numbers of scored pairs; `EMPTY` where a batch is not full. Such a place
        computes something all the same, with weight 0: nobody reads it.
    word_places, region_places: where a pair's inputs are in the tables; None without
        tables.
    """

    shape: Shape
    pairs: Int64[np.ndarray, "devices batch"]
    word_places: Int64[np.ndarray, "devices batch"] | None
    region_places: Int64[np.ndarray, "devices batch"] | None


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Share:
    """One device's part of a segment: pairs by direction, and the inputs they need.

    words, regions: distinct numbers in the order of their places in the tables.
    """

    pairs: dict[Direction, Int64[np.ndarray, " pairs"]]
    words: Int64[np.ndarray, " words"]
    regions: Int64[np.ndarray, " regions"]


class Schedule:
    """Steps that score every pair of a plan that is not done, once each."""

    def __init__(
        self,
        plan: Plan,
        *,
        devices: int,
        batch_size: int,
        limits: ProgramLimits,
        tables: TableSizes | None = None,
        by_length: bool = False,
        done: dict[Direction, Bool[np.ndarray, " pairs"]] | None = None,
        part_of: Plan | None = None,
    ):
        """Plans the steps.

        Args:
            batch_size: pairs, or inputs of a table, of one step on one device.
            limits: of the programs to compile.
            tables: what a device's tables hold; None where the streams of a model
                meet from the beginning.
            by_length: whether segments of tables are captions of about one length, or
                whole images.
            done: by direction, pairs that have their scores already.
            part_of: the plan with the same inputs whose sizes and tables these pairs
                take too, so that programs are shared.
        """
        self.plan, self.devices, self.batch_size = plan, devices, batch_size
        whole = plan if part_of is None else part_of
        left = _all_pairs(plan)
        if done is not None:
            left = {direction: p[~done[direction]] for direction, p in left.items()}
        sizes = {d: (_lengths(whole, d), _num_targets(whole, d)) for d in Direction}
        self._sizes = PaddedSizes(
            {d: of_pairs for d, of_pairs in sizes.items() if len(of_pairs[0])},
            limits,
        )
        (self._table_words,) = allotted_sizes(
            [plan.words.lengths], _WORD_TABLE_SIZES, limits.worth
        )
        self.tables = tables
        if tables is not None:
            groups = list(_groups(plan, left, by_length))
            largest = groups
            if part_of is not None:
                largest = list(_groups(whole, _all_pairs(whole), by_length))
            self.tables = _enough(tables, plan, largest, batch_size)
            segments = list(_segments(plan, groups, devices, self.tables))
        else:
            nothing = np.zeros(0, np.int64)
            dealt = [
                {d: self._ordered(d, p)[number::devices] for d, p in left.items()}
                for number in range(devices)
            ]
            segments = [
                [_Share(pairs=p, words=nothing, regions=nothing) for p in dealt]
            ]
        self.steps: list[TableStep | ScoreStep] = [
            step for shares in segments for step in self._segment_steps(shares)
        ]

    @functools.cached_property
    def first(self) -> dict[Shape | TableShape, TableStep | ScoreStep]:
        """The first step of every shape, in their order."""
        found = {}
        for step in self.steps:
            found.setdefault(step.shape, step)
        return found

    @property
    def shapes(self) -> tuple[Shape | TableShape, ...]:
        """The distinct shapes, in the order they are needed."""
        return tuple(self.first)

    def _ordered(self, direction: Direction, pairs: np.ndarray) -> np.ndarray:
        """Pairs sorted so that similar ones share a batch."""
        if not len(pairs):
            return pairs
        lengths = _lengths(self.plan, direction)[pairs]
        targets = _num_targets(self.plan, direction)[pairs]
        return pairs[self._sizes.order(direction, lengths, targets)]

    def _segment_steps(self, shares: list[_Share]) -> Iterator[TableStep | ScoreStep]:
        if self.tables is not None:
            yield from self._word_steps([share.words for share in shares])
            yield from self._region_steps([share.regions for share in shares])
        for direction in Direction:
            pairs = [
                self._ordered(direction, share.pairs[direction]) for share in shares
            ]
            for batch in self._batches(pairs):
                yield self._score_step(direction, batch, shares)

    def _word_steps(self, inputs: list[np.ndarray]) -> Iterator[TableStep]:
        sizes = self._table_words
        for number, batch in enumerate(self._batches(inputs)):
            longest = self.plan.words.lengths[batch[batch != EMPTY]].max()
            yield TableStep(
                shape=TableShape(words=int(sizes[np.searchsorted(sizes, longest)])),
                start=number * self.batch_size,
                inputs=batch,
            )

    def _region_steps(self, inputs: list[np.ndarray]) -> Iterator[TableStep]:
        for number, batch in enumerate(self._batches(inputs)):
            yield TableStep(
                shape=TableShape(words=None),
                start=number * self.batch_size,
                inputs=batch,
            )

    def _score_step(
        self, direction: Direction, batch: np.ndarray, shares: list[_Share]
    ) -> ScoreStep:
        pairs = batch[batch != EMPTY]
        lengths = _lengths(self.plan, direction)[pairs]
        targets = _num_targets(self.plan, direction)[pairs]
        words, count = self._sizes.enclosing(direction, lengths, targets)
        word_places = region_places = None
        if self.tables is not None:
            table = pairs_of(self.plan, direction)
            word_places = _places(batch, table.word, [s.words for s in shares])
            region_places = _places(batch, table.region, [s.regions for s in shares])
        return ScoreStep(
            shape=Shape(direction=direction, words=words, targets=count),
            pairs=batch,
            word_places=word_places,
            region_places=region_places,
        )

    def _batches(
        self, numbers: list[np.ndarray]
    ) -> Iterator[Int64[np.ndarray, "devices batch"]]:
        """Every device's numbers in batches, as many as the one with most needs."""
        size = self.batch_size
        count = -(-max(len(of_device) for of_device in numbers) // size)
        filled = np.full((self.devices, count * size), EMPTY, np.int64)
        for row, of_device in zip(filled, numbers, strict=True):
            row[: len(of_device)] = of_device
        for number in range(count):
            yield filled[:, number * size : (number + 1) * size]


def _segments(
    plan: Plan,
    groups: list["_Group"],
    devices: int,
    tables: TableSizes,
) -> Iterator[list[_Share]]:
    """Groups in order, each given to the device with room that has least to do."""
    drafts = [_Draft(plan) for _ in range(devices)]
    for group in groups:
        fitting = [draft for draft in drafts if draft.has_room(group, tables)]
        if not fitting:
            yield [draft.share() for draft in drafts]
            drafts = [_Draft(plan) for _ in range(devices)]
            fitting = drafts
        min(fitting, key=lambda draft: draft.num_pairs).add(group)
    if any(draft.num_pairs for draft in drafts):
        yield [draft.share() for draft in drafts]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Group:
    """Pairs that stay together, and the inputs they need.

    Of one image; by length, of its captions that are equally long.
    """

    pairs: dict[Direction, Int64[np.ndarray, " pairs"]]
    words: set[int]
    regions: set[int]


class _Draft:
    """One device's part of a segment while groups are added to it."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.pairs: dict[Direction, list[np.ndarray]] = {d: [] for d in Direction}
        self.words: set[int] = set()
        self.regions: set[int] = set()
        self.num_pairs = 0

    def has_room(self, group: _Group, tables: TableSizes) -> bool:
        words = len(self.words) + len(group.words - self.words)
        regions = len(self.regions) + len(group.regions - self.regions)
        return words <= tables.words and regions <= tables.regions

    def add(self, group: _Group) -> None:
        self.words |= group.words
        self.regions |= group.regions
        for direction, numbers in group.pairs.items():
            self.pairs[direction].append(numbers)
            self.num_pairs += len(numbers)

    def share(self) -> _Share:
        words = np.array(sorted(self.words), np.int64)
        none = [np.zeros(0, np.int64)]
        return _Share(
            pairs={d: np.concatenate(p or none) for d, p in self.pairs.items()},
            # From short to long: a table is filled in batches of similar lengths.
            words=words[np.argsort(self.plan.words.lengths[words], kind="stable")],
            regions=np.array(sorted(self.regions), np.int64),
        )


def _enough(
    tables: TableSizes, plan: Plan, groups: list[_Group], batch_size: int
) -> TableSizes:
    """Table sizes that hold any single group, in whole batches."""
    words = max((len(group.words) for group in groups), default=1)
    regions = max((len(group.regions) for group in groups), default=1)
    # More than the plan has in all is of no use.
    words = max(words, min(tables.words, len(plan.words)))
    regions = max(regions, min(tables.regions, len(plan.regions)))
    return TableSizes(
        words=-(-words // batch_size) * batch_size,
        regions=-(-regions // batch_size) * batch_size,
    )


def _groups(
    plan: Plan, pairs: dict[Direction, np.ndarray], by_length: bool
) -> Iterator[_Group]:
    """The pairs image by image; by length, first all of the shortest captions."""
    split = {d: _split(plan, d, numbers, by_length) for d, numbers in pairs.items()}
    none = np.zeros(0, np.int64)
    for key in sorted({key for groups in split.values() for key in groups}):
        together = {d: groups.get(key, none) for d, groups in split.items()}
        words, regions = set(), set()
        for direction, numbers in together.items():
            words.update(pairs_of(plan, direction).word[numbers].tolist())
            regions.update(pairs_of(plan, direction).region[numbers].tolist())
        yield _Group(pairs=together, words=words, regions=regions)


def _split(
    plan: Plan, direction: Direction, pairs: np.ndarray, by_length: bool
) -> dict[tuple[int, int], np.ndarray]:
    """Pairs by length of the caption (0 unless `by_length`) and image."""
    if not len(pairs):
        return {}
    images = plan.regions.image[pairs_of(plan, direction).region[pairs]]
    lengths = _lengths(plan, direction)[pairs] * by_length
    order = np.lexsort((images, lengths))
    keys = np.stack([lengths, images], axis=1)[order]
    starts = 1 + np.flatnonzero((keys[1:] != keys[:-1]).any(axis=1))
    first = keys[[0, *starts]].tolist()
    return dict(zip(map(tuple, first), np.split(pairs[order], starts), strict=True))


def _places(
    batch: np.ndarray, input_of_pair: np.ndarray, tables: list[np.ndarray]
) -> Int64[np.ndarray, "devices batch"]:
    """Where the inputs of pairs are in each device's table; 0 where empty."""
    places = np.zeros(batch.shape, np.int64)
    for row, pairs, table in zip(places, batch, tables, strict=True):
        filled = pairs != EMPTY
        order = np.argsort(table)
        found = np.searchsorted(table, input_of_pair[pairs[filled]], sorter=order)
        row[filled] = order[found]
    return places


def _all_pairs(plan: Plan) -> dict[Direction, Int64[np.ndarray, " pairs"]]:
    return {d: np.arange(len(pairs_of(plan, d))) for d in Direction}


def _lengths(plan: Plan, direction: Direction) -> Int[np.ndarray, " pairs"]:
    return plan.words.lengths[pairs_of(plan, direction).word]


def _num_targets(plan: Plan, direction: Direction) -> Int[np.ndarray, " pairs"]:
    if direction is Direction.VIS4LANG:
        return plan.mlm.num_targets
    return np.ones(len(plan.mrc), np.int32)
