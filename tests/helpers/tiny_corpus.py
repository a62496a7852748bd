"""A few made-up images with captions, and corpora of them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from xabl.data.regions.image_regions import ImageRegions
from xabl.pretraining.corpus.reader import Corpus
from xabl.pretraining.corpus.sources import CaptionedImage
from xabl.pretraining.corpus.writer import write_corpus

WORDS = ("dog", "cat", "man", "red", "ball", "runs", "on", "the")
VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS)
MASK = VOCABULARY.index("[MASK]")


def write_vocabulary(folder: Path) -> Path:
    path = folder / "vocab.txt"
    path.write_text("\n".join(VOCABULARY) + "\n")
    return path


def image(
    image_id: str,
    *,
    feature_size: int = 8,
    num_boxes: int = 4,
    has_cls_prob: bool = True,
    has_attributes: bool = True,
) -> ImageRegions:
    """An image of 200 x 100 pixels, everything drawn from its id."""
    random = np.random.default_rng(int(image_id))
    corner = random.integers(0, 50, (num_boxes, 2))
    sides = random.integers(1, 50, (num_boxes, 2))
    weights = random.random((num_boxes, 1601), np.float32)
    cls_prob = weights / weights.sum(1, keepdims=True)
    return ImageRegions(
        image_id=image_id,
        img_w=200,
        img_h=100,
        features=random.random((num_boxes, feature_size), np.float32) + 0.5,
        boxes=np.concatenate([corner, corner + sides], axis=1).astype(np.float32),
        objects_id=cls_prob[:, 1:].argmax(1),
        objects_conf=cls_prob[:, 1:].max(1),
        cls_prob=cls_prob if has_cls_prob else None,
        attrs_id=random.integers(0, 400, num_boxes) if has_attributes else None,
        attrs_conf=random.random(num_boxes, np.float32) if has_attributes else None,
    )


def captions(image_id: str, number: int = 2) -> tuple[str, ...]:
    """Captions of 2 ... 6 words; the first tells the image (up to 64 of them)."""
    random = np.random.default_rng([int(image_id), 1])
    first = f"{WORDS[int(image_id) % 8]} {WORDS[int(image_id) // 8 % 8]}"
    others = (" ".join(random.choice(WORDS, random.integers(2, 7))) for _ in range(9))
    return (first, *others)[:number]


def captioned_images(number: int, **sizes) -> Iterator[CaptionedImage]:
    for image_id in map(str, range(number)):
        yield CaptionedImage(
            regions=image(image_id, **sizes), captions=captions(image_id)
        )


def corpus(folder: Path, number: int, *, num_boxes: int = 4, **sizes) -> Corpus:
    """A corpus of `number` images with two captions each, in memory."""
    write_corpus(
        captioned_images(number, **sizes),
        folder / "corpus",
        "train",
        num_boxes=num_boxes,
    )
    return Corpus(folder / "corpus", "train")
