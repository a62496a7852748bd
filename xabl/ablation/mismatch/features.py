"""Features against those that the model was trained with.

Without a description of those, and of 2048 channels, against what the published
models' detector gives: pool5 of the Faster R-CNN of Anderson et al. (2018, "Bottom-Up
and Top-Down Attention"), the mean over each region of a ReLU's output. Such features
are never negative, a few of them are large and many small, with a mean between 0.4 and
0.5 in files made with the published detector. Of other sizes nothing is known.
"""

import numpy as np

from xabl.ablation.mismatch.findings import Finding
from xabl.data.regions.description import RegionDescription

# Below these there is too little to tell.
_LEAST_IMAGES, _LEAST_CHANNELS = 12, 64
# Correlation of the channels' means: the same detector on other photographs stays
# close to 1, other features are around 0.
_LEAST_CORRELATION = 0.5
_MOST_TIMES = 2.0  # by which mean and standard deviation may differ
_MOST_ZEROS_APART = 0.3
_MOST_REGIONS_TIMES = 1.1
_POOL5_CHANNELS = 2048
_POOL5_MEANS = (0.1, 2.0)  # wide: detectors of this kind were trained more than once
_POOL5_MOST_ZEROS = 0.9
PUBLISHED_REGIONS = 36  # an image, in the training of the published models


def feature_findings(
    found: RegionDescription, trained: RegionDescription | None
) -> list[Finding]:
    """What is unusual about features.

    Args:
        found: those to be scored.
        trained: those that the model was trained with; None if that is not known.
    """
    if trained is None:
        return _against_pool5(found)
    return [
        finding
        for finding in (
            _channels(found, trained),
            _scale(found, trained),
            _number_of_regions(found, trained),
        )
        if finding is not None
    ]


def channel_correlation(
    found: RegionDescription, trained: RegionDescription
) -> float | None:
    """Of the channels' means; None where there is too little to tell."""
    first, second = np.array(found.channel_means), np.array(trained.channel_means)
    few = min(found.images, trained.images) < _LEAST_IMAGES
    if few or first.shape != second.shape or len(first) < _LEAST_CHANNELS:
        return None
    if not (first.std() and second.std()):
        return None
    return float(np.corrcoef(first, second)[0, 1])


def _channels(found: RegionDescription, trained: RegionDescription) -> Finding | None:
    correlation = channel_correlation(found, trained)
    if correlation is None or correlation >= _LEAST_CORRELATION:
        return None
    return Finding(
        of="features",
        expected="channels with the means that they had in the model's training "
        "(correlation close to 1)",
        seen=f"a correlation of {correlation:.2f}",
        cause="another detector, or the same one with channels in another order",
        cure="take features of the detector that the model was trained with",
        certain=True,
    )


def _scale(found: RegionDescription, trained: RegionDescription) -> Finding | None:
    if min(found.images, trained.images) < _LEAST_IMAGES:
        return None
    same = all(
        1 / _MOST_TIMES <= (a + 1e-9) / (b + 1e-9) <= _MOST_TIMES
        for a, b in ((found.mean, trained.mean), (found.std, trained.std))
    )
    if same and abs(found.zeros - trained.zeros) <= _MOST_ZEROS_APART:
        return None
    return Finding(
        of="features",
        expected=f"those of the model's training ({_looks(trained)})",
        seen=_looks(found),
        cause="features that were scaled or normalised, or another detector",
        cure="give them as the detector of the model's training gives them",
    )


def _number_of_regions(
    found: RegionDescription, trained: RegionDescription
) -> Finding | None:
    times = _MOST_REGIONS_TIMES
    if trained.fewest / times <= found.median <= trained.most * times:
        return None
    usual = f"{trained.fewest} to {trained.most}"
    return Finding(
        of="regions",
        expected=f"{usual if trained.fewest < trained.most else trained.median} an "
        "image, as in the model's training",
        seen=f"{found.median}",
        cause="a file that was extracted with other settings",
        cure="extract as many regions as the model was trained with",
    )


def _against_pool5(found: RegionDescription) -> list[Finding]:
    findings = []
    channels = len(found.channel_means)
    low, high = _POOL5_MEANS
    usual = low <= found.mean <= high and found.zeros <= _POOL5_MOST_ZEROS
    if channels == _POOL5_CHANNELS and found.images >= _LEAST_IMAGES and not usual:
        findings.append(
            Finding(
                of="features",
                expected="those of a Faster R-CNN's pool5 (a mean of "
                f"{low} to {high} passes)",
                seen=_looks(found),
                cause="features that were scaled or normalised, or another detector",
                cure="give them as the detector of the model's training gives them",
            )
        )
    if not PUBLISHED_REGIONS / 2 < found.median < 2 * PUBLISHED_REGIONS:
        findings.append(
            Finding(
                of="regions",
                expected=f"about {PUBLISHED_REGIONS} an image, as in the training of "
                "the published models",
                seen=f"{found.median}",
                cause="a file that was extracted with other settings",
                cure="extract as many regions as the model was trained with",
            )
        )
    return findings


def _looks(described: RegionDescription) -> str:
    return (
        f"mean {described.mean:.3g}, standard deviation {described.std:.3g}, "
        f"{100 * described.zeros:.0f}% zeros"
    )
