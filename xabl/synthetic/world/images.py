"""The images of the synthetic world: their objects, and what a detector reports."""

import dataclasses
import enum

import numpy as np
from jaxtyping import Float32, Float64, Int64

from xabl.data.class_names import DETECTOR_ATTRIBUTES, DETECTOR_CLASSES
from xabl.data.regions.image_regions import ImageRegions
from xabl.results.published import CATEGORIES
from xabl.synthetic.world import placement
from xabl.synthetic.world.confusion import detected_categories
from xabl.synthetic.world.settings import NUM_REGIONS, WorldSettings
from xabl.synthetic.world.vocabulary import COLOURS, SCENES, ObjectClass, object_classes

BACKGROUND = -1  # in `WorldImage.region_objects`

_OBJECT_COUNTS = ((2, 3, 4, 5), (0.45, 0.35, 0.15, 0.05))  # and their probabilities
_MOST_BOXES = 5
_PAIR_RATE = 0.12  # objects that are pairs, with a box each
_TWO_CHAINS_RATE = 0.1  # objects with two chains in the annotation
_CONTEXT_RATE = 0.8  # with `context`: objects that fit the scene

# A region's features are rectified sums with these weights.
_COLOUR_STRENGTH = 0.7
_LOOK_STRENGTH = 0.7
_NOISE = 0.5
_PART_SHARE = 0.6  # share of the object in the features of its parts

# The detector's confidence, and how the rest of its probability is distributed.
_VIEW_CONFIDENCE = (0.75, 0.95)
_OTHER_CONFIDENCE = (0.5, 0.7)
_REST_ON_SAME_TYPE = 0.6
_REST_ON_BACKGROUND = 0.25


class Stream(enum.IntEnum):
    """Independent random numbers: one setting does not change what others draw."""

    PROTOTYPES = 0
    CONTENT = 1
    REGION_BOXES = 2
    APPEARANCE = 3
    CAPTIONS = 4


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class WorldObject:
    """One object, or a pair.

    kind: index into the world's classes.
    colour: index into the colours.
    look: the class that a poor detector takes it for. The features show both the class
        and the look, whatever the detector of this world.
    boxes: one, or two of a pair; whole pixels from 0.
    chains: its ids in the annotation, mostly one.
    """

    kind: int
    colour: int
    look: int
    boxes: Float64[np.ndarray, "_ 4"]
    chains: tuple[str, ...]

    @property
    def count(self) -> int:
        return len(self.boxes)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class WorldImage:
    """What an image shows, and the regions that a detector finds in it.

    image_id: as in all files.
    number: of the image in its world.
    width, height: pixels.
    scene: index into `SCENES`.
    scene_chain: the chain of phrases about the scene; it has no box.
    sky_chain: the chain of phrases about the sky; it has no box.
    objects: two to five, of different classes.
    region_boxes: pixels.
    region_objects: index of the object that a region shows; `BACKGROUND` for none.
    region_shares: share of the object that it shows: 1 nearly whole, 0 nothing.
    """

    image_id: str
    number: int
    width: int
    height: int
    scene: int
    scene_chain: str
    sky_chain: str
    objects: tuple[WorldObject, ...]
    region_boxes: Float32[np.ndarray, "boxes 4"]
    region_objects: Int64[np.ndarray, " boxes"]
    region_shares: Float64[np.ndarray, " boxes"]


