"""Image regions come back from every file format as they went in."""

import base64
import dataclasses
import os
import pickle
import pickletools
from collections import OrderedDict

import h5py
import lmdb
import numpy as np
import pytest

from tests.helpers.golden_world import (
    FORMS,
    FORMS_WITH_CLS_PROB,
    golden_images,
    write_regions,
)
from xabl.data.regions import (
    ImageRegions,
    RegionStore,
    hdf5_files,
    import_regions,
    lmdb_files,
    open_regions,
    tsv_files,
)

IDS = tuple(image.image_id for image in golden_images())


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The golden world in every published form and as a store made from each."""
    folder = tmp_path_factory.mktemp("regions")
    paths = {form: write_regions(folder, form) for form in FORMS}
    for form, path in list(paths.items()):
        paths[f"store of {form}"] = folder / f"{form}.store.h5"
        with open_regions(path) as source:
            import_regions(source, IDS, paths[f"store of {form}"])
    return paths


ALL_FORMS = (*FORMS, *(f"store of {form}" for form in FORMS))


def assert_same(found: ImageRegions, expected: ImageRegions, complete: bool) -> None:
    """All fields are equal; without `complete`, two tables are allowed to be None."""
    for field in dataclasses.fields(ImageRegions):
        value, wanted = getattr(found, field.name), getattr(expected, field.name)
        if not complete and field.name in ("cls_prob", "attrs"):
            assert value is None
        else:
            np.testing.assert_array_equal(value, wanted, err_msg=field.name)


def files_of(path):
    """Names, sizes and times of change of a file or folder."""
    paths = [path, *path.rglob("*")] if path.is_dir() else [path]
    return [(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in paths]


@pytest.mark.parametrize("form", ALL_FORMS)
def test_every_image_comes_back(written, form):
    complete = form.removeprefix("store of ") in FORMS_WITH_CLS_PROB
    before = files_of(written[form])
    with open_regions(written[form]) as source:
        assert source.image_ids == IDS
        assert source.feature_size == 2048
        assert source.has_cls_prob == complete
        for image in golden_images():
            assert_same(source.read(image.image_id), image, complete)
    assert files_of(written[form]) == before  # nothing written, not even a lock


@pytest.mark.parametrize("form", ALL_FORMS)
def test_images_are_stacked_in_the_order_asked_for(written, form):
    asked = (IDS[4], IDS[0], IDS[5])
    with open_regions(written[form]) as source:
        stacked = source.read_all(asked)
    assert stacked.image_ids == asked
    for row, image_id in enumerate(asked):
        image = golden_images()[IDS.index(image_id)]
        np.testing.assert_array_equal(stacked.features[row], image.features)
        np.testing.assert_array_equal(stacked.boxes[row], image.boxes)
        np.testing.assert_array_equal(stacked.objects_id[row], image.objects_id)
        np.testing.assert_array_equal(stacked.objects_conf[row], image.objects_conf)
        if stacked.cls_prob is not None:
            np.testing.assert_array_equal(stacked.cls_prob[row], image.cls_prob)
        assert (stacked.img_w[row], stacked.img_h[row]) == (image.img_w, image.img_h)
        assert stacked.num_boxes[row] == 36
    complete = form.removeprefix("store of ") in FORMS_WITH_CLS_PROB
    assert (stacked.cls_prob is not None) == complete


def test_the_digest_does_not_depend_on_the_form(written):
    digests = {}
    for form, path in written.items():
        with open_regions(path) as source:
            digests[form] = source.read_all(IDS).sha256()
            if isinstance(source, RegionStore):
                assert source.manifest["content_sha256"] == digests[form]
                assert source.manifest["images"] == len(IDS)
    assert len({digests[form] for form in ALL_FORMS if "lmdb_a" in form}) == 1
    complete = {digests["lmdb"], digests["tsv"], digests["store of lmdb"]}
    without = {digests["lmdb_arrays"], digests["hdf5"], digests["store of hdf5"]}
    assert (len(complete), len(without), len(complete | without)) == (1, 1, 2)


def test_the_digest_depends_on_every_value_read():
    image = golden_images()[0]
    digests = {image.sha256()}
    for name in ("features", "boxes", "objects_id", "objects_conf", "cls_prob"):
        changed = getattr(image, name).copy()
        changed.flat[-1] += 1
        digests.add(dataclasses.replace(image, **{name: changed}).sha256())
    digests.add(dataclasses.replace(image, img_w=1).sha256())
    digests.add(dataclasses.replace(image, image_id="1").sha256())
    digests.add(dataclasses.replace(image, cls_prob=None).sha256())
    assert len(digests) == 9


@pytest.mark.parametrize("form", ALL_FORMS)
def test_images_without_features_can_be_collected(written, form):
    collected = []
    with open_regions(written[form]) as source:
        stacked = source.read_all(
            ["1", IDS[3], "2", IDS[1]], lambda image, error: collected.append(image)
        )
    assert sorted(collected) == ["1", "2"]
    assert stacked.image_ids == (IDS[3], IDS[1])
    np.testing.assert_array_equal(stacked.features[1], golden_images()[1].features)
    assert len(stacked.num_boxes) == len(stacked) == 2


@pytest.mark.parametrize("text", [str, str.encode])
def test_lmdb_numbers_and_base64_may_be_text_or_bytes(tmp_path, text):
    image = golden_images()[0]
    record = OrderedDict(img_id=IDS[0])
    for name in ("img_h", "img_w"):
        record[name] = text(str(getattr(image, name)))
    record["num_boxes"] = text("36")
    for name in ("features", "boxes", "objects_id", "objects_conf", "cls_prob"):
        raw = base64.b64encode(getattr(image, name).tobytes())
        record[name] = raw.decode() if text is str else raw
    with lmdb.open(str(tmp_path / "l"), map_size=2**24) as environment:
        with environment.begin(write=True) as transaction:
            transaction.put(IDS[0].encode(), pickle.dumps(record, protocol=2))
            transaction.put(b"keys", pickle.dumps([IDS[0].encode()], protocol=2))
    with open_regions(tmp_path / "l" / "data.mdb") as source:
        assert source.image_ids == (IDS[0],)
        found = source.read(IDS[0])
    assert found.attrs_id is None
    expected = dataclasses.replace(image, attrs_id=None, attrs_conf=None, attrs=None)
    assert_same(found, expected, complete=True)


def test_lmdb_values_are_written_as_ordered_dictionaries(written):
    with lmdb.open(str(written["lmdb"]), readonly=True, lock=False) as environment:
        with environment.begin() as transaction:
            value = transaction.get(IDS[0].encode())
    names = {op[1] for op in pickletools.genops(value) if isinstance(op[1], str)}
    assert {"OrderedDict", "features", "objects_id", "cls_prob"} <= names


def test_lmdb_without_the_entry_keys_lists_its_images(tmp_path):
    lmdb_files.write(tmp_path / "l", golden_images()[:2])
    with lmdb.open(str(tmp_path / "l")) as environment:
        with environment.begin(write=True) as transaction:
            transaction.delete(b"keys")
    with open_regions(tmp_path / "l") as source:
        assert source.image_ids == IDS[:2]


def test_lmdb_is_no_larger_than_its_content(tmp_path):
    # More than the first map, so that it grows while it is written.
    images = [
        dataclasses.replace(image, image_id=f"{number}{image.image_id}")
        for number in range(1, 5)
        for image in golden_images()
    ]
    lmdb_files.write(tmp_path / "l", images)
    written = (tmp_path / "l" / "data.mdb").stat().st_size
    content = sum(len(base64.b64encode(image.features)) for image in images)
    assert written > 2**24
    assert content < written < 3 * content
    assert os.listdir(tmp_path / "l") == ["data.mdb"]
    with open_regions(tmp_path / "l") as source:
        assert len(source.read_all(source.image_ids)) == 24


def test_leading_zeros_do_not_make_another_image(tmp_path):
    image = dataclasses.replace(golden_images()[0], image_id="0042")
    lmdb_files.write(tmp_path / "l", [image])
    tsv_files.write(tmp_path / "t.tsv", [image])
    hdf5_files.write(tmp_path / "h.h5", [image])
    for name in ("l", "t.tsv", "h.h5"):
        with open_regions(tmp_path / name) as source:
            assert source.image_ids == ("42",)
            for image_id in ("42", "0042"):
                assert source.read(image_id).image_id == "42"
                assert source.read_all([image_id]).image_ids == (image_id,)
            import_regions(source, ["0042"], tmp_path / f"{name}.store")
        with open_regions(tmp_path / f"{name}.store") as source:
            assert source.manifest["content_sha256"] == source.read_all(["42"]).sha256()


def test_ids_that_are_no_numbers_are_kept(tmp_path):
    image = dataclasses.replace(golden_images()[0], image_id="COCO_val_07")
    tsv_files.write(tmp_path / "t.tsv", [image])
    with open_regions(tmp_path / "t.tsv") as source:
        assert source.read("COCO_val_07").image_id == "COCO_val_07"


@pytest.mark.parametrize("columns", [10, 11, 12, 13])
def test_tsv_may_lack_its_last_columns(tmp_path, columns):
    tsv_files.write(tmp_path / "full.tsv", golden_images()[:2])
    rows = (tmp_path / "full.tsv").read_bytes().splitlines()
    cut = [b"\t".join((row.split(b"\t") + [b"AAAA"])[:columns]) for row in rows]
    (tmp_path / "t.tsv").write_bytes(b"\r\n".join(cut))  # and no last line end
    with open_regions(tmp_path / "t.tsv") as source:
        assert source.has_cls_prob == (columns > 10)
        image = source.read(IDS[1])
        assert (image.attrs is not None) == (columns > 11)
        np.testing.assert_array_equal(image.features, golden_images()[1].features)


def test_tsv_is_read_in_its_own_order(tmp_path):
    tsv_files.write(tmp_path / "t.tsv", golden_images())
    with open_regions(tmp_path / "t.tsv") as source:
        images = source.read_many([IDS[2], IDS[0]])
        assert next(images).image_id == IDS[0]
        assert source.read(IDS[5]).image_id == IDS[5]  # moves the file meanwhile
        assert [image.image_id for image in images] == [IDS[2]]


def test_hdf5_numbers_may_be_attributes_or_arrays_of_one(tmp_path):
    hdf5_files.write(tmp_path / "h.h5", golden_images()[:2])
    with h5py.File(tmp_path / "h.h5", "r+") as file:
        del file[IDS[0]]["img_w"], file[IDS[0]]["img_h"]
        file[IDS[0]].attrs.update(img_w=500, img_h=375)
        del file[IDS[1]]["img_w"]
        file[IDS[1]]["img_w"] = np.array([500])
    with open_regions(tmp_path / "h.h5") as source:
        assert (source.read(IDS[0]).img_w, source.read(IDS[0]).img_h) == (500, 375)
        assert source.read(IDS[1]).img_w == 500


def few_boxes(image: ImageRegions, n: int) -> ImageRegions:
    """The first regions of an image."""
    arrays = {
        field.name: getattr(image, field.name)[:n]
        for field in dataclasses.fields(image)
        if isinstance(getattr(image, field.name), np.ndarray)
    }
    return dataclasses.replace(image, **arrays)


@pytest.mark.parametrize("counts", [(36, 10, 1), (10, 36, 1), (1, 10, 36)])
def test_images_may_differ_in_number_of_boxes(tmp_path, counts):
    images = [few_boxes(*both) for both in zip(golden_images(), counts, strict=False)]
    tsv_files.write(tmp_path / "t.tsv", images)
    with open_regions(tmp_path / "t.tsv") as source:
        import_regions(source, IDS[:3], tmp_path / "s.h5")
    for name in ("t.tsv", "s.h5"):
        with open_regions(tmp_path / name) as source:
            for image in images:
                assert_same(source.read(image.image_id), image, complete=True)
            stacked = source.read_all(IDS[:3])
        assert stacked.num_boxes.tolist() == list(counts)
        assert stacked.features.shape == (3, 36, 2048)
        for row, image in enumerate(images):
            found = stacked.image(row)
            np.testing.assert_array_equal(found.cls_prob, image.cls_prob)
            assert not stacked.features[row, counts[row] :].any()
