"""Every way of removing, level and direction: by the engine as by the definition.

Among them a way that only this test knows. It is one entry of `results.ways.WAYS`, for
people, and one of `ablation.replacement.REGION_WAYS`, for images.
"""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from tests.helpers import ablation, golden_world
from xabl.ablation.any_model import flax_model
from xabl.ablation.inputs import read_inputs
from xabl.ablation.options import InputFiles
from xabl.ablation.plan import NONE_STAYS
from xabl.ablation.replacement import (
    NEEDS_REGIONS,
    REGION_WAYS,
    Donors,
    Fill,
    RegionWay,
)
from xabl.errors import UserError
from xabl.models.config import GlobalImage
from xabl.models.presets import PRESETS
from xabl.python.model import Model
from xabl.results.conditions import Condition, Direction, all_conditions
from xabl.results.ways import WAYS, Way

ALL_WAYS = ("zero", "other_image", "drop", "other_caption")
TOLERANCE = 5e-6  # nats
QUICK_FIRST = (
    "two-stream",
    *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("uniter", "vl-bert")),
)
NEXT = Way(
    done="swapped",
    doing="Swapping {}",
    meaning="an ablated region has the features of the next image's region",
    short="next",
)


@pytest.fixture
def next_image(monkeypatch):
    way = RegionWay(
        fill=Fill.IMAGE, donor=lambda donors, row: (row + 1) % len(donors.image_ids)
    )
    monkeypatch.setitem(WAYS[Direction.VIS4LANG], "next", NEXT)
    monkeypatch.setitem(REGION_WAYS, "next", way)


@pytest.fixture
def quick_compilation():
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


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


def conditions_of(config, ways=ALL_WAYS, thresholds=(0.5,)):
    directions = list(Direction) if config.visual_targets else [Direction.VIS4LANG]
    if config.text_only:
        return all_conditions([Direction.VIS4LANG])[:1]
    return all_conditions(directions, thresholds, ways)


@functools.cache
def model_of(config):
    return flax_model(config, ablation.ruled_params(config))


def definition_of(config, world=None, model=None):
    return ablation.definition_of(config, model or model_of(config), world)


def assert_as_defined(config, conditions, world=None, of=None):
    of = ablation.examples() if of is None else of
    params = ablation.ruled_params(config)
    scores = ablation.scored(config, params, conditions=conditions, world=world, of=of)
    definition = definition_of(config, world)
    for column, condition in enumerate(conditions):
        for name, losses in definition.losses(of, condition).items():
            # NaN, where nothing can be asked, at the same places.
            np.testing.assert_allclose(
                scores.loss(name)[:, column], losses, atol=TOLERANCE, rtol=0
            )
    return scores


def test_ways_are_scored_as_defined(next_image, quick_compilation):
    config = ablation.shallow("two-stream")
    conditions = conditions_of(config, (*ALL_WAYS, "next"))
    scores = assert_as_defined(
        config, conditions, fewer_regions(row=1, count=20), ablation.examples()[:32]
    )
    # No two ways come to the same, none to nothing.
    for direction, loss in (("vis4lang", "mlm"), ("lang4vis", "mrc_xe")):
        names = [f"{c.direction} {c.name}" for c in conditions]
        levels = ["none", *(f"all{w and '/'}{w}" for w in ("", *ALL_WAYS, "next"))]
        found = {
            name: scores.loss(loss)[:, names.index(f"{direction} {name}")]
            for name in levels
            if f"{direction} {name}" in names
        }
        assert len(found) == {"vis4lang": 6, "lang4vis": 4}[direction]
        for name, losses in found.items():
            for other in set(found) - {name}:
                assert np.nanmax(np.abs(losses - found[other])) > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_ways_of_every_preset_are_scored_as_defined(preset, next_image):
    config = ablation.small(preset)
    ways = () if config.text_only else (*ALL_WAYS, "next")
    scores = assert_as_defined(config, conditions_of(config, ways, (0.0, 0.5)))
    excluded = scores.plan.excluded == scores.plan.reasons.index(NONE_STAYS)
    assert excluded.any() == (preset == "lxmert")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["uniter", "vl-bert", "two-stream"])
