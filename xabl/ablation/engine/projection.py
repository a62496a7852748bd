"""The region store placed on the devices, as a model's first products see it.

Every region's product with its features is made once, whatever the number of inputs
it stands in. These products and those with the locations together take no more room
than the features do, in any of the published models.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from xabl.ablation.engine.device_regions import HostStore, ProjectedStore
from xabl.data.boxes import WHOLE_IMAGE
from xabl.models.config import ModelConfig
from xabl.models.model import VisionLanguageBert
from xabl.support.devices import LocalDevices

# Images projected together: features of so many are on a device at a time.
_IMAGES = 64


def projected_store(
    config: ModelConfig, params: dict, store: HostStore, devices: LocalDevices
) -> ProjectedStore:
    """Projects all regions, in float32 whatever the precision of the evaluation.

    Args:
        params: placed by `LocalDevices.replicate`.
        store: on the host.
    """
    images, boxes, _ = store.features.shape
    image_location = np.array(WHOLE_IMAGE[: config.num_locs], np.float32)
    empty, fill, once = _programs(config, devices)
    single = once(params, *devices.replicate((store.average, image_location)))
    size = (images, boxes, config.v_hidden_size)
    rows = empty(size), None if single["image_location"] is None else empty(size)
    count = min(_IMAGES, images)
    for start in range(0, images, count):
        # The last part begins early: all parts have one shape.
        start = min(start, images - count)
        part = slice(start, start + count)
        shipped = (np.int32(start), store.features[part], store.locations[part])
        rows = fill(params, rows, *devices.replicate(shipped))
        # Else all features were soon on the devices.
        jax.block_until_ready(rows)
    features, locations = rows
    return ProjectedStore(
        features=features,
        locations=locations,
        **single,
        **devices.replicate(
            {
                "is_zero": ~store.features.any(axis=-1),
                "present": store.present,
                "average_is_zero": ~store.average.any(),
            }
        ),
    )


@functools.lru_cache(maxsize=1)
def _programs(config: ModelConfig, devices: LocalDevices) -> tuple[Callable, ...]:
    """What makes rows, fills them, and runs once; compiled once for all checkpoints."""
    model = VisionLanguageBert(config, precision="highest")

    def project(params, *arguments, method):
        return model.apply({"params": params}, *arguments, method=method)

    on_devices = functools.partial(jax.jit, out_shardings=devices.replicated)

    @functools.partial(on_devices, donate_argnums=1)
    def fill(params, rows, start, features, locations):
        made = (
            project(params, features, method="project_features"),
            project(params, locations, method="project_locations"),
        )
        return jax.tree.map(
            lambda all_rows, some: jax.lax.dynamic_update_slice_in_dim(
                all_rows, some, start, axis=0
            ),
            rows,
            made,
        )

    @on_devices
    def once(params, average, image_location):
        return {
            "average": project(params, average, method="project_features"),
            "image_location": project(
                params, image_location, method="project_locations"
            ),
            "zero": project(params, jnp.zeros_like(average), method="project_features"),
            "masked": project(params, method="masked_projection"),
        }

    # Compiled, it transfers nothing from the host.
    @functools.partial(on_devices, static_argnums=0)
    def empty(size):
        return jnp.zeros(size, model.dtype)

    return empty, fill, once
