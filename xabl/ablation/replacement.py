"""What takes the place of the features of regions that are hidden.

A condition names the way (`results.conditions.WAYS`); here is what it does to an image.
Locations stay. The definition and the plan both ask here.
"""

import dataclasses
import enum
from collections.abc import Callable

from xabl.data.regions.image_regions import StackedRegions
from xabl.results.conditions import Condition, Direction

NO_DONOR = -1


class Fill(enum.IntEnum):
    """Where features come from that are put in a hidden region's place."""

    AVERAGE = 0  # the data set's average feature vector
    ZERO = 1  # all features zero, as for masked regions in pretraining
    IMAGE = 2  # the region of the same number in another image, the donor


@dataclasses.dataclass(frozen=True, kw_only=True)
class Replacement:
    """For one image.

    donor: row of the image that regions are taken from, in the order of `image_ids`.
        If it has fewer, they are taken again from the first.
    """

    fill: Fill
    donor: int = NO_DONOR


# vis4lang, by way: from the regions of all images and the row of one. None: published.
REGION_WAYS: dict[str | None, Callable[[StackedRegions, int], Replacement]] = {
    None: lambda regions, row: Replacement(fill=Fill.AVERAGE),
}


def replacement(condition: Condition, regions: StackedRegions, row: int) -> Replacement:
    """What replaces hidden regions of the image in a row of `regions`."""
    if condition.direction is Direction.LANG4VIS:
        return Replacement(fill=Fill.ZERO)
    return REGION_WAYS[condition.way](regions, row)