@pytest.mark.parametrize("place", list(GlobalImage))
def test_ways_with_the_image_row_anywhere(kind, place):
    config = dataclasses.replace(ablation.shallow(kind), add_global_imgfeat=place)
    world = fewer_regions(row=1, count=20)
    assert_as_defined(config, conditions_of(config), world)


def dropped_inputs(config, direction, level):
    """What a model is shown of 16 examples when some of it is dropped."""
    shown = []

    def model(words, regions):
        shown.append((words, regions))
        return flax_logits(words, regions)

    flax_logits = model_of(config)
    condition = Condition.parse(direction, f"{level}/drop")
    definition = definition_of(config, model=model)
    losses = definition.losses(ablation.examples()[:16], condition)
    return flax_logits, *shown[0], losses


@pytest.mark.parametrize("kind", QUICK_FIRST)
def test_what_is_dropped_changes_nothing_to_the_bit(kind, quick_compilation):
    config = ablation.shallow(kind)
    rng = np.random.default_rng(0)
    for direction, level in (("vis4lang", "object@0.0"), ("lang4vis", "phrase")):
        logits, words, regions, _ = dropped_inputs(config, direction, level)
        there = np.arange(words.mask.shape[1]) < 1 + words.mask.nonzero()[1].max()
        features, places = regions.features.copy(), regions.locations.copy()
        token_ids = words.token_ids.copy()
        gone = ~regions.mask
        if kind == "vl-bert":
            gone[:, -1] = False  # its words see the last region without attending
        features[gone] = rng.random(features[gone].shape)
        places[gone] = rng.random(places[gone].shape)
        token_ids[~words.mask & there] = 7
        changed = (
            dataclasses.replace(words, token_ids=token_ids),
            dataclasses.replace(regions, features=features, locations=places),
        )
        assert (features != regions.features).any() or direction == "lang4vis"
        assert (token_ids != words.token_ids).any()
        before, after = logits(words, regions), logits(*changed)
        # Of what is attended to; nobody is asked about the rest.
        np.testing.assert_array_equal(
            np.asarray(before.words)[words.mask], np.asarray(after.words)[words.mask]
        )
        np.testing.assert_array_equal(
            np.asarray(before.regions)[regions.mask],
            np.asarray(after.regions)[regions.mask],
        )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["two-stream", "vl-bert"])
def test_scores_do_not_depend_on_dropped_regions(kind, quick_compilation):
    """Not even on the features of VL-BERT's last region, which words see elsewhere."""
    config, world = ablation.shallow(kind), ablation.regions()
    changed = {"features": np.roll(world.features, 1, axis=0) + 1}
    if kind != "vl-bert":
        changed["boxes"] = world.boxes[:, ::-1]
    condition = (Condition.parse("vis4lang", "all/drop"),)
    some, others = (
        ablation.scored(
            config,
            ablation.ruled_params(config),
            conditions=condition,
            of=ablation.examples()[:16],
            world=each,
        ).loss("mlm")
        for each in (world, dataclasses.replace(world, **changed))
    )
    assert np.isfinite(some).sum() > 10
    np.testing.assert_array_equal(some, others)


def test_inputs_that_are_equal_under_two_ways_are_scored_once():
    config = ablation.shallow("two-stream")
    conditions = conditions_of(config, thresholds=(0.9, 0.5))
    plan = ablation.planned(config, conditions)
    by_name = {f"{c.direction} {c.name}": n for n, c in enumerate(conditions)}
    none = plan.pair[:, by_name["vis4lang none"]]
    untouched = plan.ablated_regions[:, by_name["vis4lang object@0.9"]] == 0
    assert untouched.any() and not untouched.all()
    for way in ("zero", "other_image", "drop"):
        pair = plan.pair[:, by_name[f"vis4lang object@0.9/{way}"]]
        np.testing.assert_array_equal(pair == none, untouched | (none < 0))
    # Dropped words are all alike: the input depends on the caption's length alone.
    pairs = plan.pair[:, by_name["lang4vis all/drop"]]
    words = plan.mrc.word[pairs[pairs >= 0]]
    lengths = plan.words.lengths[words]
    assert len(set(words)) == len(set(lengths)) < len(words)
    # One caption stands in for a caption, whichever of its phrases is asked for.
    captions = {}
    for example, pair in zip(
        plan.examples, plan.pair[:, by_name["lang4vis all/other_caption"]], strict=True
    ):
        if pair >= 0:
            key = (example.image_id, example.caption)
            captions.setdefault(key, set()).add(int(plan.mrc.word[pair]))
    assert all(len(found) == 1 for found in captions.values())


