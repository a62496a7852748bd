"""What the input pipeline gives to the training step."""

from jaxtyping import Bool, Float, Int

from xabl.models.structs import RegionInput, TextInput
from xabl.types import AnyArray, pytree


@pytree
class PretrainingBatch:
    """One batch of masked caption-image pairs; every shape is static.

    `regions` counts the [IMG] row where the model has one, `targets` are slots, and
    `*batch` is one axis as the pipeline gives it, any number after a reshape to
    [devices, parts, batch]. Every region field is None for a text-only model, and
    `unmasked_features` where no visual target needs them.

    The targets of the words lie where the words lie (-1: not a target). The targets
    of the regions are gathered into slots, because one row of class probabilities is
    larger than the feature vector: slot k of example b is about row
    `target_rows[b, k]` of the region stream, and is empty where that is -1.

    example_index: number of the caption-image pair in its split, -1 for the rows that
        fill up the last batch of a validation split. Those rows are valid input and
        have no target of any kind, so that they add nothing to any sum or count.
    token_ids: after masking, and after replacement of the caption if it was replaced.
    position_shift_start: the example's own number of words ([CLS], [SEP] counted), see
        `TextInput`.
    mlm_targets: word pieces to predict, -1 elsewhere.
    region_features: after masking and ablation, [IMG] row computed from the result.
    labels: of the targets, by the field of `ImageRegions` they come from, each
        [*batch targets ...]: those that a visual target of the model needs.
    unmasked_features: the region stream before masking and ablation; [IMG] is then the
        plain mean of the image ("1", "2", "5").
    itm_labels: 0 matching pair, 1 replaced caption, -1 no matching loss here.
    """

    example_index: Int[AnyArray, "*batch"]
    token_ids: Int[AnyArray, "*batch words"]
    text_mask: Bool[AnyArray, "*batch words"]
    token_type_ids: Int[AnyArray, "*batch words"]
    position_shift_start: Int[AnyArray, "*batch"]
    mlm_targets: Int[AnyArray, "*batch words"]
    itm_labels: Int[AnyArray, "*batch"]
    region_features: Float[AnyArray, "*batch regions features"] | None = None
    region_locations: Float[AnyArray, "*batch regions locations"] | None = None
    region_mask: Bool[AnyArray, "*batch regions"] | None = None
    target_rows: Int[AnyArray, "*batch targets"] | None = None
    labels: dict[str, AnyArray] | None = None
    unmasked_features: Float[AnyArray, "*batch regions features"] | None = None

    @property
    def text(self) -> TextInput:
        """The words as the model takes them."""
        return TextInput(
            token_ids=self.token_ids,
            mask=self.text_mask,
            token_type_ids=self.token_type_ids,
            position_shift_start=self.position_shift_start,
        )

    @property
    def regions(self) -> RegionInput | None:
        """The regions as the model takes them."""
        if self.region_features is None:
            return None
        return RegionInput(
            features=self.region_features,
            locations=self.region_locations,
            mask=self.region_mask,
        )
