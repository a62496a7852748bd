"""Visual targets: what a model learns to predict of a masked region.

Source: Bugliarello et al. (TACL 2021). Configuration files name them "0" ... "6"
(`visual_target_weights`).
"""

import dataclasses
import enum

from xabl.data.class_names import DETECTOR_ATTRIBUTES, DETECTOR_CLASSES

_FEATURES = 2048  # outputs of the decoder, whatever the size of a region's features

# Fields of `ImageRegions` in words.
_PREDICTED = {
    "cls_prob": "class probabilities",
    "objects_id": "object class",
    "attrs_id": "attribute",
    "features": "features",
}


class Loss(enum.Enum):
    """What a prediction is compared with, and how."""

    DIVERGENCE = enum.auto()  # KL from a distribution to the predicted one
    CROSS_ENTROPY = enum.auto()  # to a class
    SQUARED_ERROR = enum.auto()  # mean over the features
    SMOOTH_L1 = enum.auto()  # mean over the features
    CONTRAST = enum.auto()  # the region's own features among those of others


@dataclasses.dataclass(frozen=True, kw_only=True)
class VisualTarget:
    """One of them.

    Attributes:
        name: in configuration files, and in parameters' paths.
        size: outputs of its decoder.
        loss: in pretraining.
        label: the field of `ImageRegions` that is to be predicted.
        weight: the field that multiplies the loss; None: every region counts alike.
        first_object: its class for the detector's object 0, if it predicts objects:
            1 where the background comes first. None: it does not, and an ablation
            cannot measure it.
    """

    name: str
    size: int
    loss: Loss
    label: str
    weight: str | None = None
    first_object: int | None = None

    def __str__(self) -> str:
        loss = self.loss.name.lower().replace("_", " ")
        return f"{self.name} ({_PREDICTED[self.label]}, {self.size} outputs, {loss})"

    @property
    def labels(self) -> tuple[str, ...]:
        """Fields of `ImageRegions` that pretraining reads."""
        return (self.label,) if self.weight is None else (self.label, self.weight)

    @property
    def has_kl(self) -> bool:
        """Whether it has as many classes as the detector's distribution."""
        return self.size == DETECTOR_CLASSES

    @property
    def is_scored(self) -> bool:
        """Whether an ablation can measure it (MRC)."""
        return self.first_object is not None


VISUAL_TARGETS: dict[str, VisualTarget] = {
    target.name: target
    for target in (
        VisualTarget(
            name="0",
            size=DETECTOR_CLASSES,
            loss=Loss.DIVERGENCE,
            label="cls_prob",
            first_object=1,
        ),
        VisualTarget(
            name="1", size=_FEATURES, loss=Loss.SQUARED_ERROR, label="features"
        ),
        VisualTarget(name="2", size=_FEATURES, loss=Loss.CONTRAST, label="features"),
        VisualTarget(
            name="3",
            size=DETECTOR_CLASSES - 1,
            loss=Loss.CROSS_ENTROPY,
            label="objects_id",
            weight="objects_conf",
            first_object=0,
        ),
        VisualTarget(
            name="4",
            size=DETECTOR_ATTRIBUTES - 1,
            loss=Loss.CROSS_ENTROPY,
            label="attrs_id",
            weight="attrs_conf",
        ),
        VisualTarget(name="5", size=_FEATURES, loss=Loss.SMOOTH_L1, label="features"),
        # Its last class is unused.
        VisualTarget(
            name="6",
            size=DETECTOR_CLASSES,
            loss=Loss.CROSS_ENTROPY,
            label="objects_id",
            first_object=0,
        ),
    )
}
