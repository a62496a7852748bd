"""What a model is to an ablation: a function from words and regions to logits.

Any function of this kind can be ablated by `definition.Definition`, whatever library it
is written in: it is given numpy arrays and may return numpy arrays. `flax_model` makes
one of our models.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from xabl.data.boxes import WHOLE_IMAGE
from xabl.models.config import ModelConfig
from xabl.models.model import VisionLanguageBert
from xabl.models.structs import RegionInput, TextInput
from xabl.types import AnyArray, pytree


@pytree
class Words:
    """[CLS], the pieces of a caption, [SEP], padding; what is hidden is replaced.

    mask: False for padding and for words that are dropped: not attended to.
    shift_starts: for VL-BERT, see `TextInput`.
    """

    token_ids: Int[AnyArray, "*batch words"]
    mask: Bool[AnyArray, "*batch words"]
    shift_starts: Int[AnyArray, "*batch"]


@pytree
class Regions:
    """The detector's regions of an image; features of hidden ones are replaced.

    locations: x1, y1, x2, y2 and area, relative to the image's.
    mask: False for padding and for regions that are dropped: not attended to.
    image: features of the image as a whole, for models with an [IMG] row.
    """

    features: Float[AnyArray, "*batch boxes features"]
    locations: Float[AnyArray, "*batch boxes 5"]
    mask: Bool[AnyArray, "*batch boxes"]
    image: Float[AnyArray, "*batch features"]


@pytree
class Logits:
    """What a model predicts at every word and for every region.

    words: None from a model that cannot be asked for words.
    regions: classes of the visual target that is scored; None if there is none.
    """

    words: Float[AnyArray, "batch words vocabulary"] | None
    regions: Float[AnyArray, "batch boxes classes"] | None


Model = Callable[[Words, Regions | None], Logits]


def flax_model(config: ModelConfig, params: dict) -> Model:
    """One of our models, compiled; `params` are best placed on a device."""
    model = VisionLanguageBert(config, precision="highest")
    target = next(iter(config.visual_targets), None)
    first = config.first_box

    # All heads everywhere, whatever a loss reads of them.
    @jax.jit
    def logits(params: dict, words: Words, regions: Regions | None) -> Logits:
        rows = None if regions is None else region_rows(config, regions)
        output = model.apply({"params": params}, text_rows(words), rows)
        of_regions = None if target is None else output.region_logits[target.name]
        if of_regions is not None:
            of_regions = of_regions[:, first : first + regions.features.shape[1]]
        return Logits(words=output.mlm_logits, regions=of_regions)

    return functools.partial(logits, params)


def text_rows(words: Words) -> TextInput:
    """The words as our models take them."""
    return TextInput(
        token_ids=words.token_ids,
        mask=words.mask,
        token_type_ids=jnp.zeros_like(words.token_ids),
        position_shift_start=words.shift_starts,
    )


def region_rows(config: ModelConfig, regions: Regions) -> RegionInput:
    """The regions as our models take them, with the [IMG] row where there is one."""
    boxes = RegionInput(
        features=regions.features,
        locations=regions.locations[..., : config.num_locs],
        mask=regions.mask,
    )
    if not config.has_image_row:
        return boxes
    batch = len(regions.features)
    whole = jnp.array(WHOLE_IMAGE[: config.num_locs], jnp.float32)
    image = RegionInput(
        features=regions.image[:, None],
        locations=jnp.broadcast_to(whole, (batch, 1, config.num_locs)),
        mask=jnp.ones((batch, 1), bool),
    )
    rows = (image, boxes) if config.first_box else (boxes, image)
    return jax.tree.map(lambda *parts: jnp.concatenate(parts, axis=1), *rows)
