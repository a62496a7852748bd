"""Bad image regions are refused with the file, the image and the reason."""

import dataclasses
import os
import pickle

import h5py
import lmdb
import numpy as np
import pytest

from tests.helpers.golden_world import FORMS, golden_images, write_regions
from xabl.data.regions import (
    hdf5_files,
    import_regions,
    lmdb_files,
    open_regions,
    tsv_files,
)
from xabl.errors import UserError

IMAGE = golden_images()[0]
IDS = [image.image_id for image in golden_images()]


def changed(name, value, place=(3,)):
    """The first image with one value replaced."""
    array = getattr(IMAGE, name).copy()
    array[place] = value
    return dataclasses.replace(IMAGE, **{name: array})


def written(folder, form, images):
    """A file with these images in one of the published forms."""
    if form == "tsv":
        tsv_files.write(folder / "t.tsv", images)
        return folder / "t.tsv"
    if form == "hdf5":
        hdf5_files.write(folder / "h.h5", images)
        return folder / "h.h5"
    lmdb_files.write(folder / "l", images, as_arrays=form == "lmdb_arrays")
    return folder / "l"


PROBLEMS = {
    "NaN": (
        changed("features", np.nan, (3, 7)),
        "features of region 3 is not finite",
    ),
    "infinite": (changed("boxes", np.inf, (3, 2)), "boxes of region 3 is not finite"),
    "inverted": (
        changed("boxes", [200, 10, 100, 20]),
        r"box \[200.0, 10.0, 100.0, 20.0\] of region 3 is inverted",
    ),
    "outside": (
        changed("boxes", [10, 10, 600, 20]),
        "region 3 lies outside the image of 500 x 375 pixels",
    ),
    "above": (changed("boxes", [10, -5, 60, 20]), "region 3 lies outside"),
    "class": (changed("objects_id", 1600), "objects_id 1600 of region 3 is not one"),
    "attribute": (changed("attrs_id", -1), "attrs_id -1 of region 3 is not one of"),
    "size": (dataclasses.replace(IMAGE, img_w=0), "an image of 0 x 375 pixels"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_impossible_values_are_refused_in_every_form(tmp_path, form, problem):
    image, message = PROBLEMS[problem]
    path = written(tmp_path, form, [image])
    with open_regions(path) as source:
        with pytest.raises(UserError, match=f"image {IDS[0]}: .*{message}") as error:
            source.read(IDS[0])
    assert str(path) in str(error.value)


def test_cls_prob_has_to_be_a_distribution(tmp_path):
    image = changed("cls_prob", 0.5)
    path = written(tmp_path, "tsv", [image])
    with open_regions(path) as source:
        with pytest.raises(UserError, match="cls_prob of region 3 is no distribution"):
            source.read(IDS[0])


def test_boxes_may_touch_the_border():
    image = changed("boxes", [-0.4, 0, 500, 375.3])
    assert image.validated("source") is image


def test_another_number_of_regions_is_refused_where_it_matters():
    assert IMAGE.validated("source", 36) is IMAGE
    with pytest.raises(UserError, match="source: .* 36 regions where 100 are expected"):
        IMAGE.validated("source", 100)


@pytest.mark.parametrize("form", FORMS)
def test_missing_image_is_named(tmp_path, form):
    path = write_regions(tmp_path, form)
    with open_regions(path) as source:
        with pytest.raises(UserError, match="has no regions for image 99") as error:
            source.read("99")
        with pytest.raises(UserError, match="has no regions for image 99"):
            source.read_all([IDS[0], "99"])
        with pytest.raises(UserError, match="none of the images asked for"):
            source.read_all(["99"], lambda image, error: None)
    assert str(path) in str(error.value)


class Intruder:
    """A pickle that would make a folder when it is loaded."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def put(path, key, value):
    """Replaces an entry of an LMDB directory."""
    with lmdb.open(str(path), map_size=2**26) as environment:
        with environment.begin(write=True) as transaction:
            transaction.put(key, value)


def get(path, key):
    with lmdb.open(str(path), readonly=True, lock=False) as environment:
        with environment.begin() as transaction:
            return transaction.get(key)


@pytest.mark.parametrize("key", ["image", "keys"])
def test_code_in_an_lmdb_value_is_refused_and_not_run(tmp_path, key):
    path = write_regions(tmp_path, "lmdb")
    intruder = pickle.dumps({"features": Intruder(tmp_path / "made")})
    put(path, IDS[0].encode() if key == "image" else b"keys", intruder)
    with open_regions(path) as source:
        with pytest.raises(UserError, match="refused: .*mkdir") as error:
            source.read(IDS[0]) if key == "image" else source.image_ids  # noqa: B018
    assert (IDS[0] if key == "image" else "keys") in str(error.value)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("form", ["lmdb", "lmdb_arrays"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_cut_lmdb_value_is_refused(tmp_path, form, share):
    path = write_regions(tmp_path, form)
    value = get(path, IDS[0].encode())
    put(path, IDS[0].encode(), value[: int(share * len(value))])
    with open_regions(path) as source:
        with pytest.raises(UserError, match=f"image {IDS[0]}: not a readable pickle"):
            source.read(IDS[0])
        assert source.read(IDS[1]).num_boxes == 36


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("features", None, "no field features; the record is incomplete"),
        ("features", b"AAA", "features is not base64 text"),
        ("features", b"AAAA", "features is cut: 3 bytes"),
        ("features", 7, "features is int, neither an array nor base64"),
        ("boxes", b"AAAA" * 144, r"boxes has shape \(36, 3\), which is not a row"),
        ("objects_id", b"AAAAAAAAAAA=", "objects_id has shape .* not a number for"),
        ("num_boxes", "many", "num_boxes is 'many', not a whole number"),
        ("num_boxes", 35, "features has shape"),
        ("num_boxes", 0, "no regions"),
        ("num_boxes", -36, "no regions"),
        ("img_w", None, "img_w is None, not a whole number"),
        ("img_w", 1.5, "img_w is 1.5, not a whole number"),
        ("img_h", "nan", "img_h is 'nan', not a whole number"),
        ("cls_prob", b"AAAA" * 12 * 36, r"cls_prob has shape .*, not \(36, 1601\)"),
    ],
)
def test_damaged_field_of_an_lmdb_record_is_named(tmp_path, field, value, message):
    path = write_regions(tmp_path, "lmdb")
    record = pickle.loads(get(path, IDS[0].encode()))
    record[field] = value
    put(path, IDS[0].encode(), pickle.dumps(record))
    with open_regions(path) as source:
        with pytest.raises(UserError, match=f"image {IDS[0]}: .*{message}") as error:
            source.read(IDS[0])
    assert str(path) in str(error.value)


def test_lmdb_value_that_is_no_record_is_refused(tmp_path):
    path = write_regions(tmp_path, "lmdb")
    put(path, IDS[0].encode(), pickle.dumps([1, 2]))
    put(path, b"keys", pickle.dumps({"a": 1}))
    with open_regions(path) as source:
        with pytest.raises(UserError, match=f"image {IDS[0]}: a list, not a dict"):
            source.read(IDS[0])
        with pytest.raises(UserError, match="the entry `keys` is no list of image"):
            source.image_ids  # noqa: B018


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.95])
@pytest.mark.parametrize("form", FORMS)
def test_file_cut_in_two_is_refused(tmp_path, form, share):
    path = write_regions(tmp_path, form)
    file = path / "data.mdb" if path.is_dir() else path
    os.truncate(file, int(share * file.stat().st_size))
    with pytest.raises(UserError) as error:
        with open_regions(path) as source:
            source.read_all(IDS)
    assert str(path) in str(error.value)


def test_cut_tsv_row_is_named_with_its_line(tmp_path):
    path = write_regions(tmp_path, "tsv")
    rows = path.read_bytes().splitlines(keepends=True)
    rows[2] = rows[2][: len(rows[2]) // 3] + b"\n"
    path.write_bytes(b"".join(rows))
    with open_regions(path) as source:
        for read in (source.read, lambda image_id: source.read_all([image_id])):
            with pytest.raises(UserError, match="line 3: 10 columns where line 1 has"):
                read(IDS[2])
        collected = {}
        stacked = source.read_all(IDS, lambda *both: collected.update([both]))
        assert list(collected) == [IDS[2]]
        assert stacked.image_ids == tuple(i for i in IDS if i != IDS[2])
    # A cut within the last column of the first row shows in the numbers only.
    path.write_bytes(rows[0][:-2000])
    with open_regions(path) as source:
        with pytest.raises(UserError, match=f"line 1: image {IDS[0]}: attrs"):
            source.read(IDS[0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"text", "no image regions; expected"),
        (b"PK\x03\x04" + b"\0" * 100, "is packed"),
        (b"1\t375\t500\tAAAA\n", "line 1: 4 columns, at least 10 are expected"),
    ],
)
def test_other_files_are_no_regions(tmp_path, content, message):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(UserError, match=message):
        open_regions(tmp_path / "file")


def test_other_folders_and_missing_paths_are_no_regions(tmp_path):
    with pytest.raises(UserError, match="no image regions; expected"):
        open_regions(tmp_path)
    with pytest.raises(UserError, match="cannot be read: No such file"):
        open_regions(tmp_path / "nothing.h5")


def test_hdf5_groups_without_what_they_need_are_refused(tmp_path):
    path = write_regions(tmp_path, "hdf5")
    with h5py.File(path, "r+") as file:
        del file[IDS[0]]["boxes"]
        del file[IDS[1]]
        file[IDS[1]] = np.zeros(3)
        del file[IDS[2]]["features"]
        # 4 TB that take no room: reading them would.
        file[IDS[2]].create_dataset("features", (2**20, 2**20), "f4", chunks=True)
    with open_regions(path) as source:
        with pytest.raises(UserError, match=f"image {IDS[0]}: no field boxes"):
            source.read(IDS[0])
        with pytest.raises(UserError, match=f"entry {IDS[1]} is not a group"):
            source.read(IDS[1])
        with pytest.raises(UserError, match=f"image {IDS[2]}: features is no array of"):
            source.read(IDS[2])


def test_one_of_several_files_that_are_one_hdf5_is_refused(tmp_path):
    with h5py.File(tmp_path / "r%d.h5", "w", driver="family", memb_size=2**20) as file:
        file["1"] = np.zeros(3)
    with pytest.raises(UserError, match=r"r0\.h5: one of several files .* h5repart"):
        open_regions(tmp_path / "r0.h5")


def test_files_without_images_are_refused(tmp_path):
    hdf5_files.write(tmp_path / "h.h5", [])
    lmdb_files.write(tmp_path / "l", [])
    lmdb.open(str(tmp_path / "no_keys")).close()
    for name in ("h.h5", "l", "no_keys"):
        with pytest.raises(UserError, match=f"{name}: .* without images"):
            open_regions(tmp_path / name)


def test_images_of_two_kinds_cannot_be_stacked_or_imported(tmp_path):
    narrow = dataclasses.replace(golden_images()[1], features=IMAGE.features[:, :64])
    without = dataclasses.replace(golden_images()[2], cls_prob=None)
    for number, other in enumerate((narrow, without)):
        path = tmp_path / f"{number}.tsv"
        tsv_files.write(path, [IMAGE, other])
        with open_regions(path) as source:
            with pytest.raises(UserError, match=f"image {other.image_id} has"):
                source.read_all([IDS[0], other.image_id])
            with pytest.raises(UserError, match=f"image {other.image_id}: .* but"):
                import_regions(source, [IDS[0], other.image_id], tmp_path / "s.h5")
    assert not (tmp_path / "s.h5").exists()


def test_asking_twice_for_an_image_is_a_programming_error(tmp_path):
    with open_regions(write_regions(tmp_path, "hdf5")) as source:
        with pytest.raises(ValueError, match="asked for twice"):
            source.read_all([IDS[0], IDS[0]])


def test_store_that_is_not_ours_or_not_finished_is_refused(tmp_path):
    with open_regions(write_regions(tmp_path, "hdf5")) as source:
        import_regions(source, IDS[:2], tmp_path / "s.h5")
    with h5py.File(tmp_path / "s.h5", "r+") as file:
        file.attrs["version"] = 99
    with pytest.raises(UserError, match="version 99, this program reads 1"):
        open_regions(tmp_path / "s.h5")
    with h5py.File(tmp_path / "s.h5", "r+") as file:
        file.attrs["version"] = 1
        del file["boxes"]
    with pytest.raises(UserError, match="was not finished; import it again"):
        open_regions(tmp_path / "s.h5")


def test_nothing_is_left_open(tmp_path):
    paths = [write_regions(tmp_path, form) for form in FORMS]
    before = len(os.listdir("/proc/self/fd"))
    for path in paths:
        with open_regions(path) as source:
            source.read(IDS[0])
    os.truncate(paths[0] / "data.mdb", 100_000)
    with pytest.raises(UserError, match="data.mdb is cut"):
        open_regions(paths[0])
    assert len(os.listdir("/proc/self/fd")) == before
