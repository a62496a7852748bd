"""Which examples the browser shows when all of them would be too many."""

import dataclasses

import numpy as np
from jaxtyping import Int64, Shaped

SEED = 0


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """Rows of the study shown in the browser, and the rule they were chosen by."""

    rows: Int64[np.ndarray, " rows"]
    rule: str


def sample_images(
    images: Shaped[np.ndarray, " examples"], most: int, why: str
) -> Sample:
    """At most `most` examples: all of randomly chosen images, until there are enough.

    Whole images, because the phrases of one image belong together; the last image
    chosen may be cut.

    Args:
        images: the image of each example.
        most: how many examples.
        why: what limits their number, for the reader.
    """
    total = len(images)
    if most >= total:
        return Sample(
            rows=np.arange(total), rule=f"The browser holds all {total:,} examples."
        )
    labels, image = np.unique(images, return_inverse=True)
    place = np.empty(len(labels), np.int64)
    place[np.random.default_rng(SEED).permutation(len(labels))] = np.arange(len(labels))
    rows = np.sort(np.argsort(place[image], kind="stable")[:most])
    return Sample(
        rows=rows,
        rule=(
            f"The browser holds {most:,} of {total:,} examples ({why}): all examples "
            f"of images drawn at random without replacement (seed {SEED}) until that "
            "number is reached. Tables and figures are of all examples."
        ),
    )
