"""The region store on the device, and region inputs made from it there.

The features of all images are placed once; a step ships which image, which of its
regions are ablated and how, a few bytes an input instead of 300 kilobytes.
"""

import enum
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from xabl.ablation.distinct_inputs import Fill
from xabl.data.regions.image_regions import StackedRegions, canonical_id
from xabl.errors import UserError
from xabl.models.config import GlobalImage, ModelConfig
from xabl.models.structs import RegionInput
from xabl.types import AnyArray, pytree


class ImageToken(enum.StrEnum):
    """What the [IMG] row of a lang4vis input is the mean of.

    PUBLISHED: the whole image, as the reference has it: 1/36 of the [IMG] row is the
        region whose class is to be predicted.
    RECOMPUTED: the regions that are not masked, as in pretraining.
    """

    PUBLISHED = "published"
    RECOMPUTED = "recomputed"


@pytree
class RegionStore:
    """Every image's regions, and what is put in the place of ablated ones.

    locations: relative (0 ... 1), see `RegionInput`; present: False for padding of
    images with fewer regions; average: the data set's average feature vector.
    """

    features: Float[AnyArray, "images boxes features"]
    locations: Float[AnyArray, "images boxes locations"]
    present: Bool[AnyArray, "images boxes"]
    average: Float[AnyArray, " features"]


@pytree
class RegionBatch:
    """Region inputs as a step ships them; see `RegionInputs`."""

    image: Int[AnyArray, "*devices batch"]
    ablated: Bool[AnyArray, "*devices batch boxes"]
    fill: Int[AnyArray, "*devices batch"]


def host_store(
    config: ModelConfig,
    regions: StackedRegions,
    average: Float32[np.ndarray, " features"],
) -> RegionStore:
    """The store's arrays, still on the host.

    Raises:
        UserError: the features are not those the model was trained with.
    """
    check_feature_size(config, regions.features.shape[2], "the regions")
    present = np.arange(regions.boxes.shape[1]) < regions.num_boxes[:, None]
    return RegionStore(
        features=regions.features,
        locations=relative_locations(regions, config.num_locs),
        present=present,
        average=average,
    )


def check_feature_size(config: ModelConfig, size: int, source: str) -> None:
    """Compares features with the model that is to read them.

    Raises:
        UserError: the sizes differ; names `source` and both.
    """
    if size != config.v_feature_size:
        raise UserError(
            f"{source}: {size} features a region, model {config.name} reads "
            f"{config.v_feature_size}; use regions of the detector it was trained with"
        )


def relative_locations(
    regions: StackedRegions, num_locs: int
) -> Float32[np.ndarray, "images boxes locations"]:
    """x1/W, y1/H, x2/W, y2/H and, for `num_locs` 5, the share of the image's area."""
    width = regions.img_w[:, None].astype(np.float32)
    height = regions.img_h[:, None].astype(np.float32)
    x1, y1, x2, y2 = np.moveaxis(regions.boxes, -1, 0)
    columns = [x1 / width, y1 / height, x2 / width, y2 / height]
    if num_locs == 5:
        columns.append((x2 - x1) * (y2 - y1) / (width * height))
    return np.stack(columns, axis=-1).astype(np.float32)


def average_features(
    regions: StackedRegions, mentions: Mapping[str, int]
) -> Float32[np.ndarray, " features"]:
    """The average feature vector of a split.

    Args:
        regions: of all images of the split.
        mentions: by image id, how often it is mentioned: its weight. The average is
            taken over phrase mentions, those that cannot be scored included.
    """
    counts = {canonical_id(image_id): n for image_id, n in mentions.items()}
    total = np.zeros(regions.features.shape[2], np.float64)
    weights = 0
    for row, image_id in enumerate(regions.image_ids):
        weight = counts.get(canonical_id(image_id), 0)
        if weight:
            count = regions.num_boxes[row]
            mean = regions.features[row, :count].mean(axis=0, dtype=np.float64)
            total += weight * mean
            weights += weight
    return (total / max(weights, 1)).astype(np.float32)


def region_input(
    config: ModelConfig,
    image_token: ImageToken,
    store: RegionStore,
    batch: RegionBatch,
) -> RegionInput:
    """The model's region input, [IMG] row included where it has one.

    Source: Frank et al. 2021, section 3; what the [IMG] row holds is measured from
    the published code.
    """
    whole = store.features[batch.image]
    present = store.present[batch.image]
    locations = store.locations[batch.image]
    is_average = (batch.fill == Fill.AVERAGE)[:, None]
    substitute = jnp.where(is_average, store.average[None], 0.0)
    features = jnp.where(batch.ablated[..., None], substitute[:, None], whole)
    if not config.has_image_row:
        return RegionInput(features=features, locations=locations, mask=present)
    visible = jnp.sum(features, axis=1)
    total = jnp.sum(present, axis=1, keepdims=True)
    if image_token is ImageToken.PUBLISHED:
        of_masked = jnp.sum(whole, axis=1) / total
    else:
        unmasked = jnp.sum(present & ~batch.ablated, axis=1, keepdims=True)
        of_masked = visible / jnp.maximum(unmasked, 1)
    image_row = jnp.where(is_average, visible / total, of_masked)
    image_location = jnp.array([0.0, 0.0, 1.0, 1.0, 1.0])[: config.num_locs]
    rows = (
        (features, image_row[:, None]),
        (
            locations,
            jnp.broadcast_to(image_location, (len(locations), 1, len(image_location))),
        ),
        (present, jnp.ones_like(total, bool)),
    )
    first = config.add_global_imgfeat is GlobalImage.FIRST
    joined = [
        jnp.concatenate((extra, boxes) if first else (boxes, extra), axis=1)
        for boxes, extra in rows
    ]
    return RegionInput(features=joined[0], locations=joined[1], mask=joined[2])
