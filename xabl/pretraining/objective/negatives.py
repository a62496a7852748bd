"""Negatives of the noise-contrastive loss: regions of this and of other images.

They are drawn from the whole batch, with a key of each example: the number of devices
and of accumulated parts does not change them.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from xabl.models.config import GlobalImage
from xabl.pretraining.inputs.batch import PretrainingBatch
from xabl.types import pytree

NUM_NEGATIVES = 128
NUM_FROM_OTHER_EXAMPLES = round(0.7 * NUM_NEGATIVES)


@pytree
class Candidates:
    """All regions of a batch, examples in the order of their index.

    example_index: see `PretrainingBatch`; sorted.
    features: unmasked.
    box_rows: of each example, the rows of detected regions, then the other rows.
    num_boxes: number of detected regions.
    """

    example_index: Int[Array, " examples"]
    features: Float[Array, "examples regions features"]
    box_rows: Int[Array, "examples regions"]
    num_boxes: Int[Array, " examples"]


def candidates(
    example_index: Int[Array, " examples"],
    features: Float[Array, "examples regions features"],
    mask: Bool[Array, "examples regions"],
    global_image: GlobalImage,
) -> Candidates:
    """Orders a batch; padding and [IMG] rows are no candidates."""
    is_box = is_detected_region(mask, global_image) & (example_index >= 0)[:, None]
    order = jnp.argsort(example_index)
    is_box = is_box[order]
    return Candidates(
        example_index=example_index[order],
        features=features[order],
        box_rows=jnp.argsort(~is_box, axis=1),
        num_boxes=jnp.sum(is_box, axis=1, dtype=jnp.int32),
    )


def is_detected_region(
    mask: Bool[Array, "batch regions"], global_image: GlobalImage
) -> Bool[Array, "batch regions"]:
    """Rows that are neither padding nor [IMG]."""
    if global_image is GlobalImage.FIRST:
        return mask.at[:, 0].set(False)
    if global_image is GlobalImage.LAST:
        return mask.at[:, -1].set(False)
    return mask


def draw(
    keys: Key[Array, " batch"], batch: PretrainingBatch, pool: Candidates
) -> Int[Array, "batch targets negatives"]:
    """Numbers of candidates (example * regions + row); -1 where there is none.

    70% are regions of other examples, 30% other regions of the same example, drawn with
    replacement.
    """
    own = jnp.searchsorted(pool.example_index, batch.example_index)
    return jax.vmap(functools.partial(_draw_for_example, pool))(
        keys, own, batch.target_rows
    )


def _draw_for_example(
    pool: Candidates, key: Key[Array, ""], own: Array, target_rows: Array
) -> Array:
    examples, regions = pool.box_rows.shape
    slots = target_rows.shape[0]
    example_key, box_key, inside_key = jax.random.split(key, 3)

    others = (slots, NUM_FROM_OTHER_EXAMPLES)
    offset = jax.random.randint(example_key, others, 0, max(1, examples - 1))
    example = (own + 1 + offset) % examples
    boxes = pool.num_boxes[example]
    rank = _scaled(jax.random.uniform(box_key, others), boxes)
    across = jnp.where(
        (boxes > 0) & (examples > 1),
        example * regions + pool.box_rows[example, rank],
        -1,
    )

    inside_shape = (slots, NUM_NEGATIVES - NUM_FROM_OTHER_EXAMPLES)
    boxes = pool.num_boxes[own]
    is_own_row = pool.box_rows[own][None, :] == target_rows[:, None]
    target_rank = jnp.argmax(is_own_row, axis=1)[:, None]
    offset = _scaled(jax.random.uniform(inside_key, inside_shape), boxes - 1)
    rank = (target_rank + 1 + offset) % jnp.maximum(boxes, 1)
    inside = jnp.where(boxes > 1, own * regions + pool.box_rows[own, rank], -1)
    return jnp.concatenate([across, inside], axis=1)


def _scaled(uniform: Array, size: Array) -> Array:
    """0 ... size - 1; float32 can round the product up to size."""
    return jnp.clip((uniform * size).astype(jnp.int32), 0, jnp.maximum(size - 1, 0))
