"""Whole runs whose features, captions and model do not belong together."""

import dataclasses
import functools
import json

import numpy as np
import pytest

import xabl
from xabl import analysis
from xabl.ablation.engine.programs import Programs
from xabl.ablation.mismatch.sample import scored
from xabl.ablation.options import InputFiles, Options
from xabl.ablation.series import Series
from xabl.data.regions import hdf5_files, open_regions
from xabl.data.regions.description import describe
from xabl.data.word_pieces import read_vocabulary
from xabl.errors import UserError
from xabl.inspection import inspect_path
from xabl.models import model_directory
from xabl.models.model import nest
from xabl.pretraining.initial_values import random_values
from xabl.pretraining.small_models import small_uniter
from xabl.results.conditions import Direction
from xabl.synthetic.world.files import ENTITIES, make_world
from xabl.synthetic.world.settings import WorldSettings


@pytest.fixture(autouse=True)
def small_sample(monkeypatch):
    monkeypatch.setattr("xabl.ablation.mismatch.sample._MOST_EXAMPLES", 60)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mismatch") / "world"
    make_world(
        folder,
        WorldSettings(
            train_images=1,
            val_images=26,
            test_images=1,
            feature_size=64,
            classes_per_type=2,
        ),
    )
    return folder


@pytest.fixture(scope="module")
def model(world):
    """By what it says of its training: the world's features or other ones."""
    vocabulary = world / "vocab.txt"
    config = small_uniter(len(read_vocabulary(vocabulary)), 64)
    values = random_values(config, "uniform", 0).values
    with open_regions(world / "regions.h5") as source:
        seen = describe(source.read(i).features for i in source.image_ids)
    backwards = dataclasses.replace(seen, channel_means=seen.channel_means[::-1])
    for name, described in (("same", seen), ("other", backwards)):
        model_directory.save(
            world.parent / name,
            config,
            nest({k: np.asarray(v) for k, v in values.items()}),
            vocabulary=vocabulary,
            report={model_directory.REGIONS: described.to_json()},
        )
    return {name: world.parent / name for name in ("same", "other")}


def files(world):
    return {"entities": world / ENTITIES, "regions": world / "regions.h5"}


def test_features_of_another_detector_stop_a_run(world, model):
    with pytest.raises(
        UserError, match=r"features: .*correlation of .*mismatch='warn'"
    ):
        xabl.ablate(model["other"], **files(world))


def test_inspect_holds_regions_against_model_and_annotations(world, model):
    path, entities = world / "regions.h5", world / ENTITIES
    found = inspect_path(path, entities=entities, model=model["same"])
    assert found.problems == found.suspicions == ()
    assert "36 regions an image" in found.facts["features"]
    found = inspect_path(path, entities=entities, model=model["other"])
    assert "correlation" in found.problems[0]
    trained = inspect_path(model["same"]).facts["trained on regions"]
    assert trained.endswith("36 regions an image")


@pytest.mark.slow
def test_the_second_of_an_architecture_compiles_nothing_for_its_sample(
    world, model, monkeypatch
):
    """And the first one nothing that it does not need anyway."""
    series, begun = Series(), []
    begin = Programs.begin

    def spy(self, shape, arguments):
        begun.append(shape)
        begin(self, shape, arguments)

    monkeypatch.setattr(Programs, "begin", spy)
    files_of = InputFiles(**files(world), thresholds=(0.5,))
    for name in ("same", "other"):
        inputs, params = series.read(
            dataclasses.replace(files_of, model=model[name]), lambda line: None
        )
        evaluation = series.evaluation(inputs, params, Options(batch_size=64), print)
        (trials,) = scored(evaluation, [evaluation.plan])
        assert trials[Direction.LANG4VIS].seen is not None
    assert len(begun) == 2  # one for each direction
    assert set(begun) <= set(evaluation.schedule().shapes)


# --- functions of one's own ----------------------------------------------------------


@pytest.fixture
def guess(world):
    """A function of words and regions, and what it is asked."""
    size = len(read_vocabulary(world / "vocab.txt"))

    def alike(words, regions):
        return xabl.Logits(words=np.zeros((*words.mask.shape, size)), regions=None)

    return functools.partial(
        xabl.ablate_function,
        alike,
        label="Mine",
        hides="it does not look",
        vocabulary=world / "vocab.txt",
        directions=["vis4lang"],
        thresholds=[0.5],
        **files(world),
    )


def test_a_function_of_words_and_regions(guess):
    with pytest.raises(UserError, match="words: expected at most .*mismatch='warn'"):
        guess(mismatch="stop")


@pytest.mark.slow
def test_suspicions_of_a_function_are_said_and_kept(guess, tmp_path):
    scores = guess(output=tmp_path / "results")
    assert "Mine: suspicious: words: expected at most" in str(scores).splitlines()[0]
    manifest = json.loads((tmp_path / "results" / "manifest.json").read_text())
    assert len(manifest["suspicions"]) == 1


@pytest.fixture
def transposed(world, tmp_path):
    """Regions with boxes as y1, x1, y2, x2, cut at the border."""

    def turned(image):
        size = np.float32([image.img_w, image.img_h] * 2)
        boxes = np.minimum(image.boxes[:, [1, 0, 3, 2]], size - 1)
        return dataclasses.replace(image, boxes=boxes)

    with open_regions(world / "regions.h5") as source:
        images = [turned(source.read(image_id)) for image_id in source.image_ids]
    hdf5_files.write(tmp_path / "turned.h5", images)
    return tmp_path / "turned.h5"


def test_boxes_in_another_order_stop_it_before_it_is_asked(world, transposed):
    with pytest.raises(UserError, match="fit better as y1, x1, y2, x2"):
        xabl.ablate_anything(
            lambda asked: pytest.fail("it was asked"),
            label="Mine",
            hides="",
            entities=world / ENTITIES,
            regions=transposed,
        )


def test_a_model_that_does_better_with_another_image(world):
    image_of = {}  # of a caption, the one that it is asked with first

    def model(asked):
        return [
            [
                -3.0
                if image_of.setdefault(one.caption, one.image_id) == one.image_id
                else -1.0
            ]
            * one.asked_words.sum()
            for one in asked
        ]

    with pytest.raises(UserError, match="words: expected words that are predicted"):
        xabl.ablate_anything(
            model,
            label="Mine",
            hides="",
            mismatch="stop",
            directions=["vis4lang"],
            **files(world),
        )


@pytest.mark.slow
def test_suspicions_are_the_first_that_is_said_of_results(
    world, model, tmp_path, capsys
):
    scores = xabl.ablate(
        model["other"],
        **files(world),
        directions=["vis4lang"],
        thresholds=(0.5,),
        mismatch="warn",
    )
    said = "suspicious: features: expected channels"
    assert said in capsys.readouterr().err
    assert said in str(scores).splitlines()[0]
    # The model is not trained at all.
    assert "words: expected at most" in str(scores)
    scores.save(tmp_path / "results")
    manifest = json.loads((tmp_path / "results" / "manifest.json").read_text())
    assert manifest["suspicions"][0].startswith("features: expected channels")
    assert said in analysis.load_study([tmp_path]).warnings()[0]
