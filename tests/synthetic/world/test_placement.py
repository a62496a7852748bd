"""Boxes of the synthetic world against the truths they are to keep."""

import numpy as np
import pytest

from xabl.ablation.overlap import TARGET_THRESHOLD, coverage, target_region
from xabl.data.boxes import iot, iou
from xabl.synthetic.world.images import BACKGROUND, World
from xabl.synthetic.world.settings import WorldSettings

# Share of ablated regions at IoT thresholds 0.9, 0.8, ..., 0.0: Frank et al. 2021.
PUBLISHED_SHARES = (0.07, 0.09, 0.12, 0.15, 0.18, 0.22, 0.27, 0.33, 0.42, 0.63)
THRESHOLDS = np.arange(9, -1, -1) / 10

WORLDS = {
    "default": WorldSettings(feature_size=16),
    "one view": WorldSettings(feature_size=16, region_overlap=1),
    "leaking": WorldSettings(
        feature_size=16, region_overlap="high", surviving_leaks="both"
    ),
}


@pytest.mark.parametrize("seed", [0, 1])
def test_share_of_ablated_regions_is_the_published_one(seed):
    world = World(WorldSettings(seed=seed, feature_size=16))
    shares = []
    for number in range(300):
        image = world.image(number)
        for thing in image.objects:
            covered = coverage(image.region_boxes, thing.boxes)
            shares.append([(covered > threshold).mean() for threshold in THRESHOLDS])
    difference = np.mean(shares, axis=0) - PUBLISHED_SHARES
    assert np.abs(difference).max() < 0.05, difference.round(3)


@pytest.mark.parametrize("settings", WORLDS.values(), ids=WORLDS)
def test_the_target_shows_the_object_and_no_view_survives_masking(settings):
    world = World(settings)
    for number in range(60):
        image = world.image(number)
        for index, thing in enumerate(image.objects):
            masked, target = target_region(image.region_boxes, thing.boxes)
            shows = image.region_objects == index
            views = shows & (image.region_shares == 1)
            assert views[target]
            assert masked[views].all()
            assert views.sum() == settings.views_per_box * thing.count
            parts = shows & ~views
            assert parts.sum() == settings.parts_per_box * thing.count
            assert not masked[parts].any()
            # Views of other objects stay visible: what they show is not at stake.
            others = (image.region_objects != BACKGROUND) & ~shows
            assert not masked[others].any()


def test_background_regions_fit_no_object():
    world = World(WORLDS["default"])
    for number in range(40):
        image = world.image(number)
        boxes = np.vstack([thing.boxes for thing in image.objects])
        background = image.region_boxes[image.region_objects == BACKGROUND]
        assert iou(background, boxes).max() < TARGET_THRESHOLD


def test_boxes_are_whole_pixels_inside_the_image_and_hardly_overlap():
    world = World(WORLDS["default"])
    for number in range(60):
        image = world.image(number)
        boxes = np.vstack([thing.boxes for thing in image.objects])
        assert (boxes == boxes.round()).all()
        assert (boxes >= 0).all()
        assert (boxes[:, 2:] < (image.width, image.height)).all()
        overlaps = iot(boxes, boxes)[~np.eye(len(boxes), dtype=bool)]
        assert overlaps.max() < 0.25
        assert 2 <= len(boxes) <= 5
