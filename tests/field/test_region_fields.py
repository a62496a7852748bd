"""Region files that read well and would be scored wrongly: said, or put right.

Boxes in another frame than the annotations, fields that contradict each other, numbers
of another type than float32.
"""

import base64
import dataclasses
import pickle

import h5py
import numpy as np
import pytest

from tests.helpers import ablation, golden_world
from tests.helpers.golden_world import ENTITIES, FORMS_WITH_CLS_PROB, golden_images
from xabl.ablation.inputs import read_inputs
from xabl.ablation.options import InputFiles
from xabl.data.regions import (
    hdf5_files,
    import_regions,
    lmdb_files,
    open_regions,
    records,
    tsv_files,
)
from xabl.data.regions.image_regions import ImageRegions
from xabl.errors import UserError
from xabl.inspection import inspect_path

IMAGES = golden_images()
IDS = [image.image_id for image in IMAGES]


def written(folder, images, form="tsv"):
    path = folder / f"regions.{form}"
    (tsv_files if form == "tsv" else lmdb_files).write(path, images)
    return path


def resized(image, scale, rounded=round):
    """As a detector that reads a resized image reports it."""
    return dataclasses.replace(
        image,
        boxes=(image.boxes * scale).astype(np.float32),
        img_w=rounded(image.img_w * scale),
        img_h=rounded(image.img_h * scale),
    )


def read(regions):
    """What an ablation of these regions would score, and what the user is told."""
    said = []
    files = InputFiles(
        entities=ENTITIES, regions=regions, vocabulary=golden_world.VOCABULARY
    )
    config = ablation.shallow("uniter")
    return read_inputs(files, said.append, config=config), said


# ---- Frames ----


def test_boxes_of_a_resized_image_are_brought_to_the_annotations(tmp_path):
    """Said once; the same regions are ablated, the same one is the target."""
    right, nothing = read(written(tmp_path, IMAGES))
    path = written(tmp_path, [resized(image, 1.6) for image in IMAGES], "lmdb")
    found, said = read(path)
    assert nothing == []
    [line] = said
    assert (
        f"{path}: the boxes of {len(IMAGES)} images are in the frame of a res" in line
    )
    assert "(800 x 600 pixels where the annotations have 500 x 375)" in line
    for name in ("ablated_regions", "target", "excluded"):
        np.testing.assert_array_equal(
            getattr(found.plan, name), getattr(right.plan, name)
        )
    assert (right.plan.ablated_regions > 0).any()


@pytest.mark.parametrize("rounded", [round, int])
@pytest.mark.parametrize("scale", [1.6, 0.5, 1.0077, 7.3])
def test_boxes_fit_within_what_rounding_a_side_costs(tmp_path, scale, rounded):
    path = written(tmp_path, [resized(image, scale, rounded) for image in IMAGES])
    sizes = {image.image_id: (image.img_w, image.img_h) for image in IMAGES}
    with open_regions(path) as source:
        stacked = source.read_all(IDS, sizes=sizes)
        assert "are in the frame of a resized image" in source.notice
    for row, image in enumerate(IMAGES):
        found = stacked.image(row)
        assert (found.img_w, found.img_h) == (image.img_w, image.img_h)
        np.testing.assert_allclose(found.boxes, image.boxes, rtol=0.005, atol=0.01)


@pytest.mark.parametrize("size", [(375, 500), (500, 300), (500, 500), (1, 1)])
def test_another_shape_is_refused_with_both_sizes(tmp_path, size):
    scale = np.array([size[0] / 500, size[1] / 375] * 2)
    other = dataclasses.replace(
        IMAGES[0],
        img_w=size[0],
        img_h=size[1],
        boxes=(IMAGES[0].boxes * scale).astype(np.float32),
    )
    with pytest.raises(UserError) as error:
        read(written(tmp_path, [other, *IMAGES[1:]]))
    assert f"image {IDS[0]}" in str(error.value)
    assert f"{size[0]} x {size[1]} pixels" in str(error.value)
    assert "500 x 375" in str(error.value)


