"""Region inputs made on the device, against the definitions."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.ablation import average, regions, ruled_params, shallow, small
from xabl.ablation.average import average_features
from xabl.ablation.engine import projection
from xabl.ablation.engine.device_regions import (
    ProjectedStore,
    RegionBatch,
    host_store,
    region_input,
)
from xabl.ablation.engine.projection import projected_store
from xabl.ablation.options import ImageToken
from xabl.ablation.replacement import Fill
from xabl.data.boxes import relative_locations
from xabl.data.regions.image_regions import StackedRegions
from xabl.errors import UserError
from xabl.models.config import GlobalImage
from xabl.models.model import VisionLanguageBert
from xabl.support.devices import LocalDevices

pytestmark = pytest.mark.usefixtures("quick_compilation")

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
WIDTH = 6
KERNEL = np.random.default_rng(2).standard_normal((FEATURES, WIDTH)).astype(np.float32)
# Not what zero features give: VL-BERT puts a vector of its own there.
MASKED = np.full(WIDTH, 7.0, np.float32)


PUBLISHED = (Fill.AVERAGE, Fill.MASKED)
DONORS = [1, 0]


def replaced(fill, world):
    """Features after ablation, by hand; rows that are not there are zero."""
    instead = {
        Fill.AVERAGE: AVERAGE,
        Fill.MASKED: np.zeros_like(AVERAGE),
        Fill.ZERO: np.zeros_like(AVERAGE),
        # The second image has 3 regions: the first of them again.
        Fill.IMAGE: np.stack([world.features[1, [0, 1, 2, 0]], world.features[0]]),
        Fill.DROP: AVERAGE,
    }[fill]
    return np.where(ABLATED[..., None], instead, world.features)


def projected(features):
    return features @ KERNEL + 1


def located(regions):
    return relative_locations(regions.boxes, regions.img_w, regions.img_h, 5)


def store(regions, average=AVERAGE):
    """As `projected_store`, of a model whose products are `projected`."""
    return ProjectedStore(
        features=projected(regions.features),
        locations=located(regions) @ np.ones((5, WIDTH), np.float32),
        image_location=np.full(WIDTH, 3.0, np.float32),
        is_zero=~regions.features.any(axis=-1),
        present=np.arange(4) < regions.num_boxes[:, None],
        average=projected(average),
        average_is_zero=np.array(not average.any()),
        zero=projected(np.zeros_like(average)),
        masked=MASKED,
    )


def made(
    image_row, fill, image_token=ImageToken.PUBLISHED, ablated=ABLATED, **of_store
):
    config = dataclasses.replace(
        small("ctrl_uniter_base"), add_global_imgfeat=image_row
    )
    batch = RegionBatch(
        image=jnp.array([0, 1]),
        ablated=jnp.asarray(ablated),
        fill=jnp.full(2, int(fill)),
        donor=None if fill in PUBLISHED else jnp.array(DONORS),
    )
    make = functools.partial(region_input, config, image_token)
    placed = jax.device_put(store(**{"regions": world(), **of_store}))
    return jax.jit(make)(placed, batch)


def test_average_weighs_images_by_mentions():
    regions = world()
    means = [regions.features[0].mean(axis=0), regions.features[1, :3].mean(axis=0)]
    expected = (3 * means[0] + means[1]) / 4
    found = average_features(regions, {"7": 3, "008": 1, "9": 5})
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("image_row", list(GlobalImage))
@pytest.mark.parametrize("fill", list(Fill))
def test_ablated_rows_are_replaced(image_row, fill):
    boxes = slice(1, 5) if image_row is GlobalImage.FIRST else slice(0, 4)
    inputs = made(image_row, fill)
    padding = ~np.asarray(store(world()).present)
    zero = padding | (ABLATED if fill in (Fill.ZERO, Fill.MASKED) else False)
    expected = projected(replaced(fill, world()))
    expected = np.where(zero[..., None], MASKED, expected)
    np.testing.assert_allclose(inputs.features[:, boxes], expected, rtol=1e-6)
    np.testing.assert_array_equal(inputs.is_zero[:, boxes], zero)
    np.testing.assert_array_equal(inputs.locations[:, boxes], store(world()).locations)
    attended = ~padding & ~(ABLATED if fill is Fill.DROP else False)
    np.testing.assert_array_equal(inputs.mask[:, boxes], attended)


@pytest.mark.parametrize("image_row", [GlobalImage.FIRST, GlobalImage.LAST])
@pytest.mark.parametrize("fill", [fill for fill in Fill if fill is not Fill.MASKED])
def test_image_row_of_vis4lang_is_the_mean_of_what_is_left(image_row, fill):
    inputs = made(image_row, fill)
    row = 0 if image_row is GlobalImage.FIRST else -1
    changed, stay = replaced(fill, world()), np.arange(4) < [[4], [3]]
    if fill is Fill.DROP:
        stay &= ~ABLATED
    means = np.stack([changed[n, stay[n]].mean(axis=0) for n in range(2)])
    np.testing.assert_allclose(inputs.features[:, row], projected(means), rtol=1e-5)
    np.testing.assert_array_equal(inputs.locations[:, row], 3)
    assert inputs.mask[:, row].all() and not inputs.is_zero[:, row].any()


@pytest.mark.parametrize("image_row", [GlobalImage.FIRST, GlobalImage.LAST])
def test_image_row_of_lang4vis(image_row):
    row = 0 if image_row is GlobalImage.FIRST else -1
    features = world().features
    published = made(image_row, Fill.MASKED).features[:, row]
    whole = np.stack([features[0].mean(axis=0), features[1, :3].mean(axis=0)])
    np.testing.assert_allclose(published, projected(whole), rtol=1e-5)
    recomputed = made(image_row, Fill.MASKED, ImageToken.RECOMPUTED).features[:, row]
    unmasked = np.stack(
        [features[0, [1, 3]].mean(axis=0), features[1, [0, 2]].mean(axis=0)]
    )
    np.testing.assert_allclose(recomputed, projected(unmasked), rtol=1e-5)


def test_an_average_region_stands_for_all_that_are_dropped():
    everything = np.ones_like(ABLATED)
    for mean, expected in ((AVERAGE, projected(AVERAGE)), (0 * AVERAGE, MASKED)):
        inputs = made(GlobalImage.FIRST, Fill.DROP, ablated=everything, average=mean)
        np.testing.assert_array_equal(inputs.mask, [[True] + [False] * 4] * 2)
        np.testing.assert_allclose(inputs.features[:, 0], [expected] * 2, rtol=1e-6)


def test_rows_without_features():
    """Regions of the detector's, an average of nothing, an [IMG] with none left."""
    regions = world()
    regions.features[0, 1] = 0
    inputs = made(GlobalImage.FIRST, Fill.AVERAGE, regions=regions)
    np.testing.assert_array_equal(inputs.is_zero[0], [0, 0, 1, 0, 0])
    np.testing.assert_array_equal(inputs.features[0, 2], MASKED)
    # It counts in the mean, as features of zero do.
    changed = np.where(ABLATED[0][:, None], AVERAGE, regions.features[0])
    np.testing.assert_allclose(
        inputs.features[0, 0], projected(changed.mean(axis=0)), rtol=1e-5
    )
    nothing = made(GlobalImage.FIRST, Fill.AVERAGE, average=np.zeros_like(AVERAGE))
    np.testing.assert_array_equal(nothing.is_zero[0, 1:], ABLATED[0])
    everything = np.ones_like(ABLATED)
    for token, is_zero in ((ImageToken.PUBLISHED, 0), (ImageToken.RECOMPUTED, 1)):
        inputs = made(GlobalImage.LAST, Fill.MASKED, token, ablated=everything)
        np.testing.assert_array_equal(inputs.is_zero[:, -1], [is_zero] * 2)
        same = np.array_equal(inputs.features[0, -1], MASKED)
        assert same == is_zero


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("kind", ["uniter", "vl-bert"])
def test_projected_once(kind, devices, monkeypatch):
    """In parts of 4 images, of which the last begins early."""
    monkeypatch.setattr(projection, "_IMAGES", 4)
    config, here = shallow(kind), LocalDevices(devices)
    params = here.replicate(ruled_params(config))
    host = host_store(config, regions(), average())
    with jax.transfer_guard("disallow"):
        placed = projected_store(config, params, host, here)
    for found in jax.tree.leaves(placed):
        assert len(found.sharding.device_set) == devices
    model = VisionLanguageBert(config)
    for name in ("features", "locations"):
        expected = model.apply(
            {"params": params},
            jnp.asarray(getattr(host, name)),
            method=f"project_{name}",
        )
        np.testing.assert_allclose(getattr(placed, name), expected, atol=1e-5)
    assert len(host.features) % 4


def test_missing_regions_are_masked():
    mask = np.asarray(made(GlobalImage.FIRST, Fill.AVERAGE).mask)
    np.testing.assert_array_equal(mask, [[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]])
    assert made(GlobalImage.ABSENT, Fill.AVERAGE).features.shape == (2, 4, WIDTH)


def test_features_of_another_detector():
    with pytest.raises(UserError, match="8 features.*ctrl_uniter_base reads 2048"):
        host_store(small("ctrl_uniter_base"), world(), AVERAGE)