class World:
    """Draws the images of a world by their numbers, the same ones every time."""

    def __init__(self, settings: WorldSettings):
        self.settings = settings
        self.classes = object_classes(settings.classes_per_type)
        rng = self.random(Stream.PROTOTYPES, 0)
        counts = (len(self.classes), len(self.classes), len(COLOURS), len(SCENES))
        self._kinds, self._looks, self._colours, self._scenes = (
            rng.standard_normal((count, settings.feature_size)) for count in counts
        )
        self._rests = _rests(self.classes)

    def random(self, stream: Stream, number: int) -> np.random.Generator:
        """The random numbers of one stream of one image."""
        return np.random.default_rng((self.settings.seed, stream, number))

    def image_id(self, number: int) -> str:
        """Worlds with different seeds have no id in common."""
        return str((self.settings.seed + 1) * 10_000_000 + number)

    def image(self, number: int) -> WorldImage:
        """The content of an image and the boxes of its regions."""
        rng = self.random(Stream.CONTENT, number)
        size = placement.IMAGE_SIZES[rng.integers(len(placement.IMAGE_SIZES))]
        scene = int(rng.integers(len(SCENES)))
        kinds = self._draw_kinds(rng, scene)
        objects = self._draw_objects(rng, kinds, size, first_chain=100 * (number + 1))
        region_boxes, region_objects, region_shares = self._place_regions(
            self.random(Stream.REGION_BOXES, number), objects, size
        )
        return WorldImage(
            image_id=self.image_id(number),
            number=number,
            width=size[0],
            height=size[1],
            scene=scene,
            scene_chain=str(100 * (number + 1) + 90),
            sky_chain=str(100 * (number + 1) + 91),
            objects=objects,
            region_boxes=region_boxes.astype(np.float32),
            region_objects=region_objects,
            region_shares=region_shares,
        )

    def regions(self, image: WorldImage, with_attributes: bool = True) -> ImageRegions:
        """What the detector reports of an image.

        Args:
            image: of this world.
            with_attributes: fill in `attrs`, which only some published forms have.
        """
        rng = self.random(Stream.APPEARANCE, image.number)
        features = self._features(rng, image)
        cls_prob = self._class_probabilities(rng, image)
        colours = np.array([o.colour for o in image.objects])[image.region_objects]
        attribute = np.where(image.region_objects == BACKGROUND, len(COLOURS), colours)
        attrs = np.full((NUM_REGIONS, DETECTOR_ATTRIBUTES), 0.3 / DETECTOR_ATTRIBUTES)
        attrs[np.arange(NUM_REGIONS), attribute + 1] += 0.7
        attrs = attrs.astype(np.float32)
        return ImageRegions(
            image_id=image.image_id,
            img_w=image.width,
            img_h=image.height,
            features=features,
            boxes=image.region_boxes,
            objects_id=cls_prob[:, 1:].argmax(axis=1),
            objects_conf=cls_prob[:, 1:].max(axis=1),
            cls_prob=cls_prob,
            attrs_id=attribute,
            attrs_conf=attrs[:, 1:].max(axis=1),
            attrs=attrs if with_attributes else None,
        )

    def detected(self, thing: WorldObject) -> ObjectClass:
        """The class this world's detector takes an object for."""
        is_poor = self.settings.label_noise == "silver"
        return self.classes[thing.look if is_poor else thing.kind]

    def draw_look(self, rng: np.random.Generator, kind: int) -> int:
        """A class, by the published confusion rates of the kind's phrase type."""
        rates = detected_categories(self.classes[kind].phrase_type)
        outcome = rng.choice(len(rates), p=rates)
        if outcome == 0:
            return kind
        wrong = [
            number
            for number, other in enumerate(self.classes)
            if other.phrase_type == CATEGORIES[outcome - 1] and number != kind
        ]
        return int(rng.choice(wrong))

    def _draw_kinds(self, rng: np.random.Generator, scene: int) -> np.ndarray:
        """Different classes, so that a phrase is about one object only."""
        total = len(self.classes)
        weights = np.full(total, 1 / total)
        if self.settings.context:
            fitting = np.arange(total) % len(SCENES) == scene
            weights = np.where(fitting, _CONTEXT_RATE / fitting.sum(), 0)
            weights += (1 - _CONTEXT_RATE) / total
        count = rng.choice(_OBJECT_COUNTS[0], p=_OBJECT_COUNTS[1])
        return rng.choice(total, count, replace=False, p=weights)

    def _draw_objects(
        self,
        rng: np.random.Generator,
        kinds: np.ndarray,
        size: tuple[int, int],
        first_chain: int,
    ) -> tuple[WorldObject, ...]:
        counts = np.ones(len(kinds), int)
        for index in range(len(kinds)):
            is_pair = rng.random() < _PAIR_RATE
            counts[index] += is_pair and counts.sum() < _MOST_BOXES
        places = placement.draw_object_boxes(rng, int(counts.sum()), size)
        places = np.split(places, np.cumsum(counts)[:-1])
        objects = []
        for index, kind in enumerate(kinds):
            chain = first_chain + 2 * index
            has_two = rng.random() < _TWO_CHAINS_RATE
            objects.append(
                WorldObject(
                    kind=int(kind),
                    colour=int(rng.integers(len(COLOURS))),
                    look=self.draw_look(rng, int(kind)),
                    boxes=places[index],
                    chains=tuple(str(chain + n) for n in range(1 + has_two)),
                )
            )
        return tuple(objects)

    def _place_regions(
        self,
        rng: np.random.Generator,
        objects: tuple[WorldObject, ...],
        size: tuple[int, int],
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Boxes, objects and shares of the regions, in random order."""
        all_boxes = np.vstack([thing.boxes for thing in objects])
        owners = np.repeat(np.arange(len(objects)), [o.count for o in objects])
        placed, shown, shares = [], [], []
        for index, owner in enumerate(owners):
            others = np.delete(all_boxes, index, axis=0)
            place = (all_boxes[index], others, size)
            for share, draw, count in (
                (1.0, placement.draw_views, self.settings.views_per_box),
                (_PART_SHARE, placement.draw_parts, self.settings.parts_per_box),
            ):
                placed.append(draw(rng, count, *place))
                shown += [owner] * count
                shares += [share] * count
        rest = NUM_REGIONS - len(shown)
        placed.append(placement.draw_background(rng, rest, all_boxes, size))
        order = rng.permutation(NUM_REGIONS)
        return (
            np.vstack(placed)[order],
            np.array(shown + [BACKGROUND] * rest)[order],
            np.array(shares + [0.0] * rest)[order],
        )

    def _features(
        self, rng: np.random.Generator, image: WorldImage
    ) -> Float32[np.ndarray, "boxes features"]:
        """Rectified: the object's class, colour and look, the scene, and noise."""
        seen = np.stack(
            [
                self._kinds[thing.kind]
                + _COLOUR_STRENGTH * self._colours[thing.colour]
                + _LOOK_STRENGTH * self._looks[thing.look]
                for thing in image.objects
            ]
        )
        share = image.region_shares[:, None]
        features = share * seen[image.region_objects]
        features += (1 - share) * self._scenes[image.scene]
        features += _NOISE * rng.standard_normal(features.shape)
        return np.maximum(features, 0).astype(np.float32)

    def _class_probabilities(
        self, rng: np.random.Generator, image: WorldImage
    ) -> Float32[np.ndarray, "boxes classes"]:
        """Most of it on one class, the rest in the same way for each such class."""
        labels = [self.detected(thing).detector_class for thing in image.objects]
        labels.append(SCENES[image.scene].detector_class)  # index -1: background
        labels = np.array(labels)[image.region_objects]
        high = rng.uniform(*_VIEW_CONFIDENCE, NUM_REGIONS)
        low = rng.uniform(*_OTHER_CONFIDENCE, NUM_REGIONS)
        confidence = np.where(image.region_shares == 1, high, low)
        probabilities = (1 - confidence)[:, None] * np.stack(
            [self._rests[label] for label in labels]
        )
        probabilities[np.arange(NUM_REGIONS), labels] += confidence
        return probabilities.astype(np.float32)


def _rests(
    classes: tuple[ObjectClass, ...],
) -> dict[int, Float64[np.ndarray, " classes"]]:
    """By label: how the probability of the other classes is distributed."""
    rests = {}
    for kind in classes:
        same_type = [
            other.detector_class
            for other in classes
            if other.phrase_type == kind.phrase_type and other is not kind
        ]
        rests[kind.detector_class] = _rest(same_type)
    for scene in SCENES:
        others = [other.detector_class for other in SCENES if other is not scene]
        rests[scene.detector_class] = _rest(others)
    return rests


def _rest(similar: list[int]) -> Float64[np.ndarray, " classes"]:
    anywhere = 1 - _REST_ON_SAME_TYPE - _REST_ON_BACKGROUND
    rest = np.full(DETECTOR_CLASSES, anywhere / DETECTOR_CLASSES)
    rest[similar] += _REST_ON_SAME_TYPE / len(similar)
    rest[0] += _REST_ON_BACKGROUND
    return rest