def test_images_of_another_shape_can_be_left_out(tmp_path):
    turned = dataclasses.replace(IMAGES[1], img_w=400)
    path = written(tmp_path, [IMAGES[0], turned])
    sizes = {image.image_id: (image.img_w, image.img_h) for image in IMAGES[:2]}
    bad = {}
    with open_regions(path) as source:
        stacked = source.read_all(
            IDS[:2], lambda name, error: bad.update({name: str(error)}), sizes
        )
    assert stacked.image_ids == (IDS[0],) and list(bad) == [IDS[1]]
    assert "400 x 500 pixels, the annotations those of one of 500 x 500" in bad[IDS[1]]


def test_boxes_that_are_fractions_of_the_image_are_refused(tmp_path):
    sides = np.array([500, 375] * 2)
    image = dataclasses.replace(
        IMAGES[0], boxes=(IMAGES[0].boxes / sides).astype(np.float32)
    )
    with open_regions(written(tmp_path, [image])) as source:
        with pytest.raises(UserError, match="boxes lie within a pixel: they are frac"):
            source.read(IDS[0])


def many(count, share):
    """Images whose boxes reach that share of their sides and not beyond."""
    return [
        dataclasses.replace(
            IMAGES[0],
            image_id=str(number),
            boxes=(IMAGES[0].boxes * share).astype(np.float32),
        )
        for number in range(1, count + 1)
    ]


def test_boxes_of_a_smaller_frame_than_the_file_says_are_noticed(tmp_path):
    """No single image shows it; all of them together do."""
    path = written(tmp_path, many(10, 0.6))
    ids = [str(number) for number in range(1, 11)]
    with open_regions(path) as source:
        assert source.read("3").num_boxes == 36
        with pytest.raises(UserError, match=r"none of 10 images .* 60% of the width"):
            source.read_all(ids)
        with pytest.raises(UserError, match="another frame than img_w and img_h"):
            import_regions(source, ids, tmp_path / "store.h5")
    assert not (tmp_path / "store.h5").exists()
    assert "another frame" in inspect_path(path).problems[-1]
    with open_regions(written(tmp_path, many(10, 0.9), "lmdb")) as source:
        assert len(source.read_all(ids)) == 10


# ---- Fields that say one thing twice ----

CONTRADICTIONS = {
    "ids from the background": (
        {"objects_id": IMAGES[0].objects_id + 1},
        "objects_id does not name .* of cls_prob: it counts from the background",
    ),
    "attributes from the background": (
        {"attrs_id": IMAGES[0].attrs_id + 1},
        "attrs_id does not name .* of attrs: it counts from the background",
    ),
    "ids of other rows": (
        {"objects_id": np.roll(IMAGES[0].objects_id, 1)},
        "objects_id does not name .*: the two are of different images",
    ),
    "distributions of other rows": (
        {"cls_prob": IMAGES[0].cls_prob[::-1].copy()},
        "objects_id does not name .*: the two are of different images",
    ),
    "confidences of other rows": (
        {"objects_conf": (IMAGES[0].objects_conf / 2)},
        "objects_conf is not the largest probability in cls_prob",
    ),
    "attribute confidences": (
        {"attrs_conf": 1 - IMAGES[0].attrs_conf},
        "attrs_conf is not the largest probability in attrs",
    ),
}


@pytest.mark.parametrize("form", FORMS_WITH_CLS_PROB)
@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_fields_that_contradict_each_other_are_refused(tmp_path, case, form):
    changed, message = CONTRADICTIONS[case]
    path = written(tmp_path, [dataclasses.replace(IMAGES[0], **changed)], form)
    with open_regions(path) as source:
        with pytest.raises(UserError, match=f"image {IDS[0]}: {message}"):
            source.read(IDS[0])
        with pytest.raises(UserError, match=message):
            import_regions(source, IDS[:1], tmp_path / "store.h5")
    [problem] = inspect_path(path).problems
    assert IDS[0] in problem


