"""The region store, and region inputs made from it on the device.

What a model makes of a region by itself is made once and placed on the device; a step
ships which image, which of its regions are ablated and how, a few bytes an input
instead of 300 kilobytes. Features are ablated after the model's first product with
them: that is affine, so the product of [IMG], a mean, is the mean of products.
"""

import enum
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from xabl.ablation.distinct_inputs import Fill
from xabl.data.regions.image_regions import StackedRegions, canonical_id
from xabl.errors import UserError
from xabl.models.config import GlobalImage, ModelConfig
from xabl.models.layers import row_major
from xabl.models.structs import ProjectedRegions
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
    """Every image's regions on the host, and what ablated ones are replaced with.

    locations: relative (0 ... 1), see `RegionInput`; present: False for padding of
    images with fewer regions; average: the data set's average feature vector.
    """

    features: Float[AnyArray, "images boxes features"]
    locations: Float[AnyArray, "images boxes locations"]
    present: Bool[AnyArray, "images boxes"]
    average: Float[AnyArray, " features"]


@pytree
class ProjectedStore:
    """The region store as a model's first products see it; see `ProjectedRegions`.

    image_location: of the [IMG] row. is_zero: regions without any feature, padding
    among them. average: of `RegionStore.average`; average_is_zero: whether that is
    zero. masked: takes the place of a row whose features are zero.
    """

    features: Float[AnyArray, "images boxes region_hidden"]
    locations: Float[AnyArray, "images boxes region_hidden"] | None
    image_location: Float[AnyArray, " region_hidden"] | None
    is_zero: Bool[AnyArray, "images boxes"]
    present: Bool[AnyArray, "images boxes"]
    average: Float[AnyArray, " region_hidden"]
    average_is_zero: Bool[AnyArray, ""]
    masked: Float[AnyArray, " region_hidden"]


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
    store: ProjectedStore,
    batch: RegionBatch,
) -> ProjectedRegions:
    """The model's region input, [IMG] row included where it has one.

    Source: Frank et al. 2021, section 3; what the [IMG] row holds is measured from
    the published code.
    """
    whole, ablated = store.features[batch.image], batch.ablated
    whole_is_zero, present = store.is_zero[batch.image], store.present[batch.image]
    is_average = (batch.fill == Fill.AVERAGE)[:, None]
    features = jnp.where(ablated[..., None], store.average, whole)
    is_zero = jnp.where(ablated, store.average_is_zero | ~is_average, whole_is_zero)
    boxes = ProjectedRegions(
        features=jnp.where(is_zero[..., None], store.masked, features),
        locations=None if store.locations is None else store.locations[batch.image],
        is_zero=is_zero,
        mask=present,
    )
    if not config.has_image_row:
        return boxes
    # What the [IMG] row is the mean of. Masked rows of `features` are not yet zero's
    # products, so lang4vis takes it from the image as it was.
    counted = present
    if image_token is ImageToken.RECOMPUTED:
        counted &= is_average | ~ablated
    rows = jnp.where(is_average[..., None], features, whole)
    row_is_zero = jnp.where(is_average, is_zero, whole_is_zero)
    total = jnp.sum(jnp.where(counted[..., None], rows, 0.0), axis=1)
    count = jnp.maximum(jnp.sum(counted, axis=1, keepdims=True), 1)
    image_is_zero = jnp.all(row_is_zero | ~counted, axis=1, keepdims=True)
    image = ProjectedRegions(
        features=jnp.where(image_is_zero, store.masked, total / count)[:, None],
        locations=None
        if store.locations is None
        else jnp.broadcast_to(
            store.image_location, (len(total), 1, *store.image_location.shape)
        ),
        is_zero=image_is_zero,
        mask=jnp.ones_like(image_is_zero),
    )
    first = config.add_global_imgfeat is GlobalImage.FIRST
    return jax.tree.map(
        lambda *parts: row_major(jnp.concatenate(parts, axis=1)),
        *((image, boxes) if first else (boxes, image)),
    )
