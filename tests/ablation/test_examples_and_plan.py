"""Examples as the published code prepared them, and what of them is distinct."""

import dataclasses
import gc
import weakref

import numpy as np
import pytest

from tests.helpers import ablation, golden_world
from xabl.ablation.distinct_inputs import NOT_SCORED
from xabl.ablation.examples import reference_shift_starts
from xabl.ablation.options import VlBertPositions
from xabl.ablation.plan import (
    CUT_OFF,
    NO_REGIONS,
    NO_TARGET,
    NONE_STAYS,
    build_plan,
    check_scorable,
)
from xabl.ablation.replacement import Fill
from xabl.errors import UserError
from xabl.results.conditions import Direction, Level, all_conditions


@pytest.fixture(scope="module")
def plan():
    return planned()


def planned(examples=None, regions=None, conditions=ablation.ALL_CONDITIONS, **more):
    return build_plan(
        ablation.examples() if examples is None else examples,
        ablation.regions() if regions is None else regions,
        conditions,
        mask_id=ablation.word_pieces().mask_id,
        **more,
    )


def test_examples_are_the_published_ones():
    ours, published = ablation.examples(), golden_world.examples()
    assert len(ours) == len(published) == 80
    for number, (mine, theirs) in enumerate(zip(ours, published, strict=True)):
        assert mine.number == number
        assert mine.text == theirs["caption"]
        assert mine.phrase.chain == str(theirs["sent_id"])
        assert mine.phrase.first_word == theirs["first_word_index"]
        assert mine.image_id == str(theirs["image_id"])
        assert mine.sentence == theirs["sentence"]
        np.testing.assert_array_equal(mine.boxes, theirs["refBoxes"])
        masked, labels = np.zeros(38, int), np.full(38, -1)
        masked[: len(mine.token_ids)] = mine.token_ids
        masked[mine.pieces] = ablation.word_pieces().mask_id
        labels[mine.pieces] = mine.token_ids[mine.pieces]
        np.testing.assert_array_equal(masked, theirs["token"])
        np.testing.assert_array_equal(labels, theirs["lm_label_ids"])


def test_reference_batches_are_16_consecutive_examples():
    lengths = np.arange(100, 134)
    lengths[20] = 7
    starts = reference_shift_starts(lengths)
    np.testing.assert_array_equal(starts, [100] * 16 + [7] * 16 + [132] * 2)


def test_reasons_of_exclusion(plan):
    by_image = {
        name: {plan.examples[row].image_id for row in np.nonzero(rows)[0]}
        for name, rows in zip(
            plan.reasons,
            (
                (plan.excluded == number).any(axis=1)
                for number in range(len(plan.reasons))
            ),
            strict=True,
        )
    }
    ids = list(dict.fromkeys(example.image_id for example in plan.examples))
    # The world's second image has no target, its third has phrases that are cut off.
    expected = {NO_TARGET: {ids[1]}, CUT_OFF: {ids[2]}}
    assert by_image == expected | {NO_REGIONS: set(), NONE_STAYS: set()}
    cut = plan.excluded == plan.reasons.index(CUT_OFF)
    lang4vis = [c.level for c in plan.conditions if c.direction is Direction.LANG4VIS]
    for row in np.nonzero(cut.any(axis=1))[0]:
        assert cut[row, plan.columns(Direction.VIS4LANG)].all()
        of_row = cut[row, plan.columns(Direction.LANG4VIS)]
        assert [level for level, out in zip(lang4vis, of_row, strict=True) if out] == [
            Level.PHRASE
        ]
    assert ((plan.pair == NOT_SCORED) == (plan.excluded >= 0)).all()


def test_every_distinct_input_once(plan):
    for inputs in (plan.words, plan.regions, plan.mlm, plan.mrc):
        columns = [
            np.asarray(getattr(inputs, field.name)).reshape(len(inputs), -1)
            for field in dataclasses.fields(inputs)
        ]
        rows = np.concatenate(columns, axis=1)
        assert len(np.unique(rows, axis=0)) == len(inputs)
    # And no input that nobody asked for.
    assert set(np.concatenate([plan.mlm.word, plan.mrc.word])) == set(
        range(len(plan.words))
    )
    assert set(np.concatenate([plan.mlm.region, plan.mrc.region])) == set(
        range(len(plan.regions))
    )
    for direction, pairs in (
        (Direction.VIS4LANG, plan.mlm),
        (Direction.LANG4VIS, plan.mrc),
    ):
        asked = plan.pair[:, plan.columns(direction)]
        assert set(asked[asked != NOT_SCORED]) == set(range(len(pairs)))


