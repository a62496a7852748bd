"""What kind of synthetic world to make: its size, and the truths it is to hold."""

import dataclasses

from xabl.errors import UserError
from xabl.synthetic.world.vocabulary import MOST_CLASSES_PER_TYPE

NUM_REGIONS = 36  # an image, as the published models expect
REGION_OVERLAPS = {"low": 2, "high": 5}
LABEL_NOISES = ("gold", "silver")
SURVIVING_LEAKS = ("none", "parts", "context", "both")
_PARTS = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorldSettings:
    """Everything a world follows from; equal settings give equal bytes.

    seed: another seed, other images, captions and class prototypes.
    train_images, val_images, test_images: splits share classes, not images.
    vision_to_language: probability that a phrase's words follow from what the image
        shows, against being drawn independently of the image.
    label_noise: "gold": the detector names every object rightly; "silver": it is wrong
        about as many objects of each category, and confuses them with the same
        categories, as the published detector. The two worlds differ in nothing else.
    region_overlap: "low", "high", or how many regions (1 ... 5) show each object
        nearly whole. They all overlap the object's box by far more than the masking
        threshold, so that they are masked together at test, but only one by one in
        pretraining; and each adds to the mean of the image, [IMG], which is not masked.
    surviving_leaks: what tells an object's class without words even when all regions
        that overlap it by more than half are masked. "parts": two regions an object
        that show a part of it; "context": classes that go with the scene.
    feature_size: 2048 as published, less to train small models quickly.
    classes_per_type: classes in each of the eight phrase types (2 or 3).

    Raises:
        UserError: a value out of range, on construction.
    """

    seed: int = 0
    train_images: int = 800
    val_images: int = 100
    test_images: int = 100
    vision_to_language: float = 1.0
    label_noise: str = "gold"
    region_overlap: str | int = "low"
    surviving_leaks: str = "none"
    feature_size: int = 2048
    classes_per_type: int = MOST_CLASSES_PER_TYPE

    def __post_init__(self) -> None:
        _choice("label_noise", self.label_noise, LABEL_NOISES)
        _choice("surviving_leaks", self.surviving_leaks, SURVIVING_LEAKS)
        if not isinstance(self.region_overlap, int):
            _choice("region_overlap", self.region_overlap, (*REGION_OVERLAPS, "1 to 5"))
        _range("region_overlap", self.views_per_box, 1, 5)
        _range("seed", self.seed, 0, 2**32 - 1)
        _range("vision_to_language", self.vision_to_language, 0, 1)
        _range("feature_size", self.feature_size, 16, 2**14)
        _range("classes_per_type", self.classes_per_type, 2, MOST_CLASSES_PER_TYPE)
        for split, images in self.images_of_split.items():
            _range(f"{split}_images", images, 1, 10**6)

    @property
    def images_of_split(self) -> dict[str, int]:
        """Number of images by the names of the splits' files."""
        return {
            "train": self.train_images,
            "val": self.val_images,
            "test": self.test_images,
        }

    @property
    def views_per_box(self) -> int:
        """Regions that show the object in a box nearly whole."""
        if isinstance(self.region_overlap, int):
            return self.region_overlap
        return REGION_OVERLAPS[self.region_overlap]

    @property
    def parts_per_box(self) -> int:
        """Regions that show a part of the object in a box."""
        return _PARTS if self.surviving_leaks in ("parts", "both") else 0

    @property
    def context(self) -> bool:
        """Whether the scene tells which classes to expect."""
        return self.surviving_leaks in ("context", "both")


def _choice(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UserError(f"{name} is {value!r}, expected one of {', '.join(allowed)}")


def _range(name: str, value: int | float, lowest: int, highest: int) -> None:
    if not lowest <= value <= highest:
        raise UserError(f"{name} is {value}, expected {lowest} to {highest}")
