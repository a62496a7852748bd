"""Ids of images that differ in their form alone: no image is lost, no two are mixed."""

import dataclasses
import json
import shutil

import lmdb
import pytest

from tests.helpers.golden_world import ENTITIES, FORMS, golden_images, write_regions
from xabl.analysis.report.pictures import embed
from xabl.data.flickr30k_entities import read_image_ids, read_split
from xabl.data.foils import FoilPair, image_ids
from xabl.data.regions import hdf5_files, lmdb_files, open_regions, tsv_files
from xabl.errors import UserError
from xabl.pretraining.corpus.sources import read_captioned_images, read_captions
from xabl.support.image_ids import by_loose_id, canonical_id, other_form

IMAGES = golden_images()[:3]
ID, OTHER = IMAGES[0].image_id, IMAGES[1].image_id


def named(folder, form, *names):
    """The first images under other ids, in one of the published forms."""
    images = [
        dataclasses.replace(image, image_id=name)
        for image, name in zip(IMAGES, names, strict=False)
    ]
    path = folder / f"named_{form}"
    if form == "tsv":
        tsv_files.write(path, images)
    elif form == "hdf5":
        hdf5_files.write(path, images)
    else:
        lmdb_files.write(path, images, as_arrays=form == "lmdb_arrays")
    return path


def renamed(path, name, new):
    """An entry of an LMDB under another key, as other programs write it."""
    with lmdb.open(str(path), map_size=2**28, lock=False) as environment:
        with environment.begin(write=True) as transaction:
            value = transaction.pop(name.encode())
            transaction.put(new.encode(), value)
            transaction.delete(b"keys")


def test_which_ids_are_one_image():
    assert {*map(canonical_id, ["7", "007", " 7", "7 "])} == {"7"}
    assert canonical_id("7.jpg") == "7.jpg" != canonical_id("7")
    assert {*map(canonical_id, ["0", "000"])} == {"0"}
    assert canonical_id("00" + "7" * 5000) == "7" * 5000
    for written in ("7.JPG", "007.jpeg", "COCO_val2014_000000000007.jpg", "7 .png"):
        assert repr(written) in other_form("7", by_loose_id([written]))
        assert repr(written) in other_form("0007.jpg", by_loose_id([written]))
    for written in ("7.0", "images/7.jpg", r"images\7.jpg", "\ufeff7", "\uff17"):
        assert repr(written) in other_form("7", by_loose_id([written]))
    assert other_form("7", by_loose_id(["8.jpg", "a7", "7"])) == ""
    assert "'Dog_1.jpg'" in other_form("dog_1", by_loose_id(["Dog_1.jpg"]))


# --- lists ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("7\n8\n007\n", "line 3: image 007 stands on line 1 already, as 7"),
        ("7\n 7 \r\n", "line 2: image 7 stands on line 1 already$"),
    ],
)
def test_a_list_with_two_forms_of_an_id_is_refused(tmp_path, text, said):
    (tmp_path / "ids.txt").write_text(text)
    with pytest.raises(UserError, match=said):
        read_image_ids(tmp_path / "ids.txt")


def test_a_list_keeps_its_forms(tmp_path):
    (tmp_path / "ids.txt").write_bytes(b"\xef\xbb\xbf007 \r\n8.jpg\r\n")
    assert read_image_ids(tmp_path / "ids.txt") == ("007", "8.jpg")


@pytest.mark.parametrize("written", ["{}.jpg", "0{}", "{}.JPG"])
def test_a_split_that_names_images_in_another_form(tmp_path, written):
    """With a part of the images, and with all of them."""
    entities = shutil.copytree(ENTITIES, tmp_path / "entities")
    (entities / "part.txt").write_text(f"{written.format(ID)}\n{OTHER}\n")
    (entities / "all.txt").write_text(f"{written.format(ID)}\n")
    said = f"missing.* there is '{ID}' for '{written.format(ID)}'"
    with pytest.raises(UserError, match=said):
        read_split(entities, "part")
    errors = []
    (image,) = read_split(entities, "part", lambda _, error: errors.append(str(error)))
    assert image.image_id == OTHER and len(errors) == 1 and f"'{ID}'" in errors[0]
    with pytest.raises(UserError, match=f"none of the images can be read; .*{said}"):
        read_split(entities, "all", lambda *_: None)


