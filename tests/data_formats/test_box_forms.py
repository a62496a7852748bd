"""Boxes that are no x1, y1, x2, y2, where only some of a file's images show it."""

import dataclasses
import re
import shutil

import numpy as np
import pytest

from tests.helpers.golden_world import ENTITIES, golden_images
from xabl.data.annotated_boxes import read_boxes
from xabl.data.box_forms import FORMS, BoxForms, other_form
from xabl.data.flickr30k_entities import read_split
from xabl.data.regions import import_regions, open_regions, tsv_files
from xabl.errors import UserError
from xabl.inspection import inspect_path

IMAGES = golden_images()


def _size(boxes):
    return boxes[:, 2:] - boxes[:, :2]


# How x1, y1, x2, y2 are written in each form.
WRITTEN = {
    "x1, y1, width, height": lambda b: np.hstack([b[:, :2], _size(b)]),
    "y1, x1, y2, x2": lambda b: b[:, [1, 0, 3, 2]],
    "x and y of the centre, width, height": lambda b: np.hstack(
        [(b[:, :2] + b[:, 2:]) / 2, _size(b)]
    ),
}
# In an image of 500 x 375, boxes of each form that are possible as x1, y1, x2, y2.
SILENT = {
    "x1, y1, width, height": [20, 10, 400, 300],
    "y1, x1, y2, x2": [5, 5, 360, 360],
    "x and y of the centre, width, height": [160, 150, 300, 290],
}


def in_form(image, form):
    boxes = WRITTEN[form](image.boxes).astype(np.float32)
    return dataclasses.replace(image, boxes=boxes)


def written(folder, images):
    path = folder / "regions.tsv"
    tsv_files.write(path, images)
    return path, [image.image_id for image in images]


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_read_as_it_is_written(form):
    boxes = np.float64([[0, 0, 499, 374], [300, 200, 330, 290], [11, 250, 30, 300]])
    np.testing.assert_allclose(FORMS[form](WRITTEN[form](boxes)), boxes)
    assert other_form(boxes, (500, 375)) is None
    assert other_form(WRITTEN[form](boxes), (500, 375)) == form


@pytest.mark.parametrize("form", WRITTEN)
def test_an_image_says_which_form_its_boxes_may_have(tmp_path, form):
    path, ids = written(tmp_path, [in_form(IMAGES[0], form)])
    with open_regions(path) as source:
        with pytest.raises(UserError, match=f"possible as {form}: if .* whole file"):
            source.read(ids[0])


@pytest.mark.parametrize("form", WRITTEN)
def test_images_that_do_not_show_the_form_are_not_scored_alone(tmp_path, form):
    """Leaving out the images that cannot be would keep those that are wrong."""
    silent = dataclasses.replace(IMAGES[0], boxes=np.float32([SILENT[form]] * 36))
    path, ids = written(tmp_path, [silent, *(in_form(i, form) for i in IMAGES[1:])])
    bad = []
    said = f"in [45] of 6 images a box is inverted .* as {form} all boxes of all images"
    with open_regions(path) as source:
        assert source.read(ids[0]).num_boxes == 36
        with pytest.raises(UserError, match=said):
            source.read_all(ids, lambda name, _: bad.append(name))
        assert ids[0] not in bad and len(bad) >= 4  # one is square
        with pytest.raises(UserError, match=f"{path}: {said}"):
            import_regions(source, ids, tmp_path / "store.h5")
    assert not (tmp_path / "store.h5").exists()
    assert any(re.search(said, problem) for problem in inspect_path(path).problems)


def test_one_damaged_image_is_left_out_as_before(tmp_path):
    """Its boxes may have another form by chance, those of others have not."""
    corner = np.float32([[100, 10, 30, 40]] * 36)
    damaged = dataclasses.replace(IMAGES[0], boxes=corner)
    path, ids = written(tmp_path, [damaged, *IMAGES[1:]])
    with open_regions(path) as source:
        stacked = source.read_all(ids, lambda *_: None)
    assert stacked.image_ids == tuple(ids[1:])


def test_a_larger_frame_is_no_fault_of_single_images():
    """Possible in the images without a region at the border."""
    forms, healthy = BoxForms(), BoxForms()
    for number in range(10):
        boxes = np.float64([[0, 0, 499 if number % 3 else 299, 200], [9, 9, 60, 60]])
        healthy.add(boxes, (500, 375))
        forms.add(1.6 * boxes, (500, 375))
        if number < 7:
            assert forms.problem is None  # too few
    assert healthy.problem is None
    assert "in 6 of 10 images a box is inverted or outside" in forms.problem
    assert "in another form or frame" in forms.problem


# --- annotations ---------------------------------------------------------------------


@pytest.fixture
def entities(tmp_path):
    return shutil.copytree(ENTITIES, tmp_path / "entities")


def rewritten(entities, write, silent=None):
    """Every box of the annotations in another way; those of an image are `silent`."""

    def box(found):
        row = np.float64([[float(value) for value in found.groups()]])
        xmin, ymin, xmax, ymax = silent or write(row)[0]
        return (
            f"<bndbox><xmin>{xmin:g}</xmin><ymin>{ymin:g}</ymin>"
            f"<xmax>{xmax:g}</xmax><ymax>{ymax:g}</ymax></bndbox>"
        )

    names = ("xmin", "ymin", "xmax", "ymax")
    inner = r"\s*".join(rf"<{name}>(.*?)</{name}>" for name in names)
    for image in IMAGES:
        path = entities / "Annotations" / f"{image.image_id}.xml"
        text = re.sub(rf"<bndbox>\s*{inner}\s*</bndbox>", box, path.read_text())
        path.write_text(text)
        silent = None


@pytest.mark.parametrize("form", WRITTEN)
def test_annotations_in_another_form_are_refused_as_a_whole(entities, form):
    rewritten(entities, WRITTEN[form], silent=SILENT[form])
    skipped = {}
    with pytest.raises(UserError, match=f"Annotations: in . of 6 .* as {form} all"):
        read_split(entities, "val", lambda name, error: skipped.update({name: error}))
    assert len(skipped) < 6  # the others would have been scored


def test_annotations_in_fractions_are_called_so(entities):
    rewritten(entities, lambda boxes: boxes / 500)
    for path in (entities / "Annotations").glob("*.xml"):
        with pytest.raises(UserError, match=f"{path}: all .* are fractions of the im"):
            read_boxes(path)
