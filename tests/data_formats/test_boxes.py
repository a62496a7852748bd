"""Overlaps and locations of boxes, by hand."""

import numpy as np

from xabl.data import boxes


def test_overlap_counts_pixels():
    regions = np.array([[0.0, 0, 9, 9], [5, 0, 14, 9], [20, 20, 20, 20]])
    phrase = np.array([[0.0, 0, 19, 9]])
    np.testing.assert_array_equal(boxes.areas(regions), [100, 100, 1])
    np.testing.assert_array_equal(
        boxes.iot(regions, phrase)[:, 0], [100 / 200, 100 / 200, 0]
    )
    np.testing.assert_array_equal(
        boxes.iou(regions, phrase)[:, 0], [100 / 200, 100 / 200, 0]
    )
    # Boxes that only touch share the pixels of the border.
    assert boxes.intersections(regions[:1], np.array([[9.0, 9, 12, 12]])) == 1


def test_overlaps_of_many_images_at_once():
    rng = np.random.default_rng(0)
    low = rng.integers(0, 40, (3, 5, 2))
    many = np.concatenate([low, low + rng.integers(1, 40, low.shape)], -1) * 1.0
    for measure in (boxes.iot, boxes.iou):
        together = measure(many, many[:, :2])
        for image, of_image in zip(together, many, strict=True):
            np.testing.assert_array_equal(image, measure(of_image, of_image[:2]))


def test_locations_by_hand():
    placed = np.array([[[0, 10, 100, 30]], [[0, 0, 10, 10]]], np.float32)
    widths, heights = np.array([200, 100]), np.array([40, 20])
    five = boxes.relative_locations(placed, widths, heights, 5)
    expected = [[[0, 0.25, 0.5, 0.75, 0.25]], [[0, 0, 0.1, 0.5, 0.05]]]
    np.testing.assert_allclose(five, expected)
    four = boxes.relative_locations(placed, widths, heights, 4)
    np.testing.assert_allclose(four, five[..., :4])
