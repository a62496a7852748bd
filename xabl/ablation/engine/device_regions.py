"""The region store, and region inputs made from it on the device.

What a model makes of a region by itself is made once and placed on the device; a step
ships which image, which of its regions are ablated and how, a few bytes an input
instead of 300 kilobytes. Features are ablated after the model's first product with
them: that is affine, so the product of [IMG], a mean, is the mean of products.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Int

from xabl.ablation.options import ImageToken
from xabl.ablation.replacement import Fill
from xabl.data.boxes import relative_locations
from xabl.data.regions.image_regions import StackedRegions
from xabl.errors import UserError
from xabl.models.config import ModelConfig
from xabl.models.layers import row_major
from xabl.models.structs import ProjectedRegions
from xabl.types import AnyArray, pytree


@pytree
class HostStore:
    """Every image's regions on the host, and what ablated ones are replaced with.

    locations: relative (0 ... 1), see `RegionInput`.
    present: False for padding of images with fewer regions.
    average: the data set's average feature vector.
    """

    features: Float[AnyArray, "images boxes features"]
    locations: Float[AnyArray, "images boxes locations"]
    present: Bool[AnyArray, "images boxes"]
    average: Float[AnyArray, " features"]


@pytree
class ProjectedStore:
    """The region store as a model's first products see it; see `ProjectedRegions`.

    image_location: of the [IMG] row.
    is_zero: regions without any feature, padding among them.
    average: product of `HostStore.average`.
    average_is_zero: whether that average is zero.
    zero: product of features that are all zero, as they count in a mean.
    masked: takes the place of a row whose features are zero.
    """

    features: Float[AnyArray, "images boxes region_hidden"]
    locations: Float[AnyArray, "images boxes region_hidden"] | None
    image_location: Float[AnyArray, " region_hidden"] | None
    is_zero: Bool[AnyArray, "images boxes"]
    present: Bool[AnyArray, "images boxes"]
    average: Float[AnyArray, " region_hidden"]
    average_is_zero: Bool[AnyArray, ""]
    zero: Float[AnyArray, " region_hidden"]
    masked: Float[AnyArray, " region_hidden"]


@pytree
class RegionBatch:
    """Region inputs as a step ships them; see `RegionInputs`.

    donor: None where all inputs of the plan are those of the published study; the
        program is then compiled for these alone.
    """

    image: Int[AnyArray, "*devices batch"]
    ablated: Bool[AnyArray, "*devices batch boxes"]
    fill: Int[AnyArray, "*devices batch"]
    donor: Int[AnyArray, "*devices batch"] | None = None


def host_store(
    config: ModelConfig,
    regions: StackedRegions,
    average: Float32[np.ndarray, " features"],
) -> HostStore:
    """The store's arrays, still on the host.

    Raises:
        UserError: the features are not those the model was trained with.
    """
    check_feature_size(config, regions.features.shape[2], "the regions")
    present = np.arange(regions.boxes.shape[1]) < regions.num_boxes[:, None]
    return HostStore(
        features=regions.features,
        locations=relative_locations(
            regions.boxes, regions.img_w, regions.img_h, config.num_locs
        ),
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
    is_masked = (batch.fill == Fill.MASKED)[:, None]
    instead, instead_is_zero = _instead(store, batch)
    features = jnp.where(ablated[..., None], instead, whole)
    is_zero = jnp.where(ablated, instead_is_zero | is_masked, whole_is_zero)
    stays = present
    if batch.donor is not None:
        stays &= ~(ablated & (batch.fill == Fill.DROP)[:, None])
    boxes = ProjectedRegions(
        features=jnp.where(is_zero[..., None], store.masked, features),
        locations=None if store.locations is None else store.locations[batch.image],
        is_zero=is_zero,
        mask=stays,
    )
    if not config.has_image_row:
        return boxes
    # What the [IMG] row is the mean of. Masked rows of `features` are not yet zero's
    # products, so lang4vis takes it from the image as it was.
    counted = stays
    if image_token is ImageToken.RECOMPUTED:
        counted &= ~(is_masked & ablated)
    rows = jnp.where(is_masked[..., None], whole, features)
    row_is_zero = jnp.where(is_masked, whole_is_zero, is_zero)
    total = jnp.sum(jnp.where(counted[..., None], rows, 0.0), axis=1)
    count = jnp.maximum(jnp.sum(counted, axis=1, keepdims=True), 1)
    mean, image_is_zero = total / count, row_is_zero | ~counted
    image_is_zero = jnp.all(image_is_zero, axis=1, keepdims=True)
    if batch.donor is not None:
        # Of regions that are dropped an average one stays.
        none_stays = ~jnp.any(stays, axis=1, keepdims=True)
        mean = jnp.where(none_stays, store.average, mean)
        image_is_zero = jnp.where(none_stays, store.average_is_zero, image_is_zero)
    image = ProjectedRegions(
        features=jnp.where(image_is_zero, store.masked, mean)[:, None],
        locations=None
        if store.locations is None
        else jnp.broadcast_to(
            store.image_location, (len(total), 1, *store.image_location.shape)
        ),
        is_zero=image_is_zero,
        mask=jnp.ones_like(image_is_zero),
    )
    return jax.tree.map(
        lambda *parts: row_major(jnp.concatenate(parts, axis=1)),
        *((image, boxes) if config.first_box else (boxes, image)),
    )


def _instead(
    store: ProjectedStore, batch: RegionBatch
) -> tuple[Float[Array, "*_ region_hidden"], Bool[Array, "*_"]]:
    """What stands for an ablated region, unless it is masked; whether that is zero."""
    if batch.donor is None:
        return store.average, store.average_is_zero
    count = jnp.sum(store.present[batch.donor], axis=1, keepdims=True)
    rows = jnp.arange(store.present.shape[1]) % jnp.maximum(count, 1)
    donor, fill = batch.donor[:, None], batch.fill[:, None]
    instead = jnp.where((fill == Fill.ZERO)[..., None], store.zero, store.average)
    is_zero = (fill == Fill.ZERO) | store.average_is_zero
    from_donor = fill == Fill.IMAGE
    return (
        jnp.where(from_donor[..., None], store.features[donor, rows], instead),
        jnp.where(from_donor, store.is_zero[donor, rows], is_zero),
    )