# --- regions --------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_regions_under_ids_of_another_form_are_named(tmp_path, form):
    path = named(tmp_path, form, f"{ID}.jpg", f"COCO_{OTHER}")
    with open_regions(path) as source:
        for asked, there in ((ID, f"{ID}.jpg"), (OTHER, f"COCO_{OTHER}")):
            said = f"no regions for image {asked}; there is '{there}' for '{asked}'"
            with pytest.raises(UserError, match=said):
                source.read(asked)
            with pytest.raises(UserError, match=said):
                source.read_all([asked])
        with pytest.raises(
            UserError, match=f"none of .* could be read; the first: .*{ID}.j"
        ):
            source.read_all([ID, OTHER], lambda *_: None)
        assert source.read(f"{ID}.jpg").num_boxes == 36


@pytest.mark.parametrize("form", FORMS)
def test_zeros_and_blanks_are_the_same_image(tmp_path, form):
    path = named(tmp_path, form, f"00{ID}", OTHER)
    if "lmdb" in form:  # written by its number above
        renamed(path, ID, f"00{ID}")
    with open_regions(path) as source:
        stacked = source.read_all([ID, f"0{OTHER}"])
        assert stacked.image_ids == (ID, f"0{OTHER}")
        for row, image in enumerate(IMAGES[:2]):
            assert stacked.image(row).image_id == image.image_id
            assert (stacked.features[row] == image.features).all()
        assert source.problems == ()


@pytest.mark.parametrize("form", FORMS)
def test_two_forms_of_one_id_in_a_file_are_refused(tmp_path, form):
    path = named(tmp_path, form, f"0{ID}", OTHER, ID if "lmdb" not in form else "1")
    if "lmdb" in form:
        renamed(path, ID, f"0{ID}")
        renamed(path, "1", ID)
    with pytest.raises(UserError, match=f"'0*{ID}' and '0*{ID}' are both image {ID}"):
        with open_regions(path) as source:
            source.read_all([f"0{ID}", f"0{OTHER}"])
    with pytest.raises(UserError, match="are both image"):
        with open_regions(path) as source:
            source.image_ids  # noqa: B018


def test_a_tsv_is_read_to_its_end_where_ids_differ_in_form(tmp_path):
    """The row whose id is as asked may come later."""
    path = named(tmp_path, "tsv", f"0{ID}", ID)
    with open_regions(path) as source:
        with pytest.raises(UserError, match=f"line 2: '0{ID}' and '{ID}' are both"):
            source.read_all([ID])


# --- captions, foils, pictures --------------------------------------------------------


def test_captions_under_two_forms_of_one_id_are_refused(tmp_path):
    path = tmp_path / "captions.json"
    path.write_text(json.dumps({"7": "A dog .", "007": "A cat ."}))
    with pytest.raises(UserError, match="'7' and '007' are both image 7"):
        read_captions(path, "val")
    path.write_text(json.dumps({f"{ID}.jpg": "A dog ."}))
    regions = write_regions(tmp_path, "hdf5")
    with pytest.raises(
        UserError, match=f"no regions for .* there is '{ID}' for '{ID}.j"
    ):
        list(read_captioned_images(regions, path, "val"))
    with pytest.raises(UserError, match=f"no caption for 1 .* there is '{ID}.jpg' for"):
        list(read_captioned_images(regions, path, "val", [ID]))


def test_two_pictures_of_foils_are_not_one_image():
    words = {"caption": ("a", "dog"), "foil": ("a", "cat"), "group": "g"}
    files = ("COCO_val2014_000000238029.jpg", "v7w_238029.jpg")
    pairs = [FoilPair(name=name, image_file=name, **words) for name in files]
    assert image_ids(pairs[:1] * 2, ["238029"], "r.h5") == {files[0]: "238029"}
    with pytest.raises(
        UserError, match=f"r.h5: {files[0]} and {files[1]} would both be"
    ):
        image_ids(pairs, ["238029"], "r.h5")
    both = image_ids(pairs, ["238029", "v7w_238029"], "r.h5")
    assert both == {files[0]: "238029", files[1]: "v7w_238029"}
    later = dataclasses.replace(pairs[0], image_file="000000238029.jpg")  # COCO, 2017
    assert len(image_ids([pairs[0], later], ["238029"], "r.h5")) == 2


def test_pictures_of_another_form_are_named(tmp_path):
    (tmp_path / "007.JPG").write_bytes(b"")
    with pytest.raises(UserError, match=r"files like 7.jpg\); there is '007.JPG' for"):
        embed(tmp_path, ["7"])