def test_a_few_regions_may_differ():
    """Ties, and probabilities that were rounded, are no contradiction."""
    ids = IMAGES[0].objects_id.copy()
    ids[:10] = 7
    half = IMAGES[0].cls_prob.astype(np.float16).astype(np.float32)
    image = dataclasses.replace(IMAGES[0], objects_id=ids, cls_prob=half)
    assert image.validated("source") is image


def test_hdf5_that_has_distributions_is_compared_too(tmp_path):
    image = IMAGES[0]
    with h5py.File(tmp_path / "h.h5", "w") as file:
        group = file.create_group(IDS[0])
        for name in ("boxes", "features", "cls_prob", "img_w", "img_h"):
            group[name] = getattr(image, name)
        group["obj_id"], group["obj_conf"] = image.objects_id + 1, image.objects_conf
    with open_regions(tmp_path / "h.h5") as source:
        with pytest.raises(UserError, match="it counts from the background"):
            source.read(IDS[0])


def test_an_lmdb_that_lists_images_it_does_not_have(tmp_path):
    import lmdb

    path = written(tmp_path, IMAGES[:2], "lmdb")
    with lmdb.open(str(path), map_size=2**28, lock=False) as environment:
        with environment.begin(write=True) as transaction:
            transaction.put(b"keys", pickle.dumps([i.encode() for i in IDS]))
    problems = inspect_path(path, limit=2).problems
    assert any(f"of which 4 are not there (the first: {IDS[2]})" in p for p in problems)


# ---- Numbers of another type ----


def with_base64(folder, image, field, values):
    """A TSV row with a field's bytes replaced."""
    path = written(folder, [image])
    cells = path.read_bytes().rstrip(b"\n").split(b"\t")
    cells[tsv_files.COLUMNS.index(field)] = base64.b64encode(values.tobytes())
    path.write_bytes(b"\t".join(cells) + b"\n")
    return path


DENSE = np.random.default_rng(0).uniform(0.2, 3, (36, 128)).astype(np.float32)


@pytest.mark.parametrize(
    "features", [IMAGES[0].features, DENSE], ids=["sparse", "dense"]
)
@pytest.mark.parametrize("kind", ["<f2", "<f8", ">f4", "<i4", "<u1"])
def test_features_of_another_type_are_refused(tmp_path, features, kind):
    image = dataclasses.replace(IMAGES[0], features=features)
    path = with_base64(tmp_path, image, "features", (features * 9).astype(kind))
    with open_regions(path) as source:
        with pytest.raises(UserError, match=f"line 1: image {IDS[0]}: .*features"):
            source.read(IDS[0])


@pytest.mark.parametrize("field", ["boxes", "objects_id", "objects_conf", "cls_prob"])
@pytest.mark.parametrize("kind", ["<f2", "<f8", "<i4", "<i2"])
def test_fields_of_known_width_are_refused_in_another_type(tmp_path, field, kind):
    values = getattr(IMAGES[0], field).astype(kind)
    path = with_base64(tmp_path, IMAGES[0], field, values)
    with open_regions(path) as source:
        with pytest.raises(UserError, match=f"line 1: image {IDS[0]}"):
            source.read(IDS[0])


@pytest.mark.parametrize("kind", ["u2", "i4", "u1"])
def test_arrays_of_whole_numbers_are_no_features(tmp_path, kind):
    """As bfloat16 is kept where a library has no such type."""
    features = (IMAGES[0].features.view(np.uint32) >> 16).astype(kind)
    path = tmp_path / "h.h5"
    hdf5_files.write(path, IMAGES[:1])
    with h5py.File(path, "r+") as file:
        del file[IDS[0]]["features"]
        file[IDS[0]]["features"] = features
    with open_regions(path) as source:
        with pytest.raises(UserError, match=f"{IDS[0]}: features holds whole numbers"):
            source.read(IDS[0])


