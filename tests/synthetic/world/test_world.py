"""What the knobs of the synthetic world do, and what its files say."""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from xabl.data.flickr30k_entities import mentions, read_split
from xabl.data.regions import open_regions
from xabl.data.word_pieces import WordPieces
from xabl.errors import UserError
from xabl.results.published import CATEGORIES
from xabl.synthetic.world.captions import draw_captions
from xabl.synthetic.world.confusion import (
    GOLD_TOTALS,
    MISMATCHES,
    detected_categories,
)
from xabl.synthetic.world.files import REGION_FILES, make_world
from xabl.synthetic.world.images import BACKGROUND, World
from xabl.synthetic.world.settings import WorldSettings
from xabl.synthetic.world.vocabulary import COLOURS, PHRASE_TYPES, object_classes

SMALL = WorldSettings(
    train_images=12, val_images=6, test_images=2, feature_size=32, seed=3
)


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("world") / "world"
    make_world(path, SMALL, pictures=True)
    return path


def digests(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("form", REGION_FILES)
def test_same_seed_same_bytes_in_every_file(tmp_path, form):
    for name in ("first", "second"):
        make_world(tmp_path / name, SMALL, regions_form=form, pictures=True)
    assert digests(tmp_path / "first") == digests(tmp_path / "second")


def test_other_seed_other_images(tmp_path, directory):
    make_world(tmp_path / "other", dataclasses.replace(SMALL, seed=4))
    first, other = (
        read_split(directory / "flickr30k_entities", "train"),
        read_split(tmp_path / "other" / "flickr30k_entities", "train"),
    )
    assert not {i.image_id for i in first} & {i.image_id for i in other}
    assert all(a.captions != b.captions for a, b in zip(first, other, strict=True))


def test_splits_share_classes_not_images(directory):
    splits = {
        split: read_split(directory / "flickr30k_entities", split)
        for split in ("train", "val", "test")
    }
    assert [len(images) for images in splits.values()] == [12, 6, 2]
    ids = [image.image_id for images in splits.values() for image in images]
    assert len(set(ids)) == len(ids)
    truth = json.loads((directory / "truth.json").read_text())
    assert [truth["images"][i]["split"] for i in ids] == (
        ["train"] * 12 + ["val"] * 6 + ["test"] * 2
    )


@pytest.mark.parametrize("form", REGION_FILES)
def test_every_form_of_the_regions_reads_back(tmp_path, form):
    make_world(tmp_path / "world", SMALL, regions_form=form)
    world = World(SMALL)
    with open_regions(tmp_path / "world" / REGION_FILES[form]) as source:
        assert set(source.image_ids) == {world.image_id(n) for n in range(20)}
        assert source.feature_size == 32
        for number in (0, 19):
            drawn = world.regions(world.image(number)).validated("world", 36)
            read = source.read(drawn.image_id)
            np.testing.assert_array_equal(read.features, drawn.features)
            np.testing.assert_array_equal(read.boxes, drawn.boxes)
            np.testing.assert_array_equal(read.objects_id, drawn.objects_id)
            if form == "hdf5":  # the published HDF5 form has no class distributions
                assert read.cls_prob is None
            else:
                np.testing.assert_array_equal(read.cls_prob, drawn.cls_prob)


def test_files_agree_with_the_truth(directory):
    truth = json.loads((directory / "truth.json").read_text())
    for split in ("train", "val", "test"):
        images = read_split(directory / "flickr30k_entities", split)
        nouns = json.loads((directory / f"phrase_nouns_{split}.json").read_text())
        assert len(nouns) == len(list(mentions(images)))
        for mention, mention_nouns in zip(mentions(images), nouns, strict=True):
            facts = truth["images"][mention.image.image_id]
            phrase = next(
                phrase
                for phrase in facts["captions"][mention.caption_index]
                if phrase["first_word"] == mention.phrase.first_word
            )
            thing = facts["objects"][phrase["object"]]
            assert mention.phrase.chain in thing["chains"]
            assert mention.boxes.tolist() == thing["boxes"]
            words = mention.caption.text_of(mention.phrase).lower().split()
            assert words[-1] == mention_nouns[0]
            assert phrase["follows_image"]
            assert words[-1] in (thing["class"], thing["class"] + "s")
            assert len(words) == 2 or words[1] == thing["colour"]
            assert (words[0] == "two") == (len(thing["boxes"]) == 2)


def test_files_hold_what_real_files_have(tmp_path):
    make_world(tmp_path / "world", dataclasses.replace(SMALL, train_images=80))
    images = read_split(tmp_path / "world" / "flickr30k_entities", "train")
    phrases = [
        (image, phrase)
        for image in images
        for caption in image.captions
        for phrase in caption.phrases
    ]
    types = {phrase.types[0] for _, phrase in phrases}
    assert types == {*PHRASE_TYPES, "notvisual"}
    unboxed = {phrase.types[0] for i, phrase in phrases if phrase.chain not in i.boxes}
    assert unboxed == {"scene", "notvisual", "other"}
    assert any(len(boxes) > 1 for image in images for boxes in image.boxes.values())
    chains = [tuple(map(bytes, boxes)) for i in images for boxes in i.boxes.values()]
    assert len(set(chains)) < len(chains)  # two names for one object
    assert all(len(image.captions) == 5 for image in images)


def test_vocabulary_is_laid_out_as_in_bert_and_has_every_word(directory):
    pieces = WordPieces(directory / "vocab.txt")
    special = (pieces.pad_id, pieces.unk_id, pieces.cls_id, pieces.sep_id)
    assert (*special, pieces.mask_id) == (0, 100, 101, 102, 103)
    longest = 0
    for image in read_split(directory / "flickr30k_entities", "train"):
        for caption in image.captions:
            encoded = pieces.encode(caption.words, max_length=100)
            assert pieces.unk_id not in encoded.token_ids
            longest = max(longest, len(encoded.token_ids))
    assert longest <= 38
    assert pieces.tokens(pieces.encode(["dogs"]).token_ids) == [
        "[CLS]",
        "dog",
        "##s",
        "[SEP]",
    ]


def test_captions_for_pretraining_and_classes_of_the_detector(directory):
    captions = json.loads((directory / "caption_train.json").read_text())
    train = read_split(directory / "flickr30k_entities", "train")
    assert list(captions) == [image.image_id for image in train]
    assert captions[train[0].image_id].split() == list(train[0].captions[0].words)
    names = (directory / "objects_vocab.txt").read_text().splitlines()
    assert len(names) == 1601 and names[0] == "__background__"
    for kind in object_classes(3):
        assert kind.noun in names[kind.detector_class].split(",")
    assert len({kind.detector_class for kind in object_classes(3)}) == 24


def test_pictures_show_the_object_in_its_colour(directory):
    from PIL import Image

    image = World(SMALL).image(0)
    with Image.open(directory / "pictures" / f"{image.image_id}.png") as picture:
        assert picture.size == (image.width, image.height)
        colours = {rgb for _, rgb in picture.getcolors(100_000)}
    rgbs = list(COLOURS.values())
    assert {rgbs[thing.colour] for thing in image.objects} <= colours


def follow_rates(world: World, images: int) -> tuple[float, float]:
    """Shares of mentions marked as following, and of nouns that name the object."""
    followed, right = [], []
    for number in range(images):
        image = world.image(number)
        for caption in draw_captions(world, image):
            for mention in caption.mentions:
                if mention.object_index is not None:
                    kind = world.classes[image.objects[mention.object_index].kind]
                    followed.append(mention.follows_image)
                    right.append(mention.noun in (kind.noun, kind.plural))
    return float(np.mean(followed)), float(np.mean(right))


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_words_follow_the_image_as_often_as_asked(share):
    world = World(WorldSettings(vision_to_language=share, feature_size=16))
    followed, right = follow_rates(world, 150)  # about 2,300 mentions
    assert followed == pytest.approx(share, abs=0.04)
    assert right == pytest.approx(share + (1 - share) / 24, abs=0.04)


def test_vision_to_language_replaces_words_and_nothing_else():
    worlds = [
        World(WorldSettings(vision_to_language=share, feature_size=16))
        for share in (0.0, 1.0)
    ]
    for number in range(10):
        images = [world.image(number) for world in worlds]
        first, second = (
            world.regions(image) for world, image in zip(worlds, images, strict=True)
        )
        assert first.sha256() == second.sha256()
        captions = [
            draw_captions(world, image)
            for world, image in zip(worlds, images, strict=True)
        ]
        for blind, seeing in zip(*captions, strict=True):
            assert len(blind.caption.words) == len(seeing.caption.words)
            places = [
                [(p.chain, p.first_word, p.num_words) for p in written.caption.phrases]
                for written in (blind, seeing)
            ]
            assert places[0] == places[1]


@pytest.mark.parametrize("noise", ["gold", "silver"])
def test_the_detector_reports_what_it_takes_the_object_for(noise):
    world = World(WorldSettings(feature_size=16, label_noise=noise))
    for number in range(20):
        image = world.image(number)
        regions = world.regions(image)
        for row in np.flatnonzero(image.region_objects != BACKGROUND):
            expected = world.detected(image.objects[image.region_objects[row]])
            assert regions.cls_prob[row].argmax() == expected.detector_class
            assert regions.objects_id[row] == expected.detector_class - 1


def test_gold_labels_are_right():
    world = World(WorldSettings(feature_size=16))
    for number in range(20):
        for thing in world.image(number).objects:
            assert world.detected(thing) == world.classes[thing.kind]


def test_silver_labels_are_wrong_at_the_published_rates():
    world = World(WorldSettings(feature_size=16, label_noise="silver"))
    rng = np.random.default_rng(0)
    published = {
        "animals": 0.40,
        "bodyparts": 0.70,
        "clothing": 0.67,
        "other": 0.77,
        "people": 0.58,
        "scene": 0.57,
        "vehicles": 0.62,
    }
    for kind, gold in enumerate(world.classes):
        if gold.phrase_type not in published:
            continue
        looks = [world.draw_look(rng, kind) for _ in range(2000)]
        # Three standard errors of a share of 2,000.
        wrong = np.mean([look != kind for look in looks])
        assert wrong == pytest.approx(published[gold.phrase_type], abs=0.035)
        for column, category in enumerate(CATEGORIES):
            row = CATEGORIES.index(gold.phrase_type)
            expected = MISMATCHES[row, column] / GOLD_TOTALS[gold.phrase_type]
            taken_for = [
                world.classes[look].phrase_type == category and look != kind
                for look in looks
            ]
            assert np.mean(taken_for) == pytest.approx(expected, abs=0.035)


def test_confusions_add_up_to_the_published_counts():
    assert MISMATCHES.sum() == 6291
    for phrase_type in PHRASE_TYPES:
        assert detected_categories(phrase_type).sum() == pytest.approx(1)
    assert detected_categories("animals")[0] == pytest.approx(1 - 178 / 443)


def test_label_noise_changes_labels_and_nothing_else():
    worlds = [
        World(WorldSettings(label_noise=noise, feature_size=16))
        for noise in ("gold", "silver")
    ]
    for number in range(10):
        gold, silver = (world.regions(world.image(number)) for world in worlds)
        np.testing.assert_array_equal(gold.features, silver.features)
        np.testing.assert_array_equal(gold.boxes, silver.boxes)
        captions = [draw_captions(world, world.image(number)) for world in worlds]
        assert captions[0] == captions[1]


def test_features_tell_the_class_to_whoever_knows_the_prototypes():
    """A nearest-mean classifier fitted on some images is right about others."""
    world = World(WorldSettings(feature_size=256))
    rows = {True: [], False: []}
    for number in range(500):
        image = world.image(number)
        features = world.regions(image).features
        for row in np.flatnonzero(image.region_shares == 1):
            kind = image.objects[image.region_objects[row]].kind
            rows[number < 400].append((kind, features[row]))
    kinds, features = (np.array(column) for column in zip(*rows[True], strict=True))
    means = np.stack([features[kinds == kind].mean(axis=0) for kind in range(24)])
    kinds, features = (np.array(column) for column in zip(*rows[False], strict=True))
    distance = ((features[:, None] - means[None]) ** 2).sum(axis=-1)
    assert (distance.argmin(axis=1) == kinds).mean() > 0.97


def test_context_tells_the_class():
    settings = WorldSettings(feature_size=16, surviving_leaks="context")
    world = World(settings)
    fitting = [
        thing.kind % 6 == image.scene
        for image in map(world.image, range(200))
        for thing in image.objects
    ]
    assert np.mean(fitting) > 0.5  # by chance one in six


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"vision_to_language": 1.5}, "vision_to_language"),
        ({"label_noise": "bronze"}, "label_noise"),
        ({"region_overlap": "some"}, "region_overlap"),
        ({"region_overlap": 6}, "region_overlap"),
        ({"surviving_leaks": "all"}, "surviving_leaks"),
        ({"train_images": 0}, "train_images"),
        ({"feature_size": 1}, "feature_size"),
    ],
)
def test_settings_that_make_no_world(changes, named):
    with pytest.raises(UserError, match=named):
        WorldSettings(**changes)


def test_an_existing_output_is_left_alone_unless_told(tmp_path):
    output = tmp_path / "world"
    output.mkdir()
    (output / "precious").write_text("kept")
    for overwrite in (False, True):
        with pytest.raises(UserError, match="never replaced"):
            make_world(output, SMALL, overwrite=overwrite)
    assert [path.name for path in output.iterdir()] == ["precious"]
    (output / "world.json").write_text("{}")
    with pytest.raises(UserError, match="exists already"):
        make_world(output, SMALL)
    make_world(output, SMALL, overwrite=True)
    assert not (output / "precious").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["world"]


def test_an_interrupted_world_leaves_nothing(tmp_path):
    def interrupted(numbers):
        yield from numbers[:7]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_world(tmp_path / "world", SMALL, progress=interrupted)
    assert not list(tmp_path.iterdir())
