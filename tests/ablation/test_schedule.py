"""Steps: everything once, in tables that hold it, with few programs at a time."""

import dataclasses
import functools

import numpy as np
import pytest

from tests.helpers import ablation
from xabl.ablation.engine import programs
from xabl.ablation.engine.padding import ONE_SIZE, ProgramLimits
from xabl.ablation.engine.schedule import (
    EMPTY,
    Schedule,
    ScoreStep,
    Shape,
    TableSizes,
)
from xabl.ablation.engine.scorer import Scorer
from xabl.ablation.plan import build_plan
from xabl.models.presets import PRESETS
from xabl.results.conditions import Direction
from xabl.support.devices import LocalDevices

LIMITS = ProgramLimits(worth=1)


@functools.cache
def plan():
    return build_plan(
        ablation.examples(), ablation.regions(), ablation.ALL_CONDITIONS, mask_id=4
    )


def scheduled(by_length, devices=2, of=None, **more):
    given = {"limits": LIMITS, "tables": TableSizes(words=24, regions=24), **more}
    return Schedule(
        of or plan(), devices=devices, batch_size=4, by_length=by_length, **given
    )


def segments(schedule):
    """The steps of each: tables are filled before pairs are scored."""
    found = [[]]
    for step in schedule.steps:
        scored = any(isinstance(before, ScoreStep) for before in found[-1])
        if scored and not isinstance(step, ScoreStep):
            found.append([])
        found[-1].append(step)
    return found


@pytest.mark.parametrize("by_length", [False, True])
def test_a_few_pairs_share_tables_and_the_largest_programs_with_the_whole(by_length):
    few = dataclasses.replace(
        plan(),
        **{
            name: dataclasses.replace(
                pairs, **{field: column[:3] for field, column in vars(pairs).items()}
            )
            for name, pairs in (("mlm", plan().mlm), ("mrc", plan().mrc))
        },
    )
    tables = TableSizes(words=3, regions=3)  # less than the largest image needs
    whole = scheduled(by_length, tables=tables)
    part = scheduled(by_length, tables=tables, of=few, part_of=plan(), limits=ONE_SIZE)
    assert part.tables == whole.tables
    assert part.tables != scheduled(by_length, tables=tables, of=few).tables
    assert set(part.shapes) <= set(whole.shapes)
    assert sum(isinstance(shape, Shape) for shape in part.shapes) == 2
    pairs = [s.pairs[s.pairs != EMPTY] for s in part.steps if isinstance(s, ScoreStep)]
    assert sorted(np.concatenate(pairs)) == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("by_length", [False, True])
def test_every_pair_once_from_inputs_that_are_in_the_tables(by_length):
    schedule = scheduled(by_length)
    seen = {direction: [] for direction in Direction}
    for steps in segments(schedule):
        # By device, what stands in which place.
        words, regions = np.full((2, 2, 1000), EMPTY)
        for step in steps:
            if not isinstance(step, ScoreStep):
                table = regions if step.shape.words is None else words
                table[:, step.start : step.start + 4] = step.inputs
                continue
            filled = step.pairs != EMPTY
            numbers = step.pairs[filled]
            seen[step.shape.direction] += numbers.tolist()
            device = np.nonzero(filled)[0]
            vision = step.shape.direction is Direction.VIS4LANG
            pairs = plan().mlm if vision else plan().mrc
            for table, places, inputs in (
                (words, step.word_places, pairs.word),
                (regions, step.region_places, pairs.region),
            ):
                found = table[device, places[filled]]
                np.testing.assert_array_equal(found, inputs[numbers])
        assert (words != EMPTY).sum(axis=1).max() <= schedule.tables.words
        assert (regions != EMPTY).sum(axis=1).max() <= schedule.tables.regions
    assert sorted(seen[Direction.VIS4LANG]) == list(range(len(plan().mlm)))
    assert sorted(seen[Direction.LANG4VIS]) == list(range(len(plan().mrc)))


def test_by_length_words_are_computed_once_and_programs_are_done_with_early():
    schedule = scheduled(True, devices=1)
    computed = [
        number
        for step in schedule.steps
        if not isinstance(step, ScoreStep) and step.shape.words
        for number in step.inputs[step.inputs != EMPTY]
    ]
    # Once, but where all captions of a length and an image do not fit.
    assert len(computed) < 1.2 * len(set(computed))
    assert set(computed) == set(range(len(plan().words)))

    def in_use(schedule):
        """How many programs are between their first and their last step, at most."""
        shapes = [s.shape for s in schedule.steps if isinstance(s, ScoreStep)]
        last = {shape: number for number, shape in enumerate(shapes)}
        first = {shape: shapes.index(shape) for shape in last}
        return max(
            sum(first[shape] <= number <= last[shape] for shape in last)
            for number in range(len(shapes))
        )

    whole_images = scheduled(False, devices=1)
    assert in_use(schedule) < in_use(whole_images) / 2


@pytest.mark.slow
def test_few_programs_are_kept(monkeypatch):
    """Those that are used and the next; the scores are the same."""
    kept = []
    compiled = programs.Programs.compiled

    def spy(self, shape):
        kept.append(len(self._compiling))
        return compiled(self, shape)

    monkeypatch.setattr(programs.Programs, "compiled", spy)
    monkeypatch.setattr(
        "xabl.ablation.engine.device_loop.program_limits",
        lambda *_: ProgramLimits(worth=100),
    )
    config = ablation.shallow("bert")
    score = functools.partial(
        ablation.scored,
        config,
        ablation.ruled_params(config),
        conditions=ablation.FEW_CONDITIONS[:1],
        batch_size=4,
    )
    expected = score().loss("mlm")
    shapes = max(kept)
    kept.clear()
    np.testing.assert_array_equal(score(few_programs=True).loss("mlm"), expected)
    assert shapes > 4 and max(kept) <= 4


def test_programs_a_host_can_keep():
    """Models whose regions have sublayers of their own need them all at once."""
    devices = LocalDevices(1)
    most = {
        name: programs.program_limits(Scorer(config=PRESETS[name]), devices, 1e7).most
        for name in ("ctrl_lxmert", "ctrl_vilbert_base", "ctrl_uniter_base")
    }
    assert most["ctrl_lxmert"] < 10
    assert most["ctrl_vilbert_base"] == most["ctrl_uniter_base"] == 64
