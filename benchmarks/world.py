"""A world of the real data's shape, without its content.

As many images, captions, phrases and regions as the validation split of Flickr30k
Entities, with like lengths of captions and phrases, and boxes that overlap so that
the conditions ablate about the published share of regions. Words, features and
classes are drawn at random: speed does not depend on them.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from xabl.data.regions import ImageRegions, store

IMAGES = 1000
CAPTIONS = 5
REGIONS = 36
VOCABULARY = 30522
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_TYPES = ("people", "clothing", "other", "scene")
_WIDTH, _HEIGHT = 500, 375


@dataclasses.dataclass(frozen=True, kw_only=True)
class World:
    """Where the files of a world are."""

    entities: Path
    regions: Path
    vocabulary: Path


def make_world(folder: Path, *, num_images: int = IMAGES, seed: int = 0) -> World:
    """Writes a world; the same for the same seed."""
    world = World(
        entities=folder / "flickr30k_entities",
        regions=folder / "regions.h5",
        vocabulary=folder / "vocab.txt",
    )
    for name in ("Sentences", "Annotations"):
        (world.entities / name).mkdir(parents=True)
    pieces = [*_SPECIAL, *(f"w{n}" for n in range(VOCABULARY - len(_SPECIAL)))]
    world.vocabulary.write_text("\n".join(pieces) + "\n")
    ids = [str(1000 + number) for number in range(num_images)]
    (world.entities / "val.txt").write_text("\n".join(ids) + "\n")
    images = _write_images(world.entities, ids, seed)
    store.write(world.regions, images, ids, {"form": "drawn at random"})
    return world


def _write_images(entities: Path, ids: list[str], seed: int) -> Iterator[ImageRegions]:
    """Writes captions and boxes of each image, gives its regions."""
    for image_id in ids:
        rng = np.random.default_rng([seed, int(image_id)])
        things = _boxes(rng, 2 + rng.poisson(4.4), _thing_side(rng))
        captions = [_caption(rng, len(things)) for _ in range(CAPTIONS)]
        text = "\n".join(captions) + "\n"
        (entities / "Sentences" / f"{image_id}.txt").write_text(text)
        (entities / "Annotations" / f"{image_id}.xml").write_text(_xml(things))
        yield _regions(rng, image_id, things)


def _thing_side(rng: np.random.Generator):
    return lambda count: rng.beta(1.9, 2.6, (count, 2))


def _boxes(rng: np.random.Generator, count: int, draw) -> np.ndarray:
    """Boxes whose sides are drawn shares of the image's, anywhere in it."""
    size = np.array([_WIDTH, _HEIGHT])
    sides = np.maximum(np.round(draw(count) * size), 8).astype(int)
    low = np.floor(rng.random((count, 2)) * (size - sides)).astype(int)
    return np.concatenate([low, low + sides - 1], axis=1)


def _regions(
    rng: np.random.Generator, image_id: str, things: np.ndarray
) -> ImageRegions:
    """Detections: several of each thing, moved a little, and others elsewhere."""
    seen = np.repeat(things, 2, axis=0)[: REGIONS // 2]
    spread = (seen[:, 2:] - seen[:, :2]) * 0.06
    moved = seen + np.concatenate([spread, spread], axis=1) * rng.standard_normal(
        seen.shape
    )
    others = _boxes(
        rng, REGIONS - len(moved), lambda count: rng.beta(1.1, 2.4, (count, 2))
    )
    boxes = np.concatenate([moved, others]).astype(np.float32)
    boxes[:, 0::2] = boxes[:, 0::2].clip(0, _WIDTH - 1)
    boxes[:, 1::2] = boxes[:, 1::2].clip(0, _HEIGHT - 1)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2])
    logits = rng.standard_normal((REGIONS, 1601), np.float32) * 2.5
    cls_prob = np.exp(logits - logits.max(axis=1, keepdims=True))
    cls_prob /= cls_prob.sum(axis=1, keepdims=True)
    return ImageRegions(
        image_id=image_id,
        img_w=_WIDTH,
        img_h=_HEIGHT,
        features=np.maximum(rng.standard_normal((REGIONS, 2048), np.float32) - 0.3, 0),
        boxes=boxes,
        objects_id=cls_prob[:, 1:].argmax(axis=1),
        objects_conf=cls_prob[:, 1:].max(axis=1),
        cls_prob=cls_prob,
    )


def _caption(rng: np.random.Generator, num_things: int) -> str:
    """A caption that mentions some of the things, each once."""
    mentioned = rng.permutation(num_things)[: 1 + rng.poisson(1.95)]
    phrases = [
        f"[/EN#{thing + 1}/{_TYPES[thing % len(_TYPES)]} "
        + " ".join(_words(rng, 1 + rng.poisson(1.4)))
        + "]"
        for thing in mentioned
    ]
    in_phrases = sum(phrase.count(" ") for phrase in phrases)
    length = int(rng.gamma(4.6, 2.8)) + 1
    rest = _words(rng, max(1, length - in_phrases))
    # The other words, with the phrases put between them.
    places = np.sort(rng.integers(0, len(rest) + 1, len(phrases)))
    for place, phrase in zip(places[::-1], phrases[::-1], strict=True):
        rest.insert(int(place), phrase)
    return " ".join(rest)


def _words(rng: np.random.Generator, count: int) -> list[str]:
    return [f"w{n}" for n in rng.integers(0, VOCABULARY - len(_SPECIAL), count)]


def _xml(things: np.ndarray) -> str:
    objects = "".join(
        f"<object><name>{number}</name><bndbox><xmin>{x1 + 1}</xmin>"
        f"<ymin>{y1 + 1}</ymin><xmax>{x2 + 1}</xmax><ymax>{y2 + 1}</ymax></bndbox>"
        "</object>\n"
        for number, (x1, y1, x2, y2) in enumerate(things.tolist(), start=1)
    )
    size = f"<size><width>{_WIDTH}</width><height>{_HEIGHT}</height></size>\n"
    return f"<annotation>\n{size}{objects}</annotation>\n"
