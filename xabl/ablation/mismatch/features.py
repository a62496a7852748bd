"""Features against those that the model was trained with.

Without a description of those, and of 2048 channels, against what the published
models' detector gives: pool5 of the Faster R-CNN of Anderson et al. (2018, "Bottom-Up
and Top-Down Attention"), the mean over each region of a ReLU's output. Such features
are never negative, a few of them are large and many small. Of other sizes nothing is
known. The published models that predict a detector's classes were trained on exactly 36
regions of every image.
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
    found: RegionDescription,
    trained: RegionDescription | None,
    *,
    knows_classes: bool,
) -> list[Finding]:
    """What is unusual about features.

    Args:
        found: those to be scored.
        trained: those that the model was trained with; None if that is not known.
        knows_classes: whether the model predicts a detector's classes.
    """
    if trained is None:
        findings = [_pool5(found)]
        if knows_classes:
            findings.append(
                _number_of_regions(
                    found,
                    fewest=PUBLISHED_REGIONS,
                    most=PUBLISHED_REGIONS,
                    training="the training of the published models",
                )
            )
    else:
        findings = [
            _channels(found, trained),
            _scale(found, trained),
            _number_of_regions(
                found,
                fewest=trained.fewest,
                most=trained.most,
                training="the model's training",
            ),
        ]
    return [finding for finding in findings if finding is not None]


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
    return _unlike(f"those of the model's training ({_looks(trained)})", found)


def _number_of_regions(
    found: RegionDescription, *, fewest: int, most: int, training: str
) -> Finding | None:
    if fewest / _MOST_REGIONS_TIMES <= found.median <= most * _MOST_REGIONS_TIMES:
        return None
    usual = f"{fewest} to {most}" if fewest < most else str(most)
    return Finding(
        of="regions",
        expected=f"{usual} an image, as in {training}",
        seen=f"{found.median}",
        cause="a file that was extracted with other settings",
        cure="extract as many regions as the model was trained with",
    )


def _pool5(found: RegionDescription) -> Finding | None:
    if len(found.channel_means) != _POOL5_CHANNELS or found.images < _LEAST_IMAGES:
        return None
    low, high = _POOL5_MEANS
    if low <= found.mean <= high and found.zeros <= _POOL5_MOST_ZEROS:
        return None
    return _unlike(
        f"those of a Faster R-CNN's pool5 (a mean of {low} to {high} passes)", found
    )


def _unlike(expected: str, found: RegionDescription) -> Finding:
    return Finding(
        of="features",
        expected=expected,
        seen=_looks(found),
        cause="features that were scaled or normalised, or another detector",
        cure="give them as the detector of the model's training gives them",
    )


def _looks(described: RegionDescription) -> str:
    return (
        f"mean {described.mean:.3g}, standard deviation {described.std:.3g}, "
        f"{100 * described.zeros:.0f}% zeros"
    )
