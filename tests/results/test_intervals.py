"""Intervals: the arithmetic, what the resampling is of, coverage, speed."""

import time

import numpy as np
import pytest

from xabl.results.intervals import ImageBootstrap, paired


def test_means_are_those_of_the_resampled_examples():
    rng = np.random.default_rng(0)
    images = np.array(["b", "a", "b", "c", "a", "b"])
    values = rng.standard_normal((6, 2)).astype(np.float32)
    values[3, 1] = np.nan
    draws = ImageBootstrap(images, resamples=7, seed=3).means(values)
    np.testing.assert_allclose(draws.estimate, np.nanmean(values, axis=0), rtol=1e-6)
    times = np.random.default_rng(3).multinomial(3, [1 / 3] * 3, size=7)
    for resample in range(7):
        chosen = [
            example
            for image, count in zip("abc", times[resample], strict=True)
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
    images = np.repeat(np.arange(10), 3)
    values = np.arange(30.0)[:, None]
    use = np.arange(30) % 3 == 0
    draws = ImageBootstrap(images, resamples=100).means(values, use)
    assert draws.estimate[0] == values[use].mean()
    alone = ImageBootstrap(images[use], resamples=100).means(values[use])
    np.testing.assert_allclose(draws.resampled, alone.resampled)


def test_one_image_gives_no_interval_and_no_image_no_mean():
    bootstrap = ImageBootstrap(np.array([0, 0, 1]), resamples=100)
    values = np.array([[1.0, np.nan], [2.0, np.nan], [np.nan, np.nan]])
    draws = bootstrap.means(values)
    assert draws.estimate[0] == 1.5
    assert np.isnan(draws.estimate[1])
    low, high = draws.interval()
    assert np.isnan(low).all() and np.isnan(high).all()


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


def test_a_whole_evaluation_takes_seconds():
    rng = np.random.default_rng(0)
    images = np.sort(rng.integers(0, 1000, 14_433))
    values = rng.random((14_433, 15), np.float32)
    start = time.perf_counter()
    low, high = ImageBootstrap(images, resamples=2000).means(values).interval()
    assert time.perf_counter() - start < 5  # 0.2 s on two idle cores
    assert ((low < 0.5) & (0.5 < high)).sum() >= 10


@pytest.mark.parametrize("confidence", [0.5, 0.95])
def test_interval_holds_its_share_of_the_resamples(confidence):
    images = np.arange(100)
    draws = ImageBootstrap(images).means(np.random.default_rng(0).random((100, 1)))
    low, high = draws.interval(confidence)
    inside = np.mean((draws.resampled >= low) & (draws.resampled <= high))
    assert abs(inside - confidence) < 0.002
