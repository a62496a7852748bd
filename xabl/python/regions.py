"""Image regions from Python: a file of them as a mapping."""

import collections
import dataclasses
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from xabl.ablation.engine.device_regions import average_features
from xabl.data.flickr30k_entities import mentions, read_split
from xabl.data.regions import ImageRegions, RegionSource, open_regions
from xabl.data.regions.image_regions import canonical_id


class Regions(Mapping[str, ImageRegions]):
    """The regions of the images in a file, by image id; read when they are asked for.

    Ids are compared as numbers where they are numbers: "007" and "7" are one image.
    """

    def __init__(self, source: RegionSource, entities: Path | None, split: str):
        self._source, self._entities, self._split = source, entities, split
        self._ids = {canonical_id(image_id) for image_id in source.image_ids}

    def __getitem__(self, image_id: str) -> ImageRegions:
        """The regions of one image.

        Raises:
            KeyError: the file has none of this image.
            UserError: they cannot be read, or cannot be regions of an image.
        """
        if image_id not in self:
            raise KeyError(str(self._source.missing_image(image_id)))
        image = self._source.read(image_id)
        values = {f.name: getattr(image, f.name) for f in dataclasses.fields(image)}
        return _RegionsOfFile(**values, file=self)

    def __contains__(self, image_id: object) -> bool:
        return isinstance(image_id, str) and canonical_id(image_id) in self._ids

    def __iter__(self) -> Iterator[str]:
        return iter(self._source.image_ids)

    def __len__(self) -> int:
        return len(self._source.image_ids)

    def __repr__(self) -> str:
        return f"<regions of {len(self)} images in {self._source.path}>"

    @functools.cached_property
    def average(self) -> Float32[np.ndarray, " features"]:
        """The vector that takes the place of an ablated region's features.

        With `entities`, that of the ablation: the mean over the phrase mentions of the
        split. Without, every image of the file counts once. All those images are read.

        Raises:
            UserError: one of them cannot be read.
        """
        if self._entities is not None:
            images = read_split(self._entities, self._split)
            counts = collections.Counter(m.image.image_id for m in mentions(images))
            ids = [image.image_id for image in images]
            return average_features(self._source.read_all(ids), counts)
        means = (
            image.features.mean(axis=0, dtype=np.float64)
            for image in self._source.read_many(self._source.image_ids)
        )
        return (sum(means) / len(self)).astype(np.float32)


def regions(
    path: Path | str, *, entities: Path | str | None = None, split: str = "val"
) -> Regions:
    """The image regions in a file of any published form (LMDB, TSV, HDF5), by image id.

    Args:
        entities: Flickr30k Entities; its `split` says how often each image is
            mentioned, on which the average features depend (`Regions.average`).

    Raises:
        UserError: the file is missing or holds no image regions.
    """
    entities = None if entities is None else Path(entities)
    return Regions(open_regions(path), entities, split)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _RegionsOfFile(ImageRegions):
    """Regions that know their file, whose average replaces them when ablated."""

    file: Regions


def average_of(image: ImageRegions) -> Float32[np.ndarray, " features"] | None:
    """The average features of the file an image's regions came from, if known."""
    return image.file.average if isinstance(image, _RegionsOfFile) else None
