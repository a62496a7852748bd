"""Images that belong together, and the same with a mismatch planted.

A world's seed fixes how its detector sees each class; a model is trained on some of its
images. Further images of the same world, by their numbers, are healthy cases for it.
"""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from xabl.ablation.average import average_features
from xabl.ablation.engine.device_loop import Evaluation, Request
from xabl.ablation.engine.device_regions import host_store
from xabl.ablation.engine.scorer import Params
from xabl.ablation.examples import mentions_by_image, prepare_examples
from xabl.ablation.mismatch.annotations import annotation_findings
from xabl.ablation.mismatch.features import feature_findings
from xabl.ablation.mismatch.sample import scored
from xabl.ablation.mismatch.scores import trial_findings
from xabl.ablation.options import Options
from xabl.ablation.plan import Plan, build_plan
from xabl.ablation.yardsticks import of_classes, of_words
from xabl.data.flickr30k_entities import AnnotatedImage, check_linked, mentions
from xabl.data.regions.description import RegionDescription, describe
from xabl.data.regions.image_regions import ImageRegions, StackedRegions
from xabl.data.regions.source import RegionSource
from xabl.data.word_pieces import WordPieces
from xabl.errors import UserError
from xabl.models.config import ModelConfig
from xabl.results.conditions import Condition, Direction, Level
from xabl.support.devices import LocalDevices
from xabl.synthetic.world.captions import draw_captions
from xabl.synthetic.world.images import World

_INTACT = tuple(Condition(direction=d, level=Level.NONE) for d in Direction)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """Images with captions, and the regions that a file has for them."""

    annotated: tuple[AnnotatedImage, ...]
    regions: tuple[ImageRegions, ...]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """A model and the world that it was trained on.

    described: what its directory says of the regions of its training.
    """

    world: World
    config: ModelConfig
    params: Params
    word_pieces: WordPieces
    described: RegionDescription


@dataclasses.dataclass(frozen=True)
class Found:
    """What was found in a case.

    with_description: by all checks.
    without: by those that do not need the description of the model's training, as for
        a converted checkpoint.
    """

    with_description: tuple[str, ...]
    without: tuple[str, ...]


def healthy(world: World, first: int, count: int) -> Case:
    """The images `first` ... of a world."""
    images = [world.image(number) for number in range(first, first + count)]
    return Case(
        annotated=tuple(
            AnnotatedImage(
                image_id=image.image_id,
                width=image.width,
                height=image.height,
                captions=tuple(c.caption for c in draw_captions(world, image)),
                boxes={
                    chain: thing.boxes.astype(np.float32)
                    for thing in image.objects
                    for chain in thing.chains
                },
            )
            for image in images
        ),
        regions=tuple(world.regions(image, False) for image in images),
    )


# --- mismatches ----------------------------------------------------------------------

Plant = Callable[[Case, World, int, np.random.Generator], Case]


def _with_regions(
    case: Case, change: Callable[[ImageRegions], dict[str, object]]
) -> Case:
    regions = [dataclasses.replace(image, **change(image)) for image in case.regions]
    return dataclasses.replace(case, regions=tuple(regions))


def permuted_channels(case, world, first, rng):
    order = rng.permutation(case.regions[0].features.shape[1])
    return _with_regions(case, lambda image: {"features": image.features[:, order]})


def smaller_frame(case, world, first, rng):
    """Boxes of an image that was made smaller; width and height are not."""
    times = np.float32(rng.uniform(0.5, 0.85))
    return _with_regions(case, lambda image: {"boxes": image.boxes * times})


def larger_frame(case, world, first, rng):
    """Boxes of an image that was made larger, cut at the border."""
    times = np.float32(rng.uniform(1.2, 1.8))
    return _with_regions(
        case,
        lambda image: {
            "boxes": np.minimum(
                image.boxes * times, np.float32([image.img_w, image.img_h] * 2) - 1
            )
        },
    )


