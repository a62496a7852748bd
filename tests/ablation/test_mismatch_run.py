"""Whole runs whose features, captions and model do not belong together."""

import dataclasses
import json

import numpy as np
import pytest

import xabl
from xabl import analysis
from xabl.data.regions import open_regions
from xabl.data.regions.description import describe
from xabl.data.word_pieces import read_vocabulary
from xabl.errors import UserError
from xabl.inspection import inspect_path
from xabl.models import model_directory
from xabl.pretraining.initial_values import random_values
from xabl.pretraining.objective import forward
from xabl.pretraining.small_models import small_uniter
from xabl.synthetic.world.files import ENTITIES, make_world
from xabl.synthetic.world.settings import WorldSettings


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
            forward.nest({k: np.asarray(v) for k, v in values.items()}),
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
