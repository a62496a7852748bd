"""What does not belong together is found before it is scored; what does is not."""

import dataclasses

import numpy as np
import pytest

from benchmarks.planted import PLANTS, Case, given, healthy
from xabl.ablation.mismatch.annotations import annotation_findings
from xabl.ablation.mismatch.features import feature_findings
from xabl.ablation.mismatch.findings import Finding, stop_if_asked
from xabl.ablation.mismatch.scores import (
    Trial,
    other_captions,
    other_regions,
    seen_classes,
    worse_than_unigram,
)
from xabl.ablation.options import OnMismatch
from xabl.data.flickr30k_entities import mentions
from xabl.data.regions.description import RegionDescription, describe, evenly
from xabl.errors import UserError
from xabl.synthetic.world.images import World
from xabl.synthetic.world.settings import WorldSettings

IMAGES = 30
WORLD = World(WorldSettings(seed=77, feature_size=64, classes_per_type=2))
FEATURES = np.maximum(
    np.random.default_rng(0).normal(np.linspace(-1, 1, 64), 1, (20, 36, 64)), 0
).astype(np.float32)
TRAINED = describe(FEATURES[:14])


@pytest.fixture(scope="module")
def case() -> Case:
    return healthy(WORLD, 5000, IMAGES)


def found_in(case: Case) -> list[str]:
    """What is found without a model: an error, or what findings are of."""
    try:
        regions = given(case)
    except UserError as error:
        return [str(error)]
    return [f.of for f in annotation_findings(regions, mentions(case.annotated))]


def test_nothing_is_found_where_all_belongs_together(case):
    assert found_in(case) == []
    few = Case(annotated=case.annotated[:9], regions=case.regions[:9])
    rng = np.random.default_rng(0)
    few = PLANTS["words of another split"](few, WORLD, 5000, rng)
    assert found_in(few) == []  # nine images are too few to say


@pytest.mark.parametrize(
    "kind, of",
    [
        ("boxes of a larger frame, cut", "boxes"),
        ("boxes as y1, x1, y2, x2", "boxes"),
        ("boxes of a smaller frame", "another frame"),
        ("images shuffled", "pixels"),
        ("images shuffled among equal sizes", "boxes"),
        ("captions and boxes of another split", "pixels"),
        ("words of another split", "classes"),
    ],
)
def test_regions_and_annotations_of_different_images(case, kind, of):
    planted = PLANTS[kind](case, WORLD, 5000, np.random.default_rng(1))
    assert of in found_in(planted)[0]


def test_a_reading_that_fits_is_named(case):
    planted = PLANTS["boxes as y1, x1, y2, x2"](case, WORLD, 0, None)
    regions = given(planted)
    (finding,) = [
        f for f in annotation_findings(regions, mentions(case.annotated)) if f.certain
    ]
    assert "better as y1, x1, y2, x2" in str(finding)


# --- features ------------------------------------------------------------------------


def of(features: np.ndarray, trained: RegionDescription | None = TRAINED) -> list[str]:
    return [
        str(f)
        for f in feature_findings(describe(features), trained, knows_classes=True)
    ]


def test_features_of_the_training_are_as_expected():
    assert of(FEATURES[6:]) == []
    assert of(FEATURES[6:, :34]) == []  # a few regions less


def test_channels_in_another_order():
    (line,) = of(FEATURES[:, :, np.random.default_rng(1).permutation(64)])
    assert "correlation" in line and "another order" in line


@pytest.mark.parametrize("times", [0.2, 10.0])
def test_scaled_features(times):
    (line,) = of(FEATURES * np.float32(times))
    assert "scaled or normalised" in line


def test_another_number_of_regions():
    (line,) = of(FEATURES[:, :20])
    assert "found 20" in line and "36 an image" in line


def test_published_models_know_36_regions():
    assert of(FEATURES[6:, :34], None) == []
    (line,) = of(FEATURES[:, :30], None)
    assert "expected 36 an image" in line and "published models, found 30" in line
    few = describe(FEATURES[:, :30])  # of a model without classes nothing is known
    assert feature_findings(few, None, knows_classes=False) == []


def test_two_images_say_nothing_of_features():
    assert of(FEATURES[:2] * 10) == []


def test_without_a_training_only_pool5_is_known():
    wide = np.tile(FEATURES, (1, 1, 32))
    assert of(FEATURES * 100, None) == []  # features of another kind
    assert of(wide, None) == []
    (line,) = of(wide / np.linalg.norm(wide, axis=2, keepdims=True), None)
    assert "pool5" in line