def transposed(case, world, first, rng):
    """Boxes as y1, x1, y2, x2, cut at the border."""
    return _with_regions(
        case,
        lambda image: {
            "boxes": np.minimum(
                image.boxes[:, [1, 0, 3, 2]],
                np.float32([image.img_w, image.img_h] * 2) - 1,
            )
        },
    )


def _other_world(world: World, rng: np.random.Generator) -> World:
    seed = 1000 + int(rng.integers(10**6))
    return World(dataclasses.replace(world.settings, seed=seed))


def other_features(case, world, first, rng):
    """Features of another detector that names the same classes."""
    other = _other_world(world, rng)
    numbers = iter(range(first, first + len(case.regions)))
    return _with_regions(
        case,
        # The same objects, as another detector sees them.
        lambda image: {
            "features": other.regions(world.image(next(numbers)), False).features
        },
    )


def other_classes(case, world, first, rng):
    """Another detector: other features, and classes in another order."""
    order = np.append(0, 1 + rng.permutation(case.regions[0].cls_prob.shape[1] - 1))

    def change(image: ImageRegions) -> dict[str, object]:
        cls_prob = image.cls_prob[:, order]
        return {
            "cls_prob": cls_prob,
            "objects_id": cls_prob[:, 1:].argmax(axis=1),
            "objects_conf": cls_prob[:, 1:].max(axis=1),
        }

    return _with_regions(other_features(case, world, first, rng), change)


def shuffled(case, world, first, rng):
    """Regions under the ids of other images."""
    return _assigned(case, rng.permutation(len(case.regions)))


def shuffled_among_sizes(case, world, first, rng):
    """As `shuffled`, among images of the same width and height."""
    sizes = np.array([(i.width, i.height) for i in case.annotated])
    order = np.arange(len(sizes))
    for size in np.unique(sizes, axis=0):
        places = np.flatnonzero((sizes == size).all(axis=1))
        order[places] = np.roll(rng.permutation(places), 1)[
            np.argsort(np.argsort(places))
        ]
    return _assigned(case, order)


def _assigned(case: Case, order: Sequence[int]) -> Case:
    regions = [
        dataclasses.replace(case.regions[donor], image_id=image.image_id)
        for image, donor in zip(case.regions, order, strict=True)
    ]
    return dataclasses.replace(case, regions=tuple(regions))


def fewer_regions(case, world, first, rng):
    return _taken(case, np.arange(int(rng.integers(8, 28))))


def more_regions(case, world, first, rng):
    """Regions that a detector finds once more when it may report more."""
    count = len(case.regions[0].boxes)
    more = int(rng.integers(44, 100)) - count
    return _taken(case, np.append(np.arange(count), rng.integers(0, count, more)))


def _taken(case: Case, rows: np.ndarray) -> Case:
    names = ("features", "boxes", "objects_id", "objects_conf", "cls_prob")
    names += ("attrs_id", "attrs_conf")
    return _with_regions(
        case, lambda i: {name: getattr(i, name)[rows] for name in names}
    )


def other_captions(case, world, first, rng):
    """Captions and annotations of another split, under the ids of this one."""
    other = healthy(world, first + 5_000_000, len(case.annotated)).annotated
    annotated = [
        dataclasses.replace(theirs, image_id=image.image_id)
        for image, theirs in zip(case.annotated, other, strict=True)
    ]
    return dataclasses.replace(case, annotated=tuple(annotated))


def other_words(case, world, first, rng):
    """Captions of other images, whose phrases are linked to this image's boxes."""
    donors = healthy(world, first + 5_000_000, len(case.annotated)).annotated
    annotated = []
    for image, donor in zip(case.annotated, donors, strict=True):
        chains = sorted(image.boxes)
        renamed = {
            c: chains[n % len(chains)] for n, c in enumerate(sorted(donor.boxes))
        }
        captions = tuple(
            dataclasses.replace(
                caption,
                phrases=tuple(
                    dataclasses.replace(p, chain=renamed.get(p.chain, p.chain))
                    for p in caption.phrases
                ),
            )
            for caption in donor.captions
        )
        annotated.append(dataclasses.replace(image, captions=captions))
    return dataclasses.replace(case, annotated=tuple(annotated))


