"""The average feature vector of a split: what ablated regions become, as published."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float32

from xabl.data.regions.image_regions import StackedRegions
from xabl.support.image_ids import canonical_id


def average_features(
    regions: StackedRegions, mentions: Mapping[str, int]
) -> Float32[np.ndarray, " features"]:
    """The average feature vector of a split.

    Args:
        regions: of all images of the split.
        mentions: by image id, how often it is mentioned: its weight. The average is
            taken over phrase mentions, those that cannot be scored included.
    """
    counts = {canonical_id(image_id): n for image_id, n in mentions.items()}
    total = np.zeros(regions.features.shape[2], np.float64)
    weights = 0
    for row, image_id in enumerate(regions.image_ids):
        weight = counts.get(canonical_id(image_id), 0)
        if weight:
            count = regions.num_boxes[row]
            mean = regions.features[row, :count].mean(axis=0, dtype=np.float64)
            total += weight * mean
            weights += weight
    return (total / max(weights, 1)).astype(np.float32)