def test_arrays_of_no_numbers_are_named(tmp_path):
    path = tmp_path / "h.h5"
    hdf5_files.write(path, IMAGES[:1])
    with h5py.File(path, "r+") as file:
        del file[IDS[0]]["boxes"]
        file[IDS[0]]["boxes"] = np.zeros(36, [("x", "f4"), ("y", "f4")])
    with open_regions(path) as source:
        with pytest.raises(UserError, match=r"boxes is an array of .*, not of numbers"):
            source.read(IDS[0])


# ---- Records and files that do not belong together ----


@pytest.mark.parametrize("field", ["img_id", "image_id"])
@pytest.mark.parametrize("form", [str, int, str.encode, lambda name: np.int64([name])])
def test_records_under_another_images_key_are_refused(field, form):
    record = records.record_of_regions(IMAGES[0], short_names=False)
    record[field] = form(IDS[1]) if form is not int else int(IDS[1])
    with pytest.raises(UserError, match=f"says that it is of image {IDS[1]}; records"):
        records.regions_of_record(record, IDS[0], "l.lmdb")
    for own in (f"00{IDS[0]}", f"{IDS[0]}.jpg"):
        record[field] = own
        assert records.regions_of_record(record, IDS[0], "l.lmdb").num_boxes == 36


def test_parts_of_an_array_that_are_gone_are_missed(tmp_path):
    """HDF5 would read zeros in their place."""
    path, part = tmp_path / "h.h5", tmp_path / "part.h5"
    hdf5_files.write(path, IMAGES[:1])
    shape = IMAGES[0].features.shape
    with h5py.File(part, "w") as file:
        file["features"] = IMAGES[0].features
    with h5py.File(path, "r+") as file:
        layout = h5py.VirtualLayout(shape, "f4")
        layout[:] = h5py.VirtualSource("part.h5", "features", shape)
        del file[IDS[0]]["features"]
        file[IDS[0]].create_virtual_dataset("features", layout)
    with open_regions(path) as source:
        np.testing.assert_array_equal(source.read(IDS[0]).features, IMAGES[0].features)
        part.unlink()
        with pytest.raises(UserError, match=f"{IDS[0]}: features lies in part.h5, wh"):
            source.read(IDS[0])


def test_empty_lines_at_the_end_of_a_tsv_are_no_rows(tmp_path):
    path = written(tmp_path, IMAGES[:2])
    path.write_bytes(path.read_bytes() + b"\n\r\n")
    assert inspect_path(path).problems == ()
    with open_regions(path) as source:
        assert source.image_ids == tuple(IDS[:2])


# ---- Numbers that are float32 ----


def test_float32_that_was_rounded_is_read(tmp_path):
    """Once stored in half precision or bfloat16, or whole numbers: still float32."""
    values = [
        IMAGES[0].features.astype(np.float16).astype(np.float32),
        (IMAGES[0].features.view(np.uint32) & 0xFFFF0000).view(np.float32),
        np.floor(IMAGES[0].features),
        np.where(IMAGES[0].features > 1, np.float32(0.1), 0).astype(np.float32),
    ]
    for number, features in enumerate(values):
        path = tmp_path / f"{number}.tsv"
        tsv_files.write(path, [dataclasses.replace(IMAGES[0], features=features)])
        with open_regions(path) as source:
            np.testing.assert_array_equal(source.read(IDS[0]).features, features)


@pytest.mark.parametrize(
    ("value", "shown"), [(-0.5, "-0.5"), (1e9, "1e"), (1e-40, "1e-40"), (0, "are 0")]
)
def test_values_that_are_no_features(value, shown):
    features = IMAGES[0].features.copy()
    features[:] = value
    image: ImageRegions = dataclasses.replace(IMAGES[0], features=features)
    with pytest.raises(UserError, match=shown):
        image.validated("source")
