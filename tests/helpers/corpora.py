"""Corpora built in tests from a few images, and what they must hold."""

import json

import numpy as np

from tests.helpers import tiny_corpus
from xabl.data.regions import tsv_files
from xabl.pretraining.corpus.reader import Corpus
from xabl.pretraining.corpus.writer import build_corpus

IDS = [str(number) for number in range(5)]


def images():
    return [tiny_corpus.image(image_id) for image_id in IDS]


def write_tsv(folder):
    tsv_files.write(folder / "regions.tsv", images())
    return folder / "regions.tsv"


def write_captions(folder, **changes):
    texts = {image_id: tiny_corpus.captions(image_id, 1)[0] for image_id in IDS}
    path = folder / "captions.json"
    path.write_text(json.dumps(texts | changes))
    return path


def build(tmp_path, source, captions, **settings):
    settings = {"split": "train", "num_boxes": 4} | settings
    report = build_corpus(source, captions, tmp_path / "corpus", **settings)
    return Corpus(tmp_path / "corpus", settings["split"]), report


def assert_holds(corpus, expected, captions):
    """The corpus has these images with these captions, in this order."""
    assert corpus.num_images == len(expected)
    assert corpus.captions.to_pylist() == [text for texts in captions for text in texts]
    assert corpus.image_of.tolist() == [
        record for record, texts in enumerate(captions) for _ in texts
    ]
    for record, regions in enumerate(expected):
        image = corpus.image(record)
        assert (image.image_id, image.img_w, image.img_h, image.num_boxes) == (
            regions.image_id,
            regions.img_w,
            regions.img_h,
            regions.num_boxes,
        )
        for name in ("features", "boxes", "objects_id", "objects_conf", "cls_prob"):
            stored, given = getattr(image, name), getattr(regions, name)
            if given is None:
                assert stored is None
                continue
            np.testing.assert_array_equal(stored[: image.num_boxes], given)
            assert not stored[image.num_boxes :].any()


def one_caption(ids=tuple(IDS)):
    return [tiny_corpus.captions(image_id, 1) for image_id in ids]
