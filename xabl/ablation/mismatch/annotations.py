"""Regions against captions and boxes of the same images, without a model.

Nothing has to be known of the detector: what belongs together fits better than what
belongs to another image of the same split.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from jaxtyping import Float, Int

from xabl.ablation.mismatch.findings import Finding
from xabl.data.box_forms import FORMS, Boxes
from xabl.data.boxes import iou
from xabl.data.flickr30k_entities import Mention
from xabl.data.regions.description import evenly
from xabl.data.regions.image_regions import StackedRegions
from xabl.support.image_ids import canonical_id

MOST_IMAGES = 250  # looked at; of more, so many are taken evenly
LEAST_IMAGES = 24  # fewer are too few to tell
_DEVIATIONS = 3.0  # what chance makes of nothing exceeds them in one case of 700
# Boxes that fit better by so much mean IoU when they are read in another way are meant
# in that way.
_BETTER_READING = 0.08
_SHOWS_OBJECT = 0.5  # IoU of a region that shows a phrase's object
# Association of classes and words: 0 none, 1 when the word tells the class.
_LEAST_ASSOCIATION = 0.03
_PERMUTATIONS = 60

# Boxes of regions as a file has them, width and height of the image -> in pixels.
Reading = Callable[[Boxes], Boxes]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Phrases:
    """The phrases of one image, and its regions.

    row: of the image among the regions.
    size: width and height in pixels.
    regions: boxes of its regions.
    boxes: of all phrases together.
    owners: the phrase of each of `boxes`, in order.
    words: the last word of each phrase, as a number.
    """

    row: int
    size: Float[np.ndarray, " 2"]
    regions: Float[np.ndarray, "regions 4"]
    boxes: Float[np.ndarray, "boxes 4"]
    owners: Int[np.ndarray, " boxes"]
    words: Int[np.ndarray, " phrases"]

    def overlaps(
        self, regions: Float[np.ndarray, "regions 4"]
    ) -> Float[np.ndarray, "regions phrases"]:
        """IoU of each region with the box of each phrase that fits it best."""
        every = iou(regions.astype(np.float64), self.boxes.astype(np.float64))
        first = np.flatnonzero(np.diff(self.owners, prepend=-1))
        return np.maximum.reduceat(every, first, axis=1)


def phrases_of(regions: StackedRegions, mentions: Iterable[Mention]) -> list[Phrases]:
    """Images that have phrases and regions, at most `MOST_IMAGES` of them."""
    by_row: dict[int, list[Mention]] = {}
    for mention in mentions:
        row = regions.rows.get(canonical_id(mention.image.image_id))
        if row is not None:
            by_row.setdefault(row, []).append(mention)
    found = sorted(by_row)
    found = [found[place] for place in evenly(len(found), MOST_IMAGES)]
    numbers: dict[str, int] = {}
    return [
        Phrases(
            row=row,
            size=np.array([regions.img_w[row], regions.img_h[row]], np.float64),
            regions=regions.boxes[row, : regions.num_boxes[row]],
            boxes=np.concatenate([mention.boxes for mention in by_row[row]]),
            owners=np.repeat(
                np.arange(len(by_row[row])), [len(m.boxes) for m in by_row[row]]
            ),
            words=np.array(
                [numbers.setdefault(_last_word(m), len(numbers)) for m in by_row[row]]
            ),
        )
        for row in found
    ]


def _last_word(mention: Mention) -> str:
    phrase = mention.phrase
    return mention.caption.words[phrase.first_word + phrase.num_words - 1].lower()


def annotation_findings(
    regions: StackedRegions, mentions: Iterable[Mention]
) -> list[Finding]:
    """What does not fit between regions and annotations of the same images."""
    images = phrases_of(regions, mentions)
    if len(images) < LEAST_IMAGES:
        return []
    reading = other_reading(images)
    found = [reading] if reading else [boxes_of_others(images)]
    found.append(classes_of_others(images, regions.objects_id))
    return [finding for finding in found if finding is not None]


# --- boxes ---------------------------------------------------------------------------


def _scaled(times: float) -> Reading:
    return lambda boxes: boxes * times


READINGS: dict[str, Reading] = {
    **FORMS,
    **{
        f"boxes of an image {1 / times:.2f} times as large": _scaled(times)
        for times in np.geomspace(0.4, 2.5, 31)
        if abs(times - 1) > 0.05
    },
}


def other_reading(images: Sequence[Phrases]) -> Finding | None:
    """Boxes that fit clearly better when they are read in another way."""

    def fit(read: Reading) -> Float[np.ndarray, " images"]:
        bests = (image.overlaps(read(image.regions)).max(axis=0) for image in images)
        return np.array([best.mean() for best in bests])

    plain = fit(lambda boxes: boxes)
    gains = {name: fit(read) - plain for name, read in READINGS.items()}
    name = max(gains, key=lambda name: gains[name].mean())
    gain = gains[name]
    if gain.mean() < _BETTER_READING or deviations(gain) < _DEVIATIONS:
        return None
    return Finding(
        of="boxes",
        expected="regions that fit the phrases' boxes best as x1, y1, x2, y2 in pixels "
        "of the image",
        seen=f"that they fit better as {name} (mean IoU {plain.mean():.2f} as they "
        f"are, {plain.mean() + gain.mean():.2f} so)",
        cause="boxes of the regions, or of the annotations, in another form or frame",
        cure="write them as x1, y1, x2, y2 in pixels of the annotated image",
        certain=True,
    )


def boxes_of_others(images: Sequence[Phrases]) -> Finding | None:
    """Regions that fit the phrases of their image no better than another image's."""
    own, other = best_overlaps(images)
    gains = [
        ours.mean() - theirs.mean() for ours, theirs in zip(own, other, strict=True)
    ]
    if deviations(np.array(gains)) >= _DEVIATIONS:
        return None
    shares = [np.mean(np.concatenate(best) >= _SHOWS_OBJECT) for best in (own, other)]
    return Finding(
        of="boxes",
        expected="regions that show more of their own image's objects than another "
        "image's regions do",
        seen=f"that {100 * shares[0]:.0f}% of the phrases have a region with IoU "
        f"{_SHOWS_OBJECT}, {100 * shares[1]:.0f}% with the regions of another image",
        cause="regions under the ids of other images, or boxes in another frame",
        cure="compare a few images by eye (xabl report --regions draws the boxes)",
    )