def test_pairs_are_what_their_condition_says(plan):
    mask_id, image_ids = ablation.word_pieces().mask_id, ablation.regions().image_ids
    for row, example in enumerate(plan.examples):
        for column, condition in enumerate(plan.conditions):
            pair = plan.pair[row, column]
            if pair == NOT_SCORED:
                continue
            vision = condition.direction is Direction.VIS4LANG
            pairs = plan.mlm if vision else plan.mrc
            word, region = pairs.word[pair], pairs.region[pair]
            expected = example.token_ids.copy()
            if vision or condition.level is Level.PHRASE:
                expected[example.pieces] = mask_id
            elif condition.level is Level.ALL:
                expected[1:-1] = mask_id
            length = plan.words.lengths[word]
            np.testing.assert_array_equal(plan.words.token_ids[word, :length], expected)
            assert image_ids[plan.regions.image[region]] == example.image_id
            ablated = plan.regions.ablated[region]
            fill = Fill.AVERAGE if vision else Fill.MASKED
            assert plan.regions.fill[region] == fill
            if vision:
                assert ablated.sum() == plan.ablated_regions[row, column]
                if condition.level is not Level.OBJECT:
                    assert ablated.all() == (condition.level is Level.ALL)
            else:
                assert ablated[pairs.target[pair]]


def test_more_is_ablated_at_lower_thresholds(plan):
    ablated = plan.ablated_regions[:, plan.columns(Direction.VIS4LANG)]
    assert (np.diff(ablated, axis=1) >= 0).all()
    assert (ablated[:, 0] == 0).all() and (ablated[:, -1] == 36).all()


def test_scores_go_back_to_all_that_share_them(plan):
    numbers = np.arange(len(plan.mlm), dtype=np.float32)
    scattered = plan.scatter(Direction.VIS4LANG, numbers)
    columns = plan.columns(Direction.VIS4LANG)
    asked = plan.pair[:, columns]
    np.testing.assert_array_equal(
        scattered[:, columns], np.where(asked == NOT_SCORED, np.nan, asked)
    )
    assert np.isnan(scattered[:, plan.columns(Direction.LANG4VIS)]).all()


def test_vl_bert_shifts_are_part_of_an_input_only_where_they_move_a_word():
    intended = planned(vlbert_positions=VlBertPositions.PER_EXAMPLE)
    np.testing.assert_array_equal(intended.words.shift_starts, intended.words.lengths)
    published = planned(vlbert_positions=VlBertPositions.REFERENCE_BATCH)
    assert (published.words.shift_starts <= published.words.lengths).all()
    assert len(published.words) > len(intended.words)


def test_images_without_regions_are_excluded_everywhere():
    world = ablation.stacked(golden_world.golden_images()[1:])
    plan = planned(regions=world)
    missing = golden_world.golden_images()[0].image_id
    for row, example in enumerate(plan.examples):
        gone = plan.excluded[row] == plan.reasons.index(NO_REGIONS)
        assert gone.all() if example.image_id == missing else not gone.any()


def test_a_plan_leaves_nothing_of_the_regions_behind():
    """Hundreds of megabytes that no circle of references may keep."""
    regions = ablation.stacked(golden_world.golden_images())
    gone = weakref.ref(regions)
    gc.disable()
    try:
        plan = planned(regions=regions)
        del regions
        assert len(plan.mrc) and gone() is None
    finally:
        gc.enable()


def test_nothing_left_to_score_says_why():
    image = golden_world.golden_images()[1].image_id
    of_image = tuple(e for e in ablation.examples() if e.image_id == image)
    lang4vis = all_conditions([Direction.LANG4VIS])
    check_scorable(planned(of_image))
    with pytest.raises(UserError, match="no examples left.*no target region"):
        check_scorable(planned(of_image, conditions=lang4vis))
    with pytest.raises(UserError, match="no examples left.*no phrase"):
        check_scorable(planned(()))
