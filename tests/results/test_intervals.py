"""Intervals: the arithmetic, what the resampling is of, coverage, speed."""

import numpy as np
import pytest

from xabl.analysis.bootstrap import p_values
from xabl.results import intervals
from xabl.results.intervals import (
    FEWEST_IMAGES,
    ImageBootstrap,
    no_interval,
    paired,
)


def test_means_are_those_of_the_resampled_examples():
    rng = np.random.default_rng(0)
    labels = [f"{place:02}" for place in range(FEWEST_IMAGES + 1)]
    images = rng.permutation([*labels, *labels[::2], *labels[::3]])
    values = rng.standard_normal((len(images), 2)).astype(np.float32)
    values[3, 1] = np.nan
    draws = ImageBootstrap(images, resamples=7, seed=3).means(values)
    np.testing.assert_allclose(draws.estimate, np.nanmean(values, axis=0), rtol=1e-6)
    count = len(labels)
    times = np.random.default_rng(3).multinomial(count, [1 / count] * count, size=7)
    for resample in range(7):
        chosen = [
            example
            for image, count in zip(labels, times[resample], strict=True)
            for example in np.flatnonzero(images == image).tolist() * int(count)
        ]
        for column in range(2):
            kept = values[chosen, column]
            kept = kept[~np.isnan(kept)]
            expected = kept.mean() if len(kept) else np.nan
            np.testing.assert_allclose(
                draws.resampled[resample, column], expected, rtol=1e-6
            )


def test_same_seed_same_resamples_and_another_seed_others():
    images, values = np.arange(50) // 2, np.random.default_rng(1).random((50, 1))
    first, again, other = (
        ImageBootstrap(images, seed=seed).means(values).resampled for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_only_wanted_examples_count():
    images = np.repeat(np.arange(FEWEST_IMAGES), 3)
    values = np.arange(3.0 * FEWEST_IMAGES)[:, None]
    use = np.arange(len(values)) % 3 == 0
    draws = ImageBootstrap(images, resamples=100).means(values, use)
    assert draws.estimate[0] == values[use].mean()
    alone = ImageBootstrap(images[use], resamples=100).means(values[use])
    np.testing.assert_allclose(draws.resampled, alone.resampled)


def test_few_images_give_no_interval_and_no_p_and_no_image_no_mean():
    """One rule: of columns over as many images as it asks for, over one less, none."""
    values = np.random.default_rng(0).random((2 * FEWEST_IMAGES, 3))
    images = np.repeat(np.arange(FEWEST_IMAGES), 2)
    values[images == 0, 1], values[:, 2] = np.nan, np.nan
    draws = ImageBootstrap(images, resamples=100).means(values)
    assert draws.images.tolist() == [FEWEST_IMAGES, FEWEST_IMAGES - 1, 0]
    unknown = [False, True, True]
    for numbers in (*draws.interval(), draws.standard_error(), p_values(draws)):
        assert np.isnan(numbers).tolist() == unknown
    assert np.isnan(draws.estimate).tolist() == [False, False, True]
    whole, part, nothing = map(no_interval, draws.images.tolist())
    assert whole is None and nothing.startswith("0 images")
    assert part == "29 images: too few for an interval, which needs 30"
    assert (draws - draws).images.tolist() == draws.images.tolist()
    assert draws.mean().images == 0


def data_sets(num_images, skewed, count=400, seed=7):
    """Losses of true mean 0 [phrases, data sets]; an image's phrases share a part."""
    rng = np.random.default_rng(seed)
    phrases = rng.integers(4, 21, num_images)  # images differ in size
    images = np.repeat(np.arange(num_images), phrases)
    shared = rng.standard_normal((num_images, count))[images]
    values = 0.5 * shared + 0.7 * rng.standard_normal((len(images), count))
    return images, np.exp(values) - np.exp(0.125 + 0.245) if skewed else values


def test_the_least_number_of_images_holds_what_is_said_of_it(monkeypatch):
    """Over 30 images 9 in 10 or more of skewed and normal data sets, over 10 not."""
    monkeypatch.setattr(intervals, "FEWEST_IMAGES", 1)
    held, sure = {}, {}
    for num_images in (3, 10, FEWEST_IMAGES):
        for skewed in (False, True):
            found = []
            for seed in range(3):
                images, values = data_sets(num_images, skewed, seed=seed)
                draws = ImageBootstrap(images, resamples=400).means(values)
                low, high = draws.interval()
                found.append([(low <= 0) & (high >= 0), p_values(draws) < 0.001])
            held[num_images, skewed], sure[num_images, skewed] = np.mean(
                found, axis=(0, 2)
            )
    assert FEWEST_IMAGES == 30
    assert min(held[30, False], held[30, True]) >= 0.9, held
    assert max(held[10, False], held[10, True]) < 0.9, held
    assert max(held[3, False], held[3, True]) < 0.75, held
    assert max(sure[30, False], sure[30, True]) < 0.01, sure


def test_pairing_drops_an_example_from_both():
    first, second = paired(
        np.array([[1.0], [2.0], [np.nan]]), np.array([[np.nan], [5.0], [6.0]])
    )
    np.testing.assert_array_equal(first, [[np.nan], [2.0], [np.nan]])
    np.testing.assert_array_equal(second, [[np.nan], [5.0], [np.nan]])


def test_coverage_with_dependence_within_images():
    """1,000 data sets (as columns) of known mean; images share a part of their loss."""
    rng = np.random.default_rng(7)
    num_images, data_sets = 300, 1000
    phrases = rng.integers(4, 21, num_images)  # images differ in size
    images = np.repeat(np.arange(num_images), phrases)
    shared = rng.standard_normal((num_images, data_sets))[images]
    own = rng.standard_normal((len(images), data_sets))
    # Skewed, as losses are; the true mean is 0.
    values = (np.exp(0.5 * shared + 0.7 * own) - np.exp(0.125 + 0.245)).astype("f4")
    width, coverage = {}, {}
    for name, clusters in (("images", images), ("examples", np.arange(len(images)))):
        bootstrap = ImageBootstrap(clusters, resamples=1000, seed=11)
        low, high = bootstrap.means(values).interval()
        coverage[name] = np.mean((low <= 0) & (high >= 0))
        width[name] = np.mean(high - low)
    assert 0.93 <= coverage["images"] <= 0.97, coverage
    assert coverage["examples"] < 0.88, coverage
    assert width["examples"] < 0.75 * width["images"], width


def test_a_whole_evaluation():
    rng = np.random.default_rng(0)
    images = np.sort(rng.integers(0, 1000, 14_433))
    values = rng.random((14_433, 15), np.float32)
    low, high = ImageBootstrap(images, resamples=2000).means(values).interval()
    assert ((low < 0.5) & (0.5 < high)).sum() >= 10


@pytest.mark.parametrize("confidence", [0.5, 0.95])
def test_interval_holds_its_share_of_the_resamples(confidence):
    images = np.arange(100)
    draws = ImageBootstrap(images).means(np.random.default_rng(0).random((100, 1)))
    low, high = draws.interval(confidence)
    inside = np.mean((draws.resampled >= low) & (draws.resampled <= high))
    assert abs(inside - confidence) < 0.002