def test_a_part_has_the_partners_it_has_in_the_whole():
    config = ablation.shallow("two-stream")
    conditions = conditions_of(config)
    whole = ablation.planned(config, conditions)
    part = ablation.planned(config, conditions, of=ablation.examples()[40:60])

    def shown(plan, row):
        """What stands in, by condition."""
        found = []
        for column, condition in enumerate(plan.conditions):
            pair = plan.pair[row, column]
            pairs = plan.mlm if condition.direction is Direction.VIS4LANG else plan.mrc
            word, region = pairs.word[pair], pairs.region[pair]
            length = plan.words.lengths[word]
            ids = plan.words.token_ids[word, :length]
            found.append((pair >= 0, ids.tolist(), int(plan.regions.donor[region])))
        return [entry for entry in found if entry[0]]

    for row in range(20):
        assert shown(part, row) == shown(whole, 40 + row)
    other = ablation.planned(config, conditions, seed=1)
    assert [shown(other, row) for row in range(80)] != [
        shown(whole, row) for row in range(80)
    ]


def test_ways_are_by_direction_and_the_published_ones_always_there():
    names = [
        f"{c.direction} {c.name}" for c in all_conditions(Direction, [0.5], ["drop"])
    ]
    assert names == [
        "vis4lang none",
        "vis4lang object@0.5",
        "vis4lang all",
        "vis4lang object@0.5/drop",
        "vis4lang all/drop",
        "lang4vis none",
        "lang4vis phrase",
        "lang4vis all",
        "lang4vis phrase/drop",
        "lang4vis all/drop",
    ]
    published = all_conditions(Direction, [0.5])
    assert all_conditions(Direction, [0.5], ["average", "mask"]) == published


def test_a_model_that_needs_a_region_is_not_asked_without_any(tmp_path):
    config, said = ablation.small("lxmert"), []
    files = InputFiles(
        entities=golden_world.ENTITIES,
        regions=golden_world.write_regions(tmp_path, "lmdb"),
        vocabulary=golden_world.VOCABULARY,
        directions=(Direction.VIS4LANG,),
        thresholds=(0.0,),
        replace=("drop", "zero"),
    )
    inputs = read_inputs(files, said.append, config=config)
    assert inputs.refused == {"vis4lang all/drop": NEEDS_REGIONS}
    assert f"vis4lang all/drop is not scored: {NEEDS_REGIONS}" in said
    names = [condition.name for condition in inputs.plan.conditions]
    assert names == ["none", "object@0.0", "all", "object@0.0/zero", "all/zero"] + [
        "object@0.0/drop"
    ]
    # A phrase that all regions of its image overlap has none left, either.
    world, row = fewer_regions(row=0, count=1), ablation.regions().image_ids[0]
    plan = ablation.planned(config, inputs.plan.conditions, world=world)
    of_image = np.array([example.image_id == row for example in plan.examples])
    gone = of_image & (plan.ablated_regions[:, -1] == 1)
    assert gone.any() and not gone[of_image].all()
    excluded = plan.excluded[:, -1] == plan.reasons.index(NONE_STAYS)
    cut_off = [not len(example.pieces) for example in plan.examples]
    np.testing.assert_array_equal(excluded, gone & ~np.array(cut_off))
    assert not (plan.excluded[:, :-1] == plan.reasons.index(NONE_STAYS)).any()
    model = Model(
        path=tmp_path, config=config, params={}, vocabulary=golden_world.VOCABULARY
    )
    image = golden_world.golden_images()[0]
    example = model.example(image, "a ball", phrase=(1, 1), average=ablation.average())
    with pytest.raises(UserError, match="all/drop: this model's words attend to regio"):
        example.ablate("all/drop")


def test_without_donors_nothing_is_drawn():
    example = ablation.examples()[0]
    with pytest.raises(UserError, match="other_image: the split has no other image"):
        Donors().image_for(0)
    for condition in ("phrase", "all"):
        level = Condition.parse("lang4vis", condition).level
        with pytest.raises(UserError, match="no caption of another image"):
            Donors(examples=[example]).pieces_for(example, level)
