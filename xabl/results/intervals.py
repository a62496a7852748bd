"""Intervals by resampling images, since the phrases of one image go together.

Resampling whole images (a cluster bootstrap: Davison & Hinkley 1997, section 3.8)
keeps the dependence between an image's examples; resampling examples as if they were
independent gives intervals that are too narrow. The same resamples serve every column,
so conditions and models are compared on the same images (paired).
"""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from xabl.results.resampling import CONFIDENCE, RESAMPLES

# Images that an interval and a p-value need: the least number tried (3, 5, 8, 10, 12,
# 15, 20, 30) over which intervals said to hold 95% held 90% or more of made-up truths.
# Percentile intervals over few clusters are too narrow: over 3 images they held 69%
# where losses are skewed and 73% where they are normal, over 10 images 85% and 88%,
# over 20 images 88% and 91%, over 30 images 91% and 93%; test_intervals.py repeats it.
FEWEST_IMAGES = 30
_CHUNK = 250  # resamples a matrix product; bounds the float copy of the weights


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Draws:
    """Statistics, one per column, and their values in every resample.

    estimate: NaN where there is nothing to average.
    resampled: NaN where there are fewer than `FEWEST_IMAGES`; all that is made of it
        (intervals, standard errors, p-values) is then NaN too.
    images: how many images the statistic is of.
    """

    estimate: Float[np.ndarray, " columns"]
    resampled: Float[np.ndarray, "resamples columns"]
    images: Int[np.ndarray, " columns"]

    def __getitem__(self, columns: slice | list[int]) -> "Draws":
        return Draws(
            estimate=self.estimate[columns],
            resampled=self.resampled[:, columns],
            images=self.images[columns],
        )

    def __sub__(self, other: "Draws") -> "Draws":
        return Draws(
            estimate=self.estimate - other.estimate,
            resampled=self.resampled - other.resampled,
            images=np.minimum(self.images, other.images),
        )

    def __truediv__(self, other: "Draws") -> "Draws":
        return Draws(
            estimate=self.estimate / other.estimate,
            resampled=self.resampled / other.resampled,
            images=np.minimum(self.images, other.images),
        )

    def mean(self) -> "Draws":
        """The mean over the columns, as one column."""
        return Draws(
            estimate=self.estimate.mean(keepdims=True),
            resampled=self.resampled.mean(axis=1, keepdims=True),
            images=self.images.min(keepdims=True),
        )

    def interval(
        self, confidence: float = CONFIDENCE
    ) -> tuple[Float[np.ndarray, " columns"], Float[np.ndarray, " columns"]]:
        """Percentile interval of each column: low, high; NaN: see `no_interval`."""
        tail = (1 - confidence) / 2
        low, high = np.quantile(self.resampled, [tail, 1 - tail], axis=0)
        return low, high

    def standard_error(self) -> Float[np.ndarray, " columns"]:
        """Standard deviation over the resamples."""
        if not self.resampled.size:
            return np.zeros_like(self.estimate)
        return self.resampled.std(axis=0, ddof=1)


class ImageBootstrap:
    """Resamples of the images that a set of examples comes from.

    Args:
        images: the image of each example, as any labels.
        resamples: how many.
        seed: of the resampling; the same seed and images give the same resamples.
    """

    def __init__(
        self,
        images: Shaped[np.ndarray, " examples"],
        *,
        resamples: int = RESAMPLES,
        seed: int = 0,
    ):
        labels, self._image = np.unique(images, return_inverse=True)
        self._num_images = len(labels)
        # Sorted by image, so that sums over an image are sums over a slice.
        self._order = np.argsort(self._image, kind="stable")
        self._starts = np.searchsorted(
            self._image[self._order], np.arange(self._num_images)
        )
        rng = np.random.default_rng(seed)
        shares = np.full(self._num_images, 1 / max(1, self._num_images))
        # How often each image is drawn: all that a mean over the resample needs.
        self._weights = rng.multinomial(
            self._num_images, shares, size=resamples
        ).astype(np.int16)

    @property
    def num_images(self) -> int:
        return self._num_images

    def means(
        self,
        values: Float[np.ndarray, "examples columns"],
        use: Bool[np.ndarray, " examples"] | None = None,
    ) -> Draws:
        """The mean over examples of every column, NaN left out column by column.

        Args:
            values: one row per example.
            use: the examples to average over; default all.
        """
        present = ~np.isnan(values)
        if use is not None:
            present &= use[:, None]
        sums = self._per_image(np.where(present, values, 0.0).astype(np.float64))
        counts = self._per_image(present.astype(np.float64))
        resampled = np.empty((len(self._weights), values.shape[1]))
        with np.errstate(invalid="ignore"):  # 0 / 0: nothing to average is NaN
            for start in range(0, len(self._weights), _CHUNK):
                rows = slice(start, start + _CHUNK)
                weights = self._weights[rows].astype(np.float64)
                resampled[rows] = (weights @ sums) / (weights @ counts)
            estimate = sums.sum(axis=0) / counts.sum(axis=0)
        images = (counts > 0).sum(axis=0)
        resampled[:, images < FEWEST_IMAGES] = np.nan
        return Draws(estimate=estimate, resampled=resampled, images=images)

    def _per_image(
        self, values: Float[np.ndarray, "examples columns"]
    ) -> Float[np.ndarray, "images columns"]:
        if not len(values):
            return np.zeros((0, values.shape[1]))
        return np.add.reduceat(values[self._order], self._starts, axis=0)


def no_interval(images: int) -> str | None:
    """Why a number over so many images has no interval and no p-value; None: it has."""
    if images >= FEWEST_IMAGES:
        return None
    few = "1 image" if images == 1 else f"{images} images"
    return f"{few}: too few for an interval, which needs {FEWEST_IMAGES}"


def paired(
    first: Float[np.ndarray, "examples columns"],
    second: Float[np.ndarray, "examples columns"],
) -> tuple[
    Float[np.ndarray, "examples columns"], Float[np.ndarray, "examples columns"]
]:
    """Both with NaN wherever either has one, so that both average the same examples."""
    missing = np.isnan(first) | np.isnan(second)
    return np.where(missing, np.nan, first), np.where(missing, np.nan, second)
