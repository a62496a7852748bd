"""How often the published detector mislabels objects, by category.

Frank et al. (EMNLP 2021) compare the detector's top class with the gold class, for the
target regions of 10,159 phrases. Here are their 6,291 mismatches (rows gold, columns
detected), and the number of phrases of each gold category.
"""

import types

import numpy as np
from jaxtyping import Float64

from xabl.results.published import CATEGORIES

MISMATCHES = np.array(
    [
        [127, 3, 4, 17, 15, 12, 0],
        [3, 113, 29, 100, 28, 18, 1],
        [8, 59, 264, 132, 173, 159, 4],
        [16, 54, 66, 892, 147, 194, 36],
        [8, 34, 54, 152, 2314, 82, 10],
        [10, 2, 76, 280, 105, 320, 17],
        [0, 0, 0, 30, 13, 15, 95],
    ]
)
MISMATCHES.flags.writeable = False

GOLD_TOTALS = types.MappingProxyType(
    {
        "animals": 443,
        "bodyparts": 419,
        "clothing": 1198,
        "other": 1828,
        "people": 4594,
        "scene": 1431,
        "vehicles": 245,
    }
)

# The published table leaves out its one phrase about an instrument. It counts here as
# the category of detector classes without gold phrases.
_STAND_IN = types.MappingProxyType({"instruments": "other"})


def detected_categories(category: str) -> Float64[np.ndarray, " outcomes"]:
    """How the detector labels objects of a category.

    Returns:
        The probability of the right class, then of a wrong class of each of
        `CATEGORIES` (the object's own category included).
    """
    category = _STAND_IN.get(category, category)
    wrong = MISMATCHES[CATEGORIES.index(category)]
    total = GOLD_TOTALS[category]
    return np.array([total - wrong.sum(), *wrong]) / total
