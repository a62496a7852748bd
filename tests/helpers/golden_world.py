"""The golden world: 6 images whose regions follow from a rule (tests/data/golden)."""

import functools
import json
from pathlib import Path

import numpy as np

from xabl.data.regions import ImageRegions, hdf5_files, lmdb_files, tsv_files

WORLD = Path(__file__).parents[1] / "data" / "golden" / "ablation"
ENTITIES = WORLD / "flickr30k_entities"
VOCABULARY = WORLD / "vocab.txt"
FORMS = ("lmdb", "lmdb_arrays", "tsv", "hdf5")
FORMS_WITH_CLS_PROB = ("lmdb", "tsv")


@functools.cache
def examples() -> list[dict[str, object]]:
    """The 80 examples as the published code prepared them, in its order."""
    return json.loads((WORLD / "examples.json").read_text())


@functools.cache
def golden_images() -> tuple[ImageRegions, ...]:
    """Regions of the 6 images: everything but the boxes is drawn by the rule."""
    listed = json.loads((WORLD / "regions.json").read_text())
    return tuple(
        ruled_image(image_id, entry["img_w"], entry["img_h"], entry["boxes"])
        for image_id, entry in listed.items()
    )


def ruled_image(
    image_id: str, img_w: int, img_h: int, boxes: list[list[float]]
) -> ImageRegions:
    """An image with features, classes and attributes drawn for its id."""
    seed, n = int(image_id), len(boxes)
    cls_prob = _softmax(2.5 * _normal(seed + 1, n, 1601))
    attrs = _softmax(2.0 * _normal(seed + 2, n, 401))
    return ImageRegions(
        image_id=image_id,
        img_w=img_w,
        img_h=img_h,
        features=np.maximum(_normal(seed, n, 2048) - 0.3, 0).astype(np.float32),
        boxes=np.array(boxes, np.float32),
        objects_id=cls_prob[:, 1:].argmax(1),
        objects_conf=cls_prob[:, 1:].max(1),
        cls_prob=cls_prob,
        attrs_id=attrs[:, 1:].argmax(1),
        attrs_conf=attrs[:, 1:].max(1),
        attrs=attrs,
    )


def write_regions(folder: Path, form: str) -> Path:
    """Writes the 6 images in one of FORMS and returns the path to give to --regions."""
    images = golden_images()
    if form == "tsv":
        tsv_files.write(folder / "val.tsv", images)
        return folder / "val.tsv"
    if form == "hdf5":
        hdf5_files.write(folder / "val.h5", images)
        return folder / "val.h5"
    lmdb_files.write(folder / form, images, as_arrays=form == "lmdb_arrays")
    return folder / form


def _normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.RandomState(seed % 2**32).standard_normal(shape)


def _softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max(1, keepdims=True))
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)
