"""What is wrong is named in one line, with the cure, and nothing is written.

Files damaged on their own are refused by what reads them (tests/data_formats,
tests/conversion); here is what the ablation's binary says when files and flags do not
fit each other.
"""

import dataclasses
import os
import re
import shutil

import jax
import numpy as np
import pytest

from tests.helpers import ablation, golden_world
from tests.helpers.ablation_binaries import AT_WORK, save
from xabl.ablation.input_files import InputFiles
from xabl.data.regions import lmdb_files
from xabl.errors import UserError
from xabl.results.conditions import Direction

IMAGES = golden_world.golden_images()


@pytest.fixture(scope="module")
def model(workshop):
    return workshop.small_model("two-stream")


def refused(workshop, tmp_path, *, before_reading=False, **flags):
    """The message of an ablation that is refused and leaves nothing.

    before_reading: of parameters and regions, which may take minutes.
    """
    before = set(os.listdir(tmp_path))
    done = workshop.ablate(**{"output": tmp_path / "results"} | flags)
    assert (done.status, done.out) == (1, "")
    assert set(os.listdir(tmp_path)) == before
    assert done.err.endswith("\n")
    *progress, message = done.err.splitlines()
    assert message.startswith("error: ")
    assert all(AT_WORK.match(line) for line in progress)
    assert not (before_reading and progress)
    return message


def with_first_image(tmp_path, **changed):
    """The world's regions, the first image changed."""
    images = (dataclasses.replace(IMAGES[0], **changed), *IMAGES[1:])
    lmdb_files.write(tmp_path / "lmdb", images)
    return tmp_path / "lmdb"


def of_first_image(name, value, place):
    array = getattr(IMAGES[0], name).copy()
    array[place] = value
    return {name: array}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"directions": "sideways"}, "'sideways' is not vis4lang or lang4vis"),
        ({"directions": ""}, "--directions: give vis4lang, lang4vis or both"),
        ({"thresholds": "0.5,1.5"}, "--thresholds: 1.5 is not an overlap; expected 0"),
        (
            {"replace": "drop,blur"},
            "'blur' is no way of removing .regions: ",
        ),
        ({"replace_seed": -1}, "--replace_seed=-1: -1 is not a non-negative integer"),
        ({"thresholds": "half"}, "--thresholds: 'half' is not a number"),
        ({"batch_size": 0}, "--batch_size=0: 0 is not a positive integer"),
        ({"images": "nowhere"}, "--images: nowhere: no such folder"),
        ({"label": "two\nlines"}, r"--label is 'two\\nlines': a name is one line"),
        ({"model_seed": 10**30}, f"--model_seed is {10**30}, expected 0 to 9223"),
        ({"vocab": ""}, "--vocab= is empty: give its value, or leave the flag out"),
        ({"limit": 0}, "--limit=0: give the number of examples to score"),
        ({"devices": 99}, "--devices=99: .* leave the flag out"),
        ({"precision": "float16"}, "--precision=float16: value should be one of <high"),
        ({"save_predictions": -1}, "--save_predictions=-1: -1 is not a non-negative"),
        ({"threshold": 0.5}, "no flag --threshold; did you mean --thresholds?"),
        ({"split": "train"}, "train.txt is missing; splits in that directory: val"),
        ({"regions": None}, "--regions: model shallow_two_stream sees image regions"),
        ({"regions": "nowhere.h5"}, "nowhere.h5: cannot be read: No such file"),
        ({"entities": "nowhere"}, "nowhere is no Flickr30k Entities directory"),
        ({"model": "nowhere"}, "nowhere: does not exist; a model directory is what"),
        ({"model": golden_world.ENTITIES}, "not a model directory; is it swapped with"),
        ({"vocab": "nowhere.txt"}, "nowhere.txt is missing"),
        (
            {"regions": golden_world.VOCABULARY},
            "not a file of image regions; is it sw",
        ),
        ({"gold_labels": "nowhere.json"}, "nowhere.json is missing; expected a class"),
        ({"class_names": "nowhere.txt"}, "nowhere.txt: not a readable list of classes"),
        ({"attribute_names": "nowhere.txt"}, "nowhere.txt: not a readable list of cl"),
        ({"tagger": "nltk"}, "--tagger=nltk: value should be one of <stanza>"),
        ({"host": 1}, "--hosts, --host: give --coordinator too, or none of them"),
        ({"coordinator": "a:1", "host": 2, "hosts": 2}, "--host=2: of 2 hosts; give 0"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_flags(workshop, model, tmp_path, flags, message):
    given = {"model": model} | flags
    found = refused(workshop, tmp_path, before_reading=True, **given)
    assert re.search(message, found), found


def test_output_that_cannot_be_written(workshop, model, tmp_path):
    (tmp_path / "file").write_text("")
    output = tmp_path / "file" / "results"
    message = refused(workshop, tmp_path, model=model, output=output)
    assert f"{output}: cannot be written (" in message
    assert message.endswith("choose another --output")


def test_regions_of_another_detector(workshop, model, tmp_path):
    features = IMAGES[0].features[:, :1024]
    images = [dataclasses.replace(image, features=features) for image in IMAGES]
    lmdb_files.write(tmp_path / "lmdb", images)
    message = refused(workshop, tmp_path, model=model, regions=tmp_path / "lmdb")
    assert f"{tmp_path}/lmdb: 1024 features a region, model shallow_two" in message
    assert "reads 2048; use regions of the detector it was trained with" in message


def test_an_image_without_regions(workshop, model, tmp_path):
    lmdb_files.write(tmp_path / "lmdb", IMAGES[1:])
    message = refused(workshop, tmp_path, model=model, regions=tmp_path / "lmdb")
    assert f"{tmp_path}/lmdb has no regions for image {IMAGES[0].image_id}" in message


def test_features_that_are_no_numbers(workshop, model, tmp_path):
    changed = of_first_image("features", np.nan, (3, 7))
    regions = with_first_image(tmp_path, **changed)
    message = refused(workshop, tmp_path, model=model, regions=regions)
    assert f"image {IMAGES[0].image_id}: features of region 3 is not fin" in message


@pytest.mark.parametrize(
    ("box", "message"),
    [([200, 10, 100, 20], "is inverted"), ([10, 10, 600, 20], "lies outside the im")],
)
def test_boxes_that_cannot_be(workshop, model, tmp_path, box, message):
    regions = with_first_image(tmp_path, **of_first_image("boxes", box, 3))
    found = refused(workshop, tmp_path, model=model, regions=regions)
    assert f"image {IMAGES[0].image_id}: " in found and message in found


@pytest.mark.parametrize("form", ["lmdb", "tsv"])
def test_regions_cut_in_two(workshop, model, tmp_path, form):
    whole = workshop.regions(form)
    source = tmp_path / whole.name
    (shutil.copytree if whole.is_dir() else shutil.copyfile)(whole, source)
    file = source / "data.mdb" if source.is_dir() else source
    os.truncate(file, file.stat().st_size * 4 // 9)
    assert str(source) in refused(workshop, tmp_path, model=model, regions=source)


def test_a_vocabulary_of_another_size(workshop, model, tmp_path):
    (tmp_path / "vocab.txt").write_text(golden_world.VOCABULARY.read_text() + "more\n")
    vocabulary = tmp_path / "vocab.txt"
    message = refused(
        workshop, tmp_path, before_reading=True, model=model, vocab=vocabulary
    )
    assert "vocab.txt: has 285 word pieces (lines), the model" in message
    assert "has 284; give the vocab.txt the model was trained with" in message


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("Sentences/{}.txt", "]", "", "txt, line 1: unbalanced brackets"),
        ("Annotations/{}.xml", "<width>", "<wide>", "xml, line "),
    ],
)
def test_annotations_that_cannot_be_read(
    workshop, model, tmp_path, file, old, new, message
):
    entities = shutil.copytree(golden_world.ENTITIES, tmp_path / "entities")
    file = entities / file.format(IMAGES[0].image_id)
    file.write_text(file.read_text().replace(old, new))
    found = refused(workshop, tmp_path, model=model, entities=entities)
    assert str(file) in found and message in found


