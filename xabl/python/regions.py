"""Image regions from Python: a file of them as a mapping."""

import collections
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from xabl.ablation.average import average_features
from xabl.data.flickr30k_entities import mentions, read_split
from xabl.data.regions import ImageRegions, open_regions
from xabl.python.arguments import checked
from xabl.support.image_ids import canonical_id


class RegionsByImage(Mapping[str, ImageRegions]):
    """The regions of the images in a file, by image id; read when they are asked for.

    Ids are compared as numbers where they are numbers: "007" and "7" are one image.
    The file is opened for each image, so that others can open it, too: of a large TSV
    make a store first (`xabl import`).
    """

    def __init__(
        self, path: Path | str, entities: Path | str | None = None, split: str = "val"
    ):
        """See `xabl.regions`."""
        self.path = Path(path)
        self._images = () if entities is None else read_split(Path(entities), split)
        self._sizes = {
            canonical_id(image.image_id): (image.width, image.height)
            for image in self._images
        }
        with open_regions(path) as source:
            self._ids = {canonical_id(i): i for i in source.image_ids}

    def __getitem__(self, image_id: str) -> ImageRegions:
        """The regions of one image.

        Raises:
            KeyError: the file has none of this image.
            UserError: they cannot be read, or cannot be regions of an image.
        """
        if image_id not in self:
            raise KeyError(f"{self.path} has no regions for image {image_id}")
        name = canonical_id(image_id)
        sizes = {name: self._sizes[name]} if name in self._sizes else {}
        with open_regions(self.path) as source:
            image = next(source.read_many([image_id], sizes=sizes))
        values = {f.name: getattr(image, f.name) for f in dataclasses.fields(image)}
        return _RegionsOfFile(**values, find_average=lambda: self.average)

    def __contains__(self, image_id: object) -> bool:
        return isinstance(image_id, str) and canonical_id(image_id) in self._ids

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids.values())

    def __len__(self) -> int:
        return len(self._ids)

    def __repr__(self) -> str:
        return f"<regions of {len(self)} images in {self.path}>"

    @functools.cached_property
    def average(self) -> Float32[np.ndarray, " features"]:
        """The vector that takes the place of an ablated region's features.

        With `entities`, that of the ablation: the mean over the phrase mentions of the
        split. Without, every image of the file counts once. All those images are read.

        Raises:
            UserError: one of them cannot be read.
        """
        with open_regions(self.path) as source:
            if self._images:
                counts = collections.Counter(
                    mention.image.image_id for mention in mentions(self._images)
                )
                ids = [image.image_id for image in self._images]
                return average_features(source.read_all(ids), counts)
            total = sum(
                image.features.mean(axis=0, dtype=np.float64)
                for image in source.read_many(list(self))
            )
        return (total / len(self)).astype(np.float32)


@checked(path="regions")
def regions(
    path: Path | str, *, entities: Path | str | None = None, split: str = "val"
) -> RegionsByImage:
    """The image regions in a file of any published form (LMDB, TSV, HDF5), by image id.

    Args:
        entities: Flickr30k Entities; its `split` says how large each image is, and how
            often it is mentioned, on which the average depends.

    Raises:
        UserError: a file is missing, or is not what it is given as.
    """
    return RegionsByImage(path, entities, split)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _RegionsOfFile(ImageRegions):
    """Regions that know what replaces them when they are ablated.

    find_average: the average of their file, which takes reading many images.
    """

    find_average: Callable[[], Float32[np.ndarray, " features"]]


def average_of(image: ImageRegions) -> Float32[np.ndarray, " features"] | None:
    """The average features of the file an image's regions came from, if known."""
    return image.find_average() if isinstance(image, _RegionsOfFile) else None
