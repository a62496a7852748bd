"""Distinct inputs of the two streams, and the pairs of them that are scored."""

import dataclasses
import enum

import numpy as np
from jaxtyping import Bool, Float32, Int32

NOT_SCORED = -1  # in tables of pair numbers


class Fill(enum.IntEnum):
    """What takes the place of the features of an ablated region."""

    AVERAGE = 0  # the data set's average feature vector (vis4lang)
    ZERO = 1  # as masked regions in pretraining (lang4vis)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class WordInputs:
    """Distinct inputs of the text stream: [CLS] ... [SEP], then zeros.

    shift_starts: the position from which VL-BERT shifts word positions.
    """

    token_ids: Int32[np.ndarray, "inputs words"]
    lengths: Int32[np.ndarray, " inputs"]
    shift_starts: Int32[np.ndarray, " inputs"]

    def __len__(self) -> int:
        return len(self.lengths)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class RegionInputs:
    """Distinct inputs of the region stream: an image and what is done to its rows."""

    image: Int32[np.ndarray, " inputs"]
    ablated: Bool[np.ndarray, "inputs boxes"]
    fill: Int32[np.ndarray, " inputs"]

    def __len__(self) -> int:
        return len(self.image)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class MlmPairs:
    """Distinct scored pairs of vis4lang: predict masked words.

    region: number of the region input; `NOT_SCORED` for a text-only model.
    positions, labels: the masked pieces, `num_targets` of them, then zeros.
    """

    word: Int32[np.ndarray, " pairs"]
    region: Int32[np.ndarray, " pairs"]
    positions: Int32[np.ndarray, "pairs targets"]
    labels: Int32[np.ndarray, "pairs targets"]
    num_targets: Int32[np.ndarray, " pairs"]

    def __len__(self) -> int:
        return len(self.word)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class MrcPairs:
    """Distinct scored pairs of lang4vis: predict the class of a masked region.

    target: region among the boxes of the image ([IMG] not counted).
    label: row of `TargetClasses`.
    gold: gold class in the detector's 1601, -1 without one.
    """

    word: Int32[np.ndarray, " pairs"]
    region: Int32[np.ndarray, " pairs"]
    target: Int32[np.ndarray, " pairs"]
    label: Int32[np.ndarray, " pairs"]
    gold: Int32[np.ndarray, " pairs"]

    def __len__(self) -> int:
        return len(self.word)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TargetClasses:
    """What the detector says about each distinct target region.

    objects_id: 0 ... 1599. silver: its top class of all 1601, background included.
    cls_prob: None when the source of the regions has none.
    """

    image: Int32[np.ndarray, " targets"]
    region: Int32[np.ndarray, " targets"]
    objects_id: Int32[np.ndarray, " targets"]
    objects_conf: Float32[np.ndarray, " targets"]
    silver: Int32[np.ndarray, " targets"]
    cls_prob: Float32[np.ndarray, "targets classes"] | None

    def __len__(self) -> int:
        return len(self.image)
