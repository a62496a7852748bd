"""Settings of a synthetic world: its size, and what is true in it."""

import dataclasses

from xabl.errors import check_choice, check_range
from xabl.synthetic.world.vocabulary import MOST_CLASSES_PER_TYPE

NUM_REGIONS = 36  # an image, as the published models expect
REGION_OVERLAPS = {"low": 2, "high": 5}
LABEL_NOISES = ("gold", "silver")
SURVIVING_LEAKS = ("none", "parts", "context", "both")
WORDS_FROM_IMAGE = ("all", "nouns", "colours")
_PARTS = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorldSettings:
    """Everything that determines a world; equal settings give equal bytes.

    seed: of images, captions and class prototypes.
    train_images, val_images, test_images: splits share classes, not images.
    vision_to_language: probability that a phrase's words follow from the image; the
        others are drawn independently of it.
    words_from_image: which words of such a phrase do: "all", "nouns" or "colours"
        alone; the phrase's others are drawn independently of the image, too.
    label_noise: "gold": the detector names every object correctly; "silver": it
        mislabels objects at the published detector's rates, by category. The two
        worlds differ in nothing else.
    region_overlap: "low", "high", or the number of regions (1 ... 5) that show each
        object nearly whole. They overlap the object's box by far more than the masking
        threshold: the ablation masks them together, published pretraining one by one.
        Each also adds to [IMG], which is not masked.
    surviving_leaks: what tells an object's class without words when all regions that
        overlap it by more than half are masked. "parts": two regions for each object
        that show a part of it; "context": classes that fit the scene.
    feature_size: 2048 as published; less to train small models quickly.
    classes_per_type: classes of each of the eight phrase types (2 or 3).

    Raises:
        UserError: a value out of range, on construction.
    """

    seed: int = 0
    train_images: int = 800
    val_images: int = 100
    test_images: int = 100
    vision_to_language: float = 1.0
    words_from_image: str = "all"
    label_noise: str = "gold"
    region_overlap: str | int = "low"
    surviving_leaks: str = "none"
    feature_size: int = 2048
    classes_per_type: int = MOST_CLASSES_PER_TYPE

    def __post_init__(self) -> None:
        check_choice("words_from_image", self.words_from_image, WORDS_FROM_IMAGE)
        check_choice("label_noise", self.label_noise, LABEL_NOISES)
        check_choice("surviving_leaks", self.surviving_leaks, SURVIVING_LEAKS)
        if not isinstance(self.region_overlap, int):
            check_choice(
                "region_overlap", self.region_overlap, (*REGION_OVERLAPS, "1 to 5")
            )
        check_range("region_overlap", self.views_per_box, 1, 5)
        check_range("seed", self.seed, 0, 2**32 - 1)
        check_range("vision_to_language", self.vision_to_language, 0, 1)
        check_range("feature_size", self.feature_size, 16, 2**14)
        check_range("classes_per_type", self.classes_per_type, 2, MOST_CLASSES_PER_TYPE)
        for split, images in self.images_of_split.items():
            check_range(f"{split}_images", images, 1, 10**6)

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
