"""A way of removing that is added in a test: regions of another image.

Two entries add it, one for people (`results.conditions`), one for images
(`ablation.replacement`); the definition, the plan and the engine take it as it is.
"""

import dataclasses

import numpy as np
import pytest

from tests.helpers import ablation
from xabl.ablation.any_model import flax_model
from xabl.ablation.definition import Definition
from xabl.ablation.replacement import REGION_WAYS, Fill, Replacement
from xabl.results.conditions import WAYS, Condition, Direction, Way

NEXT = Way(
    done="swapped",
    doing="Swapping {}",
    meaning="an ablated region has the features of the next image's region",
    short="next",
)


@pytest.fixture(autouse=True)
def next_image(monkeypatch):
    def next_of(regions, row):
        return Replacement(fill=Fill.IMAGE, donor=(row + 1) % len(regions))

    monkeypatch.setitem(WAYS[Direction.VIS4LANG], "next", NEXT)
    monkeypatch.setitem(REGION_WAYS, "next", next_of)


def conditions():
    names = ("none", "object@0.5", "all", "object@0.5/next", "all/next")
    return (
        *(Condition.parse("vis4lang", name) for name in names),
        Condition.parse("lang4vis", "none"),
    )


def fewer_regions(row, count):
    """The golden world, one of its images with fewer regions."""
    world = ablation.regions()
    changed = {
        name: getattr(world, name).copy()
        for name in ("num_boxes", "features", "boxes", "objects_conf", "cls_prob")
    }
    changed["num_boxes"][row] = count
    for name in ("features", "boxes"):
        changed[name][row, count:] = 0
    return dataclasses.replace(world, **changed)


@pytest.mark.parametrize(
    "kind",
    [
        "two-stream",
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("uniter", "vl-bert")),
    ],
)
def test_regions_of_another_image_are_scored_as_defined(kind):
    config = ablation.shallow(kind)
    params, world = ablation.ruled_params(config), fewer_regions(row=1, count=20)
    scores = ablation.scored(config, params, conditions=conditions(), world=world)
    definition = Definition(
        model=flax_model(config, params),
        regions=world,
        average=ablation.average(),
        mask_id=ablation.word_pieces().mask_id,
        target=config.scored_target(),
    )
    for column, condition in enumerate(conditions()):
        for name, losses in definition.losses(ablation.examples(), condition).items():
            np.testing.assert_allclose(scores.loss(name)[:, column], losses, atol=5e-6)
    mlm = scores.loss("mlm")
    assert np.nanmax(np.abs(mlm[:, 4] - mlm[:, 2])) > 1e-4
