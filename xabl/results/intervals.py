"""Intervals by resampling images, since the phrases of one image go together.

Resampling whole images (a cluster bootstrap: Davison & Hinkley 1997, section 3.8)
keeps the dependence between an image's examples; resampling examples as if they were
independent gives intervals that are too narrow. The same resamples serve every column,
so conditions and models are compared on the same images (paired).
"""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Shaped

RESAMPLES = 2000
CONFIDENCE = 0.95
_CHUNK = 250  # resamples a matrix product; bounds the float copy of the weights


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Draws:
    """Statistics, one per column, and their values in every resample.

    NaN where there is nothing to average.
    """

    estimate: Float[np.ndarray, " columns"]
    resampled: Float[np.ndarray, "resamples columns"]

    def __getitem__(self, columns: slice | list[int]) -> "Draws":
        return Draws(
            estimate=self.estimate[columns], resampled=self.resampled[:, columns]
        )

    def __sub__(self, other: "Draws") -> "Draws":
        return Draws(
            estimate=self.estimate - other.estimate,
            resampled=self.resampled - other.resampled,
        )

    def __truediv__(self, other: "Draws") -> "Draws":
        return Draws(
            estimate=self.estimate / other.estimate,
            resampled=self.resampled / other.resampled,
        )

    def mean(self) -> "Draws":
        """The mean over the columns, as one column."""
        return Draws(
            estimate=self.estimate.mean(keepdims=True),
            resampled=self.resampled.mean(axis=1, keepdims=True),
        )

    def interval(
        self, confidence: float = CONFIDENCE
    ) -> tuple[Float[np.ndarray, " columns"], Float[np.ndarray, " columns"]]:
        """Percentile interval of each column: low, high.

        NaN where a resample has no data at all: too few images for an interval.
        """
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
        # One image drawn again and again never varies: that is not an interval of 0.
        resampled[:, (counts > 0).sum(axis=0) < 2] = np.nan
        return Draws(estimate=estimate, resampled=resampled)

    def _per_image(
        self, values: Float[np.ndarray, "examples columns"]
    ) -> Float[np.ndarray, "images columns"]:
        if not len(values):
            return np.zeros((0, values.shape[1]))
        return np.add.reduceat(values[self._order], self._starts, axis=0)


def paired(
    first: Float[np.ndarray, "examples columns"],
    second: Float[np.ndarray, "examples columns"],
) -> tuple[
    Float[np.ndarray, "examples columns"], Float[np.ndarray, "examples columns"]
]:
    """Both with NaN wherever either has one, so that both average the same examples."""
    missing = np.isnan(first) | np.isnan(second)
    return np.where(missing, np.nan, first), np.where(missing, np.nan, second)