def test_no_examples_left(workshop, model, tmp_path):
    """The only image of the split has no target region."""
    entities = shutil.copytree(golden_world.ENTITIES, tmp_path / "entities")
    (entities / "val.txt").write_text(f"{IMAGES[1].image_id}\n")
    message = refused(
        workshop, tmp_path, model=model, entities=entities, directions="lang4vis"
    )
    assert "no examples left: all 13 are excluded under every condition" in message
    assert "no target region" in message


def test_a_loss_that_is_no_number(workshop, tmp_path):
    """Found while scoring: the example is named, and no scores are kept."""
    config = ablation.shallow("two-stream")
    huge = jax.tree.map(lambda leaf: leaf * 1e30, ablation.ruled_params(config))
    save(tmp_path / "model", config, huge)
    message = refused(
        workshop, tmp_path, model=tmp_path / "model", directions="lang4vis"
    )
    assert re.search(
        r"example \d+ \(image \d+, caption \d, phrase '.*'\), "
        "lang4vis (none|phrase|all): mrc_xe is nan; the parameters or this image's",
        message,
    )


def test_a_direction_the_model_does_not_have(workshop, tmp_path):
    message = refused(
        workshop,
        tmp_path,
        before_reading=True,
        model=workshop.small_model("bert"),
        directions="lang4vis",
        regions=None,
    )
    assert "reads words alone, so there is no lang4vis" in message


@pytest.mark.parametrize(
    ("direction", "way"),
    [(Direction.VIS4LANG, "other_caption"), (Direction.LANG4VIS, "zero")],
)
def test_a_way_of_what_is_not_removed_is_refused(tmp_path, direction, way):
    said = f"--replace={way}: removes nothing that --directions={direction} removes"
    with pytest.raises(UserError, match=said):
        InputFiles(entities=tmp_path, directions=(direction,), replace=(way,))
    InputFiles(entities=tmp_path, directions=(direction,), replace=("drop",))
