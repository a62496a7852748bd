"""Distinct inputs of the two streams, and the pairs of them that are scored."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Bool, Float32, Int32, Shaped

from xabl.ablation.replacement import Fill
from xabl.data.regions.image_regions import StackedRegions

NOT_SCORED = -1  # in tables of pair numbers


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class WordInputs:
    """Distinct inputs of the text stream: [CLS] ... [SEP], then zeros.

    shift_starts: the position from which VL-BERT shifts word positions.
    dropped: pieces that are not attended to.
    """

    token_ids: Int32[np.ndarray, "inputs words"]
    lengths: Int32[np.ndarray, " inputs"]
    shift_starts: Int32[np.ndarray, " inputs"]
    dropped: Bool[np.ndarray, "inputs words"]

    @functools.cached_property
    def has_dropped(self) -> bool:
        """Whether any piece of any input is not attended to."""
        return bool(self.dropped.any())

    def __len__(self) -> int:
        return len(self.lengths)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class RegionInputs:
    """Distinct inputs of the region stream: an image and what is done to its rows.

    ablated: rows whose features are replaced, or that are not attended to.
    fill, donor: by what, see `RegionsInstead`.
    """

    image: Int32[np.ndarray, " inputs"]
    ablated: Bool[np.ndarray, "inputs boxes"]
    fill: Int32[np.ndarray, " inputs"]
    donor: Int32[np.ndarray, " inputs"]

    @functools.cached_property
    def is_published(self) -> bool:
        """Whether nothing is done to any row that the published study does not do."""
        return bool(np.isin(self.fill, (Fill.AVERAGE, Fill.MASKED)).all())

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

    objects_id: 0 ... 1599.
    silver: the top class of all 1601, background included.
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


class WordInputKey(NamedTuple):
    token_ids: bytes  # int32
    shift_start: int
    dropped: bytes  # bool


class RegionInputKey(NamedTuple):
    image: int
    fill: int
    donor: int
    ablated: bytes  # bool


class MlmPairKey(NamedTuple):
    word: int
    region: int
    positions: bytes  # int64
    labels: bytes  # int32


class MrcPairKey(NamedTuple):
    word: int
    region: int
    target: int
    label: int
    gold: int


class TargetKey(NamedTuple):
    image: int
    region: int


_Key = TypeVar("_Key", WordInputKey, RegionInputKey, MlmPairKey, MrcPairKey, TargetKey)


class Distinct(Generic[_Key]):
    """Distinct keys of one kind, numbered from 0 in the order they are first seen."""

    def __init__(self):
        self._numbers: dict[_Key, int] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def number(self, key: _Key) -> int:
        return self._numbers.setdefault(key, len(self._numbers))

    def column(self, name: str) -> list:
        """One field of all keys."""
        return [getattr(key, name) for key in self._numbers]

    def integers(self, name: str) -> Int32[np.ndarray, " keys"]:
        return np.array(self.column(name), np.int32)


def word_inputs(keys: Distinct[WordInputKey]) -> WordInputs:
    token_ids, lengths = _padded(keys.column("token_ids"), np.int32)
    return WordInputs(
        token_ids=token_ids,
        lengths=lengths,
        shift_starts=keys.integers("shift_start"),
        dropped=_padded(keys.column("dropped"), bool)[0],
    )


def region_inputs(keys: Distinct[RegionInputKey], boxes: int) -> RegionInputs:
    ablated = np.frombuffer(b"".join(keys.column("ablated")), bool)
    return RegionInputs(
        image=keys.integers("image"),
        fill=keys.integers("fill"),
        donor=keys.integers("donor"),
        ablated=ablated.reshape(len(keys), boxes),
    )


def mlm_pairs(keys: Distinct[MlmPairKey]) -> MlmPairs:
    positions, num_targets = _padded(keys.column("positions"), np.int64)
    return MlmPairs(
        word=keys.integers("word"),
        region=keys.integers("region"),
        positions=positions.astype(np.int32),
        labels=_padded(keys.column("labels"), np.int32)[0],
        num_targets=num_targets,
    )


def mrc_pairs(keys: Distinct[MrcPairKey]) -> MrcPairs:
    return MrcPairs(**{name: keys.integers(name) for name in MrcPairKey._fields})


def target_classes(
    keys: Distinct[TargetKey], regions: StackedRegions | None
) -> TargetClasses:
    """What the detector says about the targets.

    Args:
        regions: None for a text-only model, which has no targets.
    """
    image, region = keys.integers("image"), keys.integers("region")
    if not len(keys):
        return TargetClasses(
            image=image,
            region=region,
            objects_id=image,
            objects_conf=np.zeros(0, np.float32),
            silver=image,
            cls_prob=None,
        )
    objects_id = regions.objects_id[image, region].astype(np.int32)
    cls_prob, silver = regions.cls_prob, objects_id + 1
    if cls_prob is not None:
        cls_prob = cls_prob[image, region]
        silver = cls_prob.argmax(axis=1).astype(np.int32)
    return TargetClasses(
        image=image,
        region=region,
        objects_id=objects_id,
        objects_conf=regions.objects_conf[image, region],
        silver=silver,
        cls_prob=cls_prob,
    )


def _padded(
    rows: Sequence[bytes], dtype: type
) -> tuple[Shaped[np.ndarray, "rows _"], Int32[np.ndarray, " rows"]]:
    """Arrays given as bytes, padded with zeros to the longest; and their lengths."""
    arrays = [np.frombuffer(row, dtype) for row in rows]
    lengths = np.array([len(array) for array in arrays], np.int32)
    result = np.zeros((len(arrays), int(lengths.max(initial=0))), dtype)
    for number, array in enumerate(arrays):
        result[number, : len(array)] = array
    return result, lengths
