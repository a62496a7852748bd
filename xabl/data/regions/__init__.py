"""Image regions: the published file formats, our own store, and what they hold.

Usage:

    with open_regions(path) as source:
        image = source.read("1000092795")
        stacked = source.read_all(image_ids)
"""

from xabl.data.regions.image_regions import ImageRegions, StackedRegions
from xabl.data.regions.recognise import open_regions
from xabl.data.regions.source import RegionSource
from xabl.data.regions.store import RegionStore, import_regions

__all__ = [
    "ImageRegions",
    "RegionSource",
    "RegionStore",
    "StackedRegions",
    "import_regions",
    "open_regions",
]