def test_a_description_is_exact_and_survives_json(tmp_path):
    features = [np.float32([[0, 1], [2, 3]]), np.float32([[4, 5]])]
    found = describe(features)
    assert (found.images, found.fewest, found.median, found.most) == (2, 1, 1, 2)
    assert found.mean == 2.5 and found.zeros == 0.1667
    assert found.channel_means == (2.0, 3.0)
    assert found.channel_stds == (1.633, 1.633)
    assert found.std == 1.708
    assert RegionDescription.from_json(found.to_json(), "x") == found
    with pytest.raises(UserError, match=r"report.json: .* damaged"):
        RegionDescription.from_json({"mean": "?"}, "report.json")
    assert describe([]) is None


def test_evenly_spaced_places():
    assert evenly(5, 10) == [0, 1, 2, 3, 4]
    assert evenly(101, 3) == [0, 50, 100]


# --- scores --------------------------------------------------------------------------


def trial(own, change, images: int = 120) -> Trial:
    """Two examples of each image, with losses around `own`."""
    noise = np.random.default_rng(0).normal(size=2 * images)
    own = own + 0.5 * np.abs(noise)
    return Trial(
        loss="mlm", images=np.arange(2 * images) // 2, own=own, other=own + change
    )


def jumps(mean: float, images: int = 120) -> np.ndarray:
    """Large changes in both directions, around a mean."""
    drawn = np.random.default_rng(1).normal(scale=2.0, size=2 * images)
    return mean + drawn - drawn.mean()


def test_a_model_that_uses_its_regions_is_healthy():
    assert other_regions(trial(1.0, jumps(1.5))) is None


def test_regions_that_matter_but_are_no_better_than_others():
    assert "another image's" in str(other_regions(trial(1.0, jumps(0.0))))
    assert other_regions(trial(1.0, jumps(-1.0))) is not None


def test_what_may_be_a_small_use_of_regions_is_no_mismatch():
    assert other_regions(trial(1.0, jumps(0.2))) is None


def test_a_model_without_use_for_regions_is_no_mismatch():
    assert other_regions(trial(1.0, jumps(0.0) / 100)) is None


def test_captions_that_matter_but_are_no_better_than_others():
    assert other_captions(trial(1.0, jumps(1.5))) is None
    assert "classes" in str(other_captions(trial(1.0, jumps(0.0))))


def test_worse_than_unigram():
    assert worse_than_unigram(trial(1.0, 0.0), {"mlm": 2.0}) is None
    assert worse_than_unigram(trial(3.0, 0.0), {}) is None  # not known
    line = str(worse_than_unigram(trial(3.0, 0.0), {"mlm": 2.0}))
    assert "at most 2.89 bits" in line  # 2 nats


def test_classes_of_regions_that_the_model_sees():
    asked = dataclasses.replace(trial(1.0, 0.0), loss="mrc_kl")
    known = dataclasses.replace(asked, seen=asked.own)
    unknown = dataclasses.replace(asked, seen=5 * asked.own)
    guess = {"mlm": 0.1, "mrc_kl": 2.0}
    assert seen_classes(asked, guess) is seen_classes(known, guess) is None
    assert "at most 2.89 bits for the classes" in str(seen_classes(unknown, guess))


def test_few_images_say_nothing_of_scores():
    few = trial(9.0, jumps(-5.0, 5), images=5)
    assert not any(
        (
            other_regions(few),
            other_captions(few),
            worse_than_unigram(few, {"mlm": 1.0}),
            seen_classes(dataclasses.replace(few, seen=few.own), {"mlm": 1.0}),
        )
    )


# --- what is done about it -----------------------------------------------------------

SUSPICION = Finding(of="words", expected="A", seen="B", cause="C", cure="D")
CERTAIN = dataclasses.replace(SUSPICION, of="boxes", certain=True)


def test_a_finding_is_one_line():
    assert str(SUSPICION) == "words: expected A, found B; most likely C: D"


@pytest.mark.parametrize(
    "on_mismatch, stopped_by",
    [
        ("stop_if_certain", [[CERTAIN], [SUSPICION, CERTAIN]]),
        ("stop", [[CERTAIN], [SUSPICION], [SUSPICION, CERTAIN]]),
        ("warn", []),
    ],
)
def test_what_stops_a_run(on_mismatch, stopped_by):
    for findings in ([], [SUSPICION], [CERTAIN], [SUSPICION, CERTAIN]):
        if findings in stopped_by:
            with pytest.raises(UserError, match="--mismatch=warn"):
                stop_if_asked(findings, OnMismatch(on_mismatch))
        else:
            stop_if_asked(findings, OnMismatch(on_mismatch))
