"""Region inputs made on the device, against the definitions."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.ablation import small
from xabl.ablation.device_regions import (
    ImageToken,
    RegionBatch,
    average_features,
    host_store,
    region_input,
    relative_locations,
)
from xabl.ablation.distinct_inputs import Fill
from xabl.data.regions.image_regions import StackedRegions
from xabl.errors import UserError
from xabl.models.config import GlobalImage

FEATURES = 8


def world(num_boxes=(4, 3)):
    """Two images; the second has a region less and is padded."""
    rng = np.random.default_rng(1)
    shape = (2, 4)
    features = rng.random((*shape, FEATURES), np.float32)
    low = rng.integers(0, 40, (*shape, 2))
    boxes = np.concatenate([low, low + 20], axis=-1).astype(np.float32)
    for image, count in enumerate(num_boxes):
        features[image, count:] = 0
        boxes[image, count:] = 0
    return StackedRegions(
        image_ids=("7", "8"),
        num_boxes=np.array(num_boxes, np.int32),
        img_w=np.array([100, 200], np.int32),
        img_h=np.array([80, 100], np.int32),
        features=features,
        boxes=boxes,
        objects_id=np.zeros(shape, np.int64),
        objects_conf=np.ones(shape, np.float32),
        cls_prob=None,
    )


AVERAGE = np.arange(FEATURES, dtype=np.float32)
ABLATED = np.array([[True, False, True, False], [False, True, False, False]])


def made(image_row, fill, image_token=ImageToken.PUBLISHED):
    config = dataclasses.replace(
        small("ctrl_uniter_base"),
        v_feature_size=FEATURES,
        add_global_imgfeat=image_row,
    )
    store = host_store(config, world(), AVERAGE)
    batch = RegionBatch(
        image=jnp.array([0, 1]),
        ablated=jnp.asarray(ABLATED),
        fill=jnp.full(2, int(fill)),
    )
    make = functools.partial(region_input, config, image_token)
    return jax.jit(make)(store, batch)


def test_locations():
    regions = world()
    x1, y1, x2, y2 = regions.boxes[1, 0]
    expected = [x1 / 200, y1 / 100, x2 / 200, y2 / 100, (x2 - x1) * (y2 - y1) / 2e4]
    np.testing.assert_allclose(relative_locations(regions, 5)[1, 0], expected)
    np.testing.assert_allclose(relative_locations(regions, 4)[1, 0], expected[:4])


def test_average_weighs_images_by_mentions():
    regions = world()
    means = [regions.features[0].mean(axis=0), regions.features[1, :3].mean(axis=0)]
    expected = (3 * means[0] + means[1]) / 4
    found = average_features(regions, {"7": 3, "008": 1, "9": 5})
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("image_row", list(GlobalImage))
@pytest.mark.parametrize("fill", list(Fill))
def test_ablated_rows_are_replaced(image_row, fill):
    features = np.asarray(made(image_row, fill).features)
    boxes = features[:, 1:] if image_row is GlobalImage.FIRST else features[:, :4]
    substitute = AVERAGE if fill is Fill.AVERAGE else np.zeros(FEATURES)
    expected = np.where(ABLATED[..., None], substitute, world().features)
    np.testing.assert_array_equal(boxes, expected)


@pytest.mark.parametrize("image_row", [GlobalImage.FIRST, GlobalImage.LAST])
def test_image_row_of_vis4lang_is_the_mean_of_what_is_left(image_row):
    inputs = made(image_row, Fill.AVERAGE)
    row = 0 if image_row is GlobalImage.FIRST else -1
    changed = np.where(ABLATED[..., None], AVERAGE, world().features)
    expected = [changed[0].mean(axis=0), changed[1, :3].mean(axis=0)]
    np.testing.assert_allclose(inputs.features[:, row], expected, rtol=1e-6)
    np.testing.assert_array_equal(inputs.locations[:, row], [[0, 0, 1, 1, 1]] * 2)
    assert inputs.mask[:, row].all()


@pytest.mark.parametrize("image_row", [GlobalImage.FIRST, GlobalImage.LAST])
def test_image_row_of_lang4vis(image_row):
    row = 0 if image_row is GlobalImage.FIRST else -1
    regions = world()
    published = made(image_row, Fill.ZERO).features[:, row]
    whole = [regions.features[0].mean(axis=0), regions.features[1, :3].mean(axis=0)]
    np.testing.assert_allclose(published, whole, rtol=1e-6)
    recomputed = made(image_row, Fill.ZERO, ImageToken.RECOMPUTED).features[:, row]
    unmasked = [
        regions.features[0, [1, 3]].mean(axis=0),
        regions.features[1, [0, 2]].mean(axis=0),
    ]
    np.testing.assert_allclose(recomputed, unmasked, rtol=1e-6)


def test_missing_regions_are_masked():
    mask = np.asarray(made(GlobalImage.FIRST, Fill.AVERAGE).mask)
    np.testing.assert_array_equal(mask, [[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]])
    assert made(GlobalImage.ABSENT, Fill.AVERAGE).features.shape == (2, 4, FEATURES)


def test_features_of_another_detector():
    with pytest.raises(UserError, match="8 features.*ctrl_uniter_base reads 2048"):
        host_store(small("ctrl_uniter_base"), world(), AVERAGE)
