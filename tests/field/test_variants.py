"""The kinds of fault that were met, in other clothes: each is named, with its cure."""

import codecs
import os
import pickle
import shutil
import warnings

import h5py
import lmdb
import numpy as np
import pytest

from tests.helpers import golden_world
from tests.helpers.golden_world import ENTITIES, golden_images
from xabl.data.annotated_boxes import read_boxes
from xabl.data.flickr30k_entities import read_split, split_file
from xabl.data.regions import hdf5_files, lmdb_files, open_regions, tsv_files
from xabl.errors import UserError
from xabl.inspection import inspect_path

IMAGES = golden_images()[:2]
IDS = [image.image_id for image in IMAGES]


def refused(path, said, use=None):
    """What is said of a file of regions, by whoever opens it or reads all of it."""

    def read(path):
        with open_regions(path) as source:
            source.read_all(source.image_ids)

    with pytest.raises(UserError, match=said) as error:
        (use or read)(path)
    assert str(path) in str(error.value)


@pytest.fixture
def tsv(tmp_path):
    tsv_files.write(tmp_path / "regions.tsv", IMAGES)
    return tmp_path / "regions.tsv"


@pytest.fixture
def hdf5(tmp_path):
    hdf5_files.write(tmp_path / "regions.h5", IMAGES)
    return tmp_path / "regions.h5"


# ---- Region files ----


def test_rows_that_other_programs_write(tsv):
    rows = tsv.read_bytes()
    head = "\t".join(tsv_files.COLUMNS[:-1]).encode() + b"\n"
    tsv.write_bytes(codecs.BOM_UTF8 + head + rows)
    refused(tsv, "line 1 names columns, .* take it off")
    tsv.write_bytes(rows.decode().encode("utf-16"))
    refused(tsv, "text in UTF-16: save it as UTF-8")
    tsv.write_bytes(rows + bytes(2**20))  # fetched in part, into room made before
    refused(tsv, "line 3: zero bytes")
    for image in IMAGES:
        for side in (image.img_w, image.img_h):
            rows = rows.replace(b"\t%d\t" % side, b"\t%d.0\t" % side)
    tsv.write_bytes(rows)
    with open_regions(tsv) as source:
        assert source.read(IDS[0]).img_w == IMAGES[0].img_w


def test_a_row_without_an_end(tsv, monkeypatch):
    monkeypatch.setattr(tsv_files, "_LONGEST_ROW", 10_000)
    refused(tsv, "line 1: zero bytes, or no end of line", inspect_path)


def test_one_field_under_two_names(hdf5):
    with h5py.File(hdf5, "r+") as file:
        group = file[IDS[0]]
        group["objects_id"] = group["obj_id"][()]
    with open_regions(hdf5) as source:
        source.read(IDS[0])
    with h5py.File(hdf5, "r+") as file:
        file[IDS[0]]["objects_id"][3] += 1
        file[IDS[1]].attrs["img_w"] = 7
    with open_regions(hdf5) as source:
        with pytest.raises(UserError, match="objects_id and obj_id are one field"):
            source.read(IDS[0])
        with pytest.raises(UserError, match="img_w is given twice, as an array and"):
            source.read(IDS[1])


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("obj_conf", 90.0, "objects_conf of region 0 is 90, no probability"),
        ("attr_conf", -0.5, "attrs_conf of region 0 is -0.5, no probability"),
    ],
)
def test_values_that_no_detector_gives(hdf5, name, value, said):
    with h5py.File(hdf5, "r+") as file:
        file[IDS[0]][name][...] = value
    refused(hdf5, said)


def test_arrays_of_all_images(tmp_path):
    """As bottom-up attention's own tools write them: an array for all images."""
    path = tmp_path / "train36.h5"
    with h5py.File(path, "w") as file:
        file["image_features"] = np.ones((2, 36, 16), np.float32)
        file["image_bb"] = np.ones((2, 36, 4), np.float32)
    refused(path, r"arrays \(image_bb, image_features\), where a group")


def test_numbers_beyond_all_bounds_are_one_message(hdf5):
    with h5py.File(hdf5, "r+") as file:
        group = file[IDS[0]]
        for name, value in (("features", 1e300), ("boxes", 3e38)):
            array = group[name][()].astype(np.float64)
            del group[name]
            group[name] = array * 0 + value if name == "features" else array
        boxes = file[IDS[1]]["boxes"]
        boxes[...] = boxes[()] * 0 + np.float32(3e38)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(inspect_path(hdf5).problems) == 2


def test_lmdb_as_others_make_it(tmp_path):
    folder = tmp_path / "lmdb"
    lmdb_files.write(folder, IMAGES)
    alone = tmp_path / "regions.lmdb"
    shutil.copy(folder / "data.mdb", alone)
    refused(alone, "an LMDB file by itself: call it data.mdb")
    with lmdb.open(str(folder), map_size=2**24, lock=False) as environment:
        with environment.begin(write=True) as transaction:
            transaction.put(b"keys", pickle.dumps([IDS[0].encode()]))
    problems = inspect_path(folder).problems
    assert problems == (
        f"the entry `keys` lists 1 images, and 1 more are there (the first: {IDS[1]}): "
        "write the entry again with all of them, or take it out",
    )
    os.remove(folder / "data.mdb")
    os.symlink("gone", folder / "data.mdb")
    refused(folder, "data.mdb is a link to gone, which is not there")


# ---- Flickr30k Entities ----


def test_annotations_of_another_image(tmp_path):
    source = ENTITIES / "Annotations" / f"{IDS[0]}.xml"
    path = shutil.copy(source, tmp_path / f"{IDS[1]}.xml")
    with pytest.raises(UserError, match=f"of image {IDS[0]}: .* do not belong togeth"):
        read_boxes(path)
    shutil.copy(source, tmp_path / "mine.xml")  # a name of one's own says nothing
    assert read_boxes(tmp_path / "mine.xml")[0] == IMAGES[0].img_w
    text = source.read_text()
    path = tmp_path / source.name
    path.write_text(text.replace("<width>", "<width>7</width><width>", 1))
    with pytest.raises(UserError, match="size/width is given twice in <annotation>"):
        read_boxes(path)


def test_parts_that_are_something_else(tmp_path):
    entities = shutil.copytree(ENTITIES, tmp_path / "entities")
    (entities / "dev.txt").mkdir()
    with pytest.raises(UserError, match="dev.txt is a folder; splits .*: val$"):
        split_file(entities, "dev")
    shutil.rmtree(entities / "Annotations")
    os.symlink("Annotations", entities / "Annotations")
    with pytest.raises(UserError, match="Annotations is a link to Annotations, which"):
        read_split(entities, "val")


def test_a_vocabulary_in_another_encoding(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_bytes(golden_world.VOCABULARY.read_text().encode("utf-16"))
    refused(path, "text in UTF-16: save it as UTF-8", inspect_path)
