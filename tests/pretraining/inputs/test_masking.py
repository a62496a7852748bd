"""Rates of masking over many examples, and overlaps and [IMG] by hand."""

import numpy as np
import pytest

from xabl.pretraining.inputs import masking
from xabl.pretraining.inputs.config import InputConfig, TrainingAblation
from xabl.pretraining.inputs.random_numbers import RandomNumbers

EXAMPLES = 100_000
WORDS, BOXES = 6, 5


def draws_of(examples, seed=0, epoch=0, ablations=1):
    return RandomNumbers.draw(
        seed,
        epoch,
        np.asarray(examples),
        num_words=WORDS,
        num_boxes=BOXES,
        num_ablations=ablations,
    )


@pytest.fixture(scope="module")
def draws():
    return draws_of(np.arange(EXAMPLES))


def assert_share(hits, rate):
    """The share of hits is the rate, within five standard deviations."""
    deviation = np.sqrt(rate * (1 - rate) / hits.size)
    assert abs(hits.mean() - rate) < 5 * deviation, (hits.mean(), rate, deviation)


def test_draws_depend_on_seed_epoch_and_example_alone(draws):
    some = draws_of([70_000, 3, 3])
    for name in ("word_kind", "ablate_region", "other_caption"):
        np.testing.assert_array_equal(
            getattr(some, name), getattr(draws, name)[[70_000, 3, 3]]
        )
    for other in (draws_of([3], seed=1), draws_of([3], epoch=1)):
        assert (other.word_kind != some.word_kind[1:2]).all()


def test_draws_are_independent(draws):
    """Correlations of any two numbers of an example, and with its neighbour's."""
    columns = np.concatenate(
        [np.reshape(numbers, (EXAMPLES, -1)) for numbers in vars(draws).values()], 1
    )
    neighbours = np.concatenate([columns[:-1], columns[1:]], axis=1)
    correlations = np.corrcoef(neighbours, rowvar=False)
    np.fill_diagonal(correlations, 0)
    assert abs(correlations).max() < 6 / np.sqrt(EXAMPLES)


def test_share_of_masked_words(draws):
    vocabulary, mask_id = 50, 4
    token_ids = np.full((EXAMPLES, WORDS), 7, np.int32)
    is_piece = np.tile(np.arange(WORDS) > 0, (EXAMPLES, 1))
    seen, targets = masking.mask_words(
        token_ids, is_piece, draws, 0.15, mask_id=mask_id, vocabulary=vocabulary
    )
    chosen = targets >= 0
    assert_share(chosen[:, 1:], 0.15)
    assert not chosen[:, 0].any()
    np.testing.assert_array_equal(targets[chosen], 7)
    np.testing.assert_array_equal(seen[~chosen], 7)
    # A random entry can be [MASK] or the piece itself.
    assert_share(seen[chosen] == mask_id, 0.8 + 0.1 / vocabulary)
    assert_share(seen[chosen] == 7, 0.1 + 0.1 / vocabulary)
    others = seen[chosen & (seen != mask_id) & (seen != 7)]
    assert_share(np.isin(others, np.arange(24)), 22 / 48)
    assert others.min() == 0 and others.max() == vocabulary - 1


def test_share_of_masked_regions(draws):
    is_real = np.tile(np.arange(BOXES) < 4, (EXAMPLES, 1))
    chosen, zeroed = masking.choose_regions(is_real, draws, 0.15)
    assert_share(chosen[:, :4], 0.15)
    assert not chosen[:, 4].any()
    assert not (zeroed & ~chosen).any()
    assert_share(zeroed[chosen], 0.9)


def test_share_of_replaced_captions(draws):
    assert_share(draws.replace_caption < 0.5, 0.5)
    others = (draws.other_caption * 40).astype(int)
    counts = np.bincount(others, minlength=40)
    assert len(counts) == 40
    assert_share(others < 10, 0.25)


@pytest.mark.parametrize("modality", ["words", "regions"])
def test_share_of_ablated_positions(draws, modality):
    ablation = TrainingAblation(modality=modality, probability=0.3, share=0.6)
    taken = masking.ablated(InputConfig(ablations=(ablation,)), draws, modality)
    assert_share(taken, 0.3 * 0.6)
    assert_share(taken.any(axis=1), 0.3 * (1 - 0.4 ** taken.shape[1]))
    other = "regions" if modality == "words" else "words"
    untouched = masking.ablated(InputConfig(ablations=(ablation,)), draws, other)
    assert not untouched.any()


# 0 and 1 share 5 x 10 of their 10 x 10 and 15 x 10 pixels; 2 is half of 0; 3 is far.
HAND_BOXES = np.array(
    [[[0, 0, 9, 9], [5, 0, 19, 9], [0, 0, 4, 9], [50, 50, 59, 59]]], np.float32
)


@pytest.mark.parametrize(
    ("targets", "threshold", "measure", "divisor"),
    [
        # IoU with 0: itself 1, 1: 50/200, 2: 50/100, 3: 0.
        ([0], 0.4, "iou", 2),
        ([0], 0.2, "iou", 1),
        ([0], 0.5, "iou", 3),
        # Intersection over the other's own area: 1: 50/150, 2: 50/50.
        ([0], 0.4, "iot", 2),
        ([0], 0.3, "iot", 1),
        ([2], 0.4, "iot", 2),
        ([2], 0.5, "iot", 3),
        ([0, 3], 0.4, "iou", 1),
        ([0, 1, 2, 3], 0.4, "iou", 1),
        ([], 0.0, "iou", 4),
        # "none": not even a target overlaps itself by more.
        ([0, 1, 2, 3], 2.0, "iou", 4),
        ([0], 1.0, "iot", 4),
    ],
)
def test_img_divisor_by_hand(targets, threshold, measure, divisor):
    chosen = np.zeros((1, 4), bool)
    chosen[0, targets] = True
    overlapped, by_others = masking.overlapped(HAND_BOXES, chosen, threshold, measure)
    features = np.array([[[1.0], [2.0], [4.0], [8.0]]], np.float32)
    row = masking.image_row(features, ~overlapped)
    np.testing.assert_allclose(row, [[15.0 / divisor]])
    assert not (by_others & ~overlapped).any()


def test_overlap_of_many_images_at_once():
    """Each image alone gives what all of them give together."""
    random = np.random.default_rng(0)
    corner = random.integers(0, 40, (30, 8, 2))
    sides = random.integers(0, 40, (30, 8, 2))
    boxes = np.concatenate([corner, corner + sides], axis=2).astype(np.float32)
    chosen = random.random((30, 8)) < 0.2
    for measure in ("iou", "iot"):
        together = masking.overlapped(boxes, chosen, 0.3, measure)
        assert together[1].any() and not together[0].all()
        for image in range(30):
            alone = masking.overlapped(
                boxes[image : image + 1], chosen[image : image + 1], 0.3, measure
            )
            np.testing.assert_array_equal(alone[0][0], together[0][image])
            np.testing.assert_array_equal(alone[1][0], together[1][image])


def test_slots_hold_the_targets_in_order():
    chosen = np.array([[0, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]], bool)
    np.testing.assert_array_equal(
        masking.fill_slots(chosen, 3), [[1, 3, -1], [-1, -1, -1], [0, 1, 2]]
    )


def test_slots_suffice():
    """Tails of the binomial distribution, from its tables."""
    assert masking.target_slots(36, 0.15) == 21
    assert masking.target_slots(36, 1.0) == 36
    assert masking.target_slots(36, 0.0) == 1
    assert masking.target_slots(2, 0.5) == 2