def best_overlaps(
    images: Sequence[Phrases],
) -> tuple[list[Float[np.ndarray, " _"]], list[Float[np.ndarray, " _"]]]:
    """By image: of each phrase the best IoU with its own regions, with another's.

    Another image's boxes are taken to its size.
    """
    own = [image.overlaps(image.regions).max(axis=0) for image in images]
    other = [
        image.overlaps(of.regions * np.tile(image.size / of.size, 2)).max(axis=0)
        for image, of in zip(images, _others(images), strict=True)
    ]
    return own, other


def _others(images: Sequence[Phrases]) -> list[Phrases]:
    """To each image another one, far away in the split."""
    half = len(images) // 2
    return [*images[half:], *images[:half]]


# --- classes -------------------------------------------------------------------------


def classes_of_others(
    images: Sequence[Phrases], objects_id: Int[np.ndarray, "images boxes"]
) -> Finding | None:
    """Classes that depend on the phrases no more than another image's do."""
    found = association(images, objects_id)
    if found is None:
        return None
    strength, deviation = found
    if strength >= _LEAST_ASSOCIATION or strength >= _DEVIATIONS * deviation:
        return None
    if _DEVIATIONS * deviation > 2 * _LEAST_ASSOCIATION:
        return None  # too few phrases with the same word
    return Finding(
        of="classes",
        expected="regions whose classes go with the phrases' words",
        seen="classes that go with them no more than another image's (association "
        f"{strength:.3f}, of 1 where the word tells the class)",
        cause="regions or captions under the ids of other images",
        cure="look at a few images with their captions; take the captions and the "
        "regions of the same split",
    )


def association(
    images: Sequence[Phrases], objects_id: Int[np.ndarray, "images boxes"]
) -> tuple[float, float] | None:
    """How much the last word of a phrase tells of the class of the region it names.

    Counted are pairs of phrases in different images with the same word: the share of
    them with the same class, beyond what images with each other's classes give.

    Returns:
        That share, of 1 when the word tells the class, and what chance makes of 0 as a
        standard deviation; None without such pairs.
    """
    words = np.concatenate([image.words for image in images])
    of_image = np.repeat(np.arange(len(images)), [len(image.words) for image in images])
    classes = [
        objects_id[image.row, image.overlaps(image.regions).argmax(axis=0)]
        for image in images
    ]
    most = _same(of_image, words)
    if not most:
        return None
    random = np.random.default_rng(0)
    chance = []
    for _ in range(_PERMUTATIONS):
        donors = random.permutation(len(images))
        mixed = [
            np.resize(random.permutation(classes[donor]), len(image.words))
            for image, donor in zip(images, donors, strict=True)
        ]
        chance.append(_same(of_image, words, np.concatenate(mixed)))
    mean, spread = float(np.mean(chance)), float(np.std(chance))
    if most - mean < 1:
        return None  # all regions are of one class
    own = _same(of_image, words, np.concatenate(classes))
    return (own - mean) / (most - mean), spread / (most - mean)


def _same(of_image: Int[np.ndarray, " phrases"], *columns: np.ndarray) -> int:
    """Pairs of phrases of different images that agree in all columns."""

    def pairs(keys: tuple[np.ndarray, ...]) -> int:
        numbers = np.zeros(len(of_image), np.int64)
        for key in keys:  # one number for each combination
            numbers = numbers * (int(key.max()) + 1) + key
        counts = np.unique(numbers, return_counts=True)[1].astype(int)
        return int((counts * (counts - 1) // 2).sum())

    return pairs(columns) - pairs((of_image, *columns))


def deviations(values: Float[np.ndarray, " images"]) -> float:
    """The mean in its own standard deviations; images are independent of each other."""
    mean, spread = float(values.mean()), float(values.std(ddof=1))
    return mean / max(spread / len(values) ** 0.5, 1e-12)
