"""Names of array axes, used in every public signature, and structs of arrays.

| axis | meaning |
|---|---|
| `batch` | inputs scored or trained on together |
| `words` | positions of the text stream: [CLS], word pieces, [SEP], padding |
| `regions` | positions of the region stream, the optional [IMG] row counted |
| `boxes` | the detector's regions of one image, [IMG] not counted (36) |
| `features` | size of one region's feature vector (2048 in published models) |
| `locations` | numbers that place a region: x1, y1, x2, y2 and perhaps area |
| `hidden`, `region_hidden` | width of the text stream, of the region stream |
| `vocabulary` | word pieces |
| `classes` | outputs of one visual target |
| `targets` | positions a head is applied to |
"""

import dataclasses
from typing import TypeVar, dataclass_transform

import jax
import numpy as np

AnyArray = jax.Array | np.ndarray  # on the devices, or still on the host

_T = TypeVar("_T")


@dataclass_transform(kw_only_default=True, frozen_default=True)
def pytree(cls: type[_T]) -> type[_T]:
    """Makes a class a frozen, keyword-only dataclass that JAX sees into.

    Unflattening does not call `__init__`, because JAX also fills trees with shapes,
    shardings and other stand-ins that the annotated array types would refuse.
    """
    cls = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
    names = [field.name for field in dataclasses.fields(cls)]

    def flatten_with_keys(instance):
        keys = map(jax.tree_util.GetAttrKey, names)
        return list(zip(keys, flatten(instance)[0], strict=True)), None

    def flatten(instance):
        return [getattr(instance, name) for name in names], None

    def unflatten(_, children):
        instance = object.__new__(cls)
        for name, child in zip(names, children, strict=True):
            object.__setattr__(instance, name, child)
        return instance

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    return cls