PLANTS: dict[str, Plant] = {
    "channels permuted": permuted_channels,
    "boxes of a smaller frame": smaller_frame,
    "boxes of a larger frame, cut": larger_frame,
    "boxes as y1, x1, y2, x2": transposed,
    "another detector, same classes": other_features,
    "another detector, other classes": other_classes,
    "images shuffled": shuffled,
    "images shuffled among equal sizes": shuffled_among_sizes,
    "fewer regions": fewer_regions,
    "more regions": more_regions,
    "captions and boxes of another split": other_captions,
    "words of another split": other_words,
}


# --- what is found -------------------------------------------------------------------


class _Given(RegionSource):
    """Regions as a file would give them: validated, brought to the images' frame."""

    form = "made up"

    def __init__(self, images: Sequence[ImageRegions]):
        super().__init__(Path("planted"))
        self._images = {image.image_id: image for image in images}

    @property
    def image_ids(self) -> tuple[str, ...]:
        return tuple(self._images)

    def read(self, image_id: str) -> ImageRegions:
        return self._images[image_id].validated("planted")

    def close(self) -> None:
        pass


def given(case: Case) -> StackedRegions:
    """The regions of a case as an ablation reads them.

    Raises:
        UserError: they cannot be those of the annotated images.
    """
    check_linked(case.annotated, Path("planted"))
    sizes = {i.image_id: (i.width, i.height) for i in case.annotated}
    return _Given(case.regions).read_all(list(sizes), sizes=sizes)


def judge(
    cases: Sequence[Case], trained: Trained, devices: LocalDevices
) -> list[Found]:
    """What `xabl ablate` finds in each case before it scores it.

    Cases have no image in common. They are scored with the same compiled programs.
    """
    found: list[Found | None] = []
    regions: list[StackedRegions | None] = []
    for case in cases:
        try:
            regions.append(given(case))
            found.append(None)
        except UserError as error:
            said = (f"error: {error}",)
            regions.append(None)
            found.append(Found(with_description=said, without=said))
    left = [n for n, of_case in enumerate(regions) if of_case is not None]
    together = Case(
        annotated=tuple(image for n in left for image in cases[n].annotated),
        regions=tuple(image for n in left for image in cases[n].regions),
    )
    if not left:
        return found
    evaluation = _evaluation(together, trained, devices)
    image_of = np.array([e.image_id for e in evaluation.plan.examples])
    parts = [
        _part(
            evaluation.plan,
            np.isin(image_of, [image.image_id for image in cases[n].annotated]),
        )
        for n in left
    ]
    for n, part, trials in zip(left, parts, scored(evaluation, parts), strict=True):
        case = cases[n]
        findings = annotation_findings(regions[n], mentions(case.annotated))
        guesses = of_words(part.examples, case.annotated, trained.word_pieces)
        guesses |= of_classes(part, regions[n], trained.config.scored_target())
        findings += trial_findings(trials, guesses.mean_unigram)
        described = describe(image.features for image in case.regions)
        features = [
            feature_findings(described, expected, knows_classes=True)
            for expected in (trained.described, None)
        ]
        found[n] = Found(*(tuple(map(str, each + findings)) for each in features))
    return found


def _evaluation(case: Case, trained: Trained, devices: LocalDevices) -> Evaluation:
    regions = given(case)
    examples = prepare_examples(case.annotated, trained.word_pieces)
    average = average_features(regions, mentions_by_image(examples))
    return Evaluation(
        Request(
            config=trained.config,
            params=trained.params,
            plan=build_plan(
                examples, regions, _INTACT, mask_id=trained.word_pieces.mask_id
            ),
            store=host_store(trained.config, regions, average),
            options=Options(batch_size=16),
        ),
        devices,
    )


def _part(plan: Plan, rows: np.ndarray) -> Plan:
    """Some examples of a plan."""
    names = ("pair", "excluded", "ablated_regions", "target")
    return dataclasses.replace(
        plan,
        examples=tuple(itertools.compress(plan.examples, rows)),
        **{name: getattr(plan, name)[rows] for name in names},
    )
