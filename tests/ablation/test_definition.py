"""The definition by hand, and for a model that is a plain function of numpy."""

import numpy as np
import pytest

from tests.helpers import ablation
from xabl.ablation.any_model import Logits
from xabl.ablation.definition import Definition
from xabl.models.visual_targets import VISUAL_TARGETS
from xabl.results.conditions import Condition

VOCABULARY, CLASSES = 300, 1601


class Recorder:
    """Logits that depend on nothing; keeps what it was shown."""

    def __call__(self, words, regions):
        self.words, self.regions = words, regions
        positions, boxes = words.token_ids.shape, regions.features.shape[:2]
        ramp = np.linspace(0, 3, VOCABULARY, dtype=np.float32)
        classes = np.linspace(0, 2, CLASSES, dtype=np.float32)
        return Logits(
            words=np.broadcast_to(ramp, (*positions, VOCABULARY)),
            regions=np.broadcast_to(classes, (*boxes, CLASSES)),
        )


def asked(name, target="0"):
    """A recorder and the losses it has under a condition, of the first 16 examples."""
    model = Recorder()
    definition = Definition(
        model=model,
        regions=ablation.regions(),
        average=ablation.average(),
        mask_id=ablation.word_pieces().mask_id,
        target=VISUAL_TARGETS[target],
    )
    examples = ablation.examples()[:16]
    return model, definition.losses(examples, Condition.parse(*name.split()))


def log_softmax(values):
    return values - np.log(np.exp(values).sum())


def image(example):
    regions = ablation.regions()
    return regions.image(regions.image_ids.index(example.image_id))


def area(x1, y1, x2, y2):
    return max(0, x2 - x1 + 1) * max(0, y2 - y1 + 1)


def overlaps(example, *, union=False):
    """Of each region: its greatest IoT, or IoU, with a box of the phrase."""

    def overlap(region, box):
        shared = area(*np.maximum(region, box)[:2], *np.minimum(region, box)[2:])
        return shared / (area(*box) + union * (area(*region) - shared))

    boxes = example.boxes.astype(float)
    regions = image(example).boxes.astype(float)
    return np.array([max(overlap(r, b) for b in boxes) for r in regions])


@pytest.mark.parametrize(
    "level, threshold", [("none", 2), ("object@0.5", 0.5), ("all", -1)]
)
def test_regions_are_ablated_and_the_phrase_is_asked_for(level, threshold):
    model, losses = asked(f"vis4lang {level}")
    log_q = log_softmax(np.linspace(0, 3, VOCABULARY))
    for row, example in enumerate(ablation.examples()[:16]):
        seen = image(example).features.copy()
        seen[overlaps(example) > threshold] = ablation.average()
        np.testing.assert_array_equal(model.regions.features[row], seen)
        np.testing.assert_allclose(
            model.regions.image[row], seen.mean(axis=0), rtol=1e-6
        )
        length = len(example.token_ids)
        words = example.token_ids.copy()
        words[example.pieces] = ablation.word_pieces().mask_id
        np.testing.assert_array_equal(model.words.token_ids[row, :length], words)
        assert not model.words.token_ids[row, length:].any()
        assert model.words.mask[row].sum() == length
        expected = -log_q[example.token_ids[example.pieces]].mean()
        assert losses["mlm"][row] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("level", ["none", "phrase", "all"])
def test_words_are_ablated_and_the_region_is_asked_for(level):
    model, losses = asked(f"lang4vis {level}")
    log_q = log_softmax(np.linspace(0, 2, CLASSES))
    for row, example in enumerate(ablation.examples()[:16]):
        found, hidden = image(example), overlaps(example) > 0.5
        words = example.token_ids.copy()
        masked = {"none": [], "phrase": example.pieces, "all": slice(1, -1)}[level]
        words[masked] = ablation.word_pieces().mask_id
        np.testing.assert_array_equal(model.words.token_ids[row, : len(words)], words)
        seen = np.where(hidden[:, None], 0, found.features)
        np.testing.assert_array_equal(model.regions.features[row], seen)
        # The published [IMG] row knows the region that is asked for.
        np.testing.assert_allclose(
            model.regions.image[row], found.features.mean(axis=0), rtol=1e-6
        )
        if not hidden.any():
            assert all(np.isnan(loss[row]) for loss in losses.values())
            continue
        target = np.where(hidden, overlaps(example, union=True), -1).argmax()
        q, p = log_q[found.objects_id[target]], found.cls_prob[target]
        right = log_q[1 + found.objects_id[target]]
        terms = [x * (np.log(x) - log_q[c]) for c, x in enumerate(p) if x > 0]
        assert losses["mrc_xe"][row] == pytest.approx(-q, abs=1e-5)
        assert losses["mrc_xe_corrected"][row] == pytest.approx(-right, abs=1e-5)
        assert losses["mrc_kl"][row] == pytest.approx(sum(terms), abs=1e-5)
