"""What the regions of many images look like, in numbers.

Pretraining keeps them with the model, so that other features are noticed before they
are scored. Two detectors, or one with its channels in another order, give features of
the same scale; but each channel has a mean of its own.
"""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from jaxtyping import Float32

from xabl.errors import UserError

_DIGITS = 4  # kept of every number
_IMAGES = 256  # described of many


@dataclasses.dataclass(frozen=True, kw_only=True)
class RegionDescription:
    """Of the regions of some images.

    images: how many were looked at.
    fewest, median, most: regions of an image.
    mean, std: of all features.
    zeros: share of the features that are 0.
    channel_means: mean of each channel over regions.
    channel_stds: standard deviation of each channel over regions.
    """

    images: int
    fewest: int
    median: int
    most: int
    mean: float
    std: float
    zeros: float
    channel_means: tuple[float, ...]
    channel_stds: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """For the report of a model directory."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Any, source: str) -> "RegionDescription":
        """What `to_json` wrote.

        Raises:
            UserError: it is damaged; names `source`.
        """
        try:
            numbers = {f.name: values[f.name] for f in dataclasses.fields(cls)}
            for name in ("channel_means", "channel_stds"):
                numbers[name] = tuple(float(value) for value in numbers[name])
            for name in ("mean", "std", "zeros"):
                numbers[name] = float(numbers[name])
            for name in ("images", "fewest", "median", "most"):
                numbers[name] = int(numbers[name])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{source}: the description of the regions is damaged ({error!r}); "
                "copy the model again"
            ) from error
        return cls(**numbers)

    def __str__(self) -> str:
        """For people."""
        counts = str(self.median)
        if self.fewest < self.most:
            counts = f"{self.fewest} to {self.most}"
        return (
            f"mean {self.mean:.3g}, standard deviation {self.std:.3g}, "
            f"{100 * self.zeros:.0f}% zeros; {counts} regions an image"
        )


def describe(
    images: Iterable[Float32[np.ndarray, "_ features"]],
) -> RegionDescription | None:
    """Describes features, one image in memory at a time; None without images.

    Args:
        images: the features of each; padding taken off.
    """
    counts: list[int] = []
    total, squares, zeros = 0.0, 0.0, 0
    for features in images:
        counts.append(len(features))
        total = total + features.sum(axis=0, dtype=np.float64)
        squares = squares + np.square(features, dtype=np.float64).sum(axis=0)
        zeros += int(np.count_nonzero(features == 0))
    if not counts:
        return None
    rows = sum(counts)
    means = total / rows
    stds = np.sqrt(np.maximum(squares / rows - means**2, 0))
    mean = float(means.mean())
    return RegionDescription(
        images=len(counts),
        fewest=min(counts),
        median=int(np.median(counts)),
        most=max(counts),
        mean=_rounded(mean),
        std=_rounded(np.sqrt(max(squares.mean() / rows - mean**2, 0))),
        zeros=_rounded(zeros / (rows * len(means))),
        channel_means=tuple(map(_rounded, means)),
        channel_stds=tuple(map(_rounded, stds)),
    )


def describe_part(count: int, image: Callable[[int], Any]) -> RegionDescription | None:
    """Describes some of `count` images, evenly taken.

    Args:
        image: one by its number, with `features`, padding last, and `num_boxes`.
    """
    images = map(image, evenly(count, _IMAGES))
    return describe(image.features[: image.num_boxes] for image in images)


def evenly(count: int, most: int) -> list[int]:
    """At most so many of `count` places, evenly spaced."""
    return np.linspace(0, count - 1, min(count, most)).astype(int).tolist()


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
