"""xabl import and xabl inspect, as a user runs them."""

import os
import shutil

import h5py
import pytest

from tests.helpers import binaries
from tests.helpers.golden import ablation_case
from tests.helpers.golden_world import (
    ENTITIES,
    FORMS,
    VOCABULARY,
    golden_images,
    write_regions,
)
from tests.helpers.torch_writer import LAYOUTS, write_torch_file
from xabl.data.regions import import_regions, open_regions
from xabl.inspection import inspect_path
from xabl.models import model_directory

IDS = ENTITIES / "val.txt"


def run(binary, **flags):
    """Exit status, standard output, standard error."""
    done = binaries.run(f"experiments.{binary}", **flags)
    return done.status, done.out, done.err


@pytest.fixture(scope="module")
def regions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("regions")
    return {form: write_regions(folder, form) for form in FORMS}


@pytest.mark.parametrize("form", FORMS)
def test_import_then_inspect(tmp_path, regions, form):
    output = tmp_path / "new folder" / "regions.h5"
    status, out, err = run(
        "import_regions", source=regions[form], image_ids=IDS, output=output
    )
    assert (status, out) == (0, f"6 images written to {output}\n")
    assert "100% 6/6 images" in err  # a line, since this is no terminal
    assert os.listdir(output.parent) == ["regions.h5"]
    with open_regions(output) as source, open_regions(regions[form]) as published:
        assert (
            source.read_all(source.image_ids).sha256()
            == published.read_all(IDS.read_text().split()).sha256()
        )
    status, out, err = run("inspect_data", path=output)
    assert (status, err) == (0, "")
    assert "region store" in out
    assert "36 in 6 images" in out


def test_second_run_is_refused_or_overwrites(tmp_path, regions):
    flags = {"source": regions["hdf5"], "image_ids": IDS, "output": tmp_path / "r.h5"}
    assert run("import_regions", **flags)[0] == 0
    first = (tmp_path / "r.h5").stat()
    status, _, err = run("import_regions", **flags)
    assert (status, "r.h5 exists already" in err) == (1, True)
    assert (tmp_path / "r.h5").stat().st_mtime_ns == first.st_mtime_ns
    assert run("import_regions", **flags, overwrite="true")[0] == 0
    assert (tmp_path / "r.h5").stat().st_ino != first.st_ino
    assert os.listdir(tmp_path) == ["r.h5"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"source": "nowhere.lmdb"}, "nowhere.lmdb: cannot be read: No such file"),
        ({"source": str(VOCABULARY)}, "vocab.txt: no image regions; expected an LMDB"),
        ({"image_ids": "nowhere.txt"}, "nowhere.txt is missing"),
        ({"output": "/proc/nowhere/r.h5"}, "/proc/nowhere/r.h5 cannot be written"),
        ({"overwrite": "perhaps"}, "--overwrite"),
        ({"sauce": "x"}, "no flag --sauce"),
        ({"image_ids": ""}, "--image_ids= is empty: give its value, or leave the flag"),
        ({"output": ""}, "--output= is empty"),
        ({"flagfile": "/bin/sh"}, "--flagfile: not a text file of flags"),
    ],
)
def test_wrong_flags_are_named(tmp_path, regions, changed, message):
    flags = {"source": regions["tsv"], "image_ids": IDS, "output": tmp_path / "r.h5"}
    status, _, err = run("import_regions", **flags | changed)
    assert status == 1
    assert message in err
    assert os.listdir(tmp_path) == []


def test_flags_that_have_to_be_given_are_named():
    status, _, err = run("import_regions", source="x", output="y")
    assert (status, err) == (1, "error: give --image_ids (--help lists the flags)\n")
    status, _, err = run("inspect_data")
    assert (status, err) == (1, "error: give the file or folder: xabl inspect PATH\n")
    status, _, err = run("ablate", split="val")
    assert err == "error: give --model, --entities (--help lists the flags)\n"


@pytest.mark.parametrize("form", FORMS)
def test_source_cut_in_two_leaves_nothing(tmp_path, regions, form):
    source = tmp_path / regions[form].name
    copy = shutil.copytree if regions[form].is_dir() else shutil.copyfile
    copy(regions[form], source)
    file = source / "data.mdb" if source.is_dir() else source
    # Not the half: six rows of one length would leave three whole ones.
    os.truncate(file, file.stat().st_size * 4 // 9)
    status, _, err = run(
        "import_regions", source=source, image_ids=IDS, output=tmp_path / "r.h5"
    )
    assert status == 1
    assert str(source) in err
    assert os.listdir(tmp_path) == [source.name]
    status, _, err = run("inspect_data", path=source)
    assert (status, str(source) in err) == (1, True)


def test_images_without_regions_are_counted_and_named(tmp_path, regions):
    (tmp_path / "ids.txt").write_text("4718074487\n77\n4718082518\n78\n")
    for form in FORMS:
        status, _, err = run(
            "import_regions",
            source=regions[form],
            image_ids=tmp_path / "ids.txt",
            output=tmp_path / "r.h5",
        )
        assert status == 1
        assert "2 of 4 images cannot be imported, no store is written" in err
        assert "no regions for image 77" in err
    assert os.listdir(tmp_path) == ["ids.txt"]


def test_output_is_not_the_source(tmp_path, regions):
    source = shutil.copyfile(regions["hdf5"], tmp_path / "r.h5")
    status, _, err = run(
        "import_regions", source=source, image_ids=IDS, output=source, overwrite="true"
    )
    assert (status, "is the source itself" in err) == (1, True)
    with open_regions(source) as unchanged:
        assert len(unchanged.image_ids) == 6


def test_interrupted_import_leaves_nothing(tmp_path, regions):
    done = binaries.interrupted(
        "experiments.import_regions",
        source=regions["tsv"],
        image_ids=IDS,
        output=tmp_path / "out" / "r.h5",
    )
    assert done.status == 130
    assert "interrupted" in done.err
    assert not (tmp_path / "out").exists()


def test_inspect_says_what_an_entities_directory_holds():
    status, out, _ = run("inspect_data", path=ENTITIES)
    assert status == 0
    assert "Flickr30k Entities" in out
    assert "80 phrases with a box" in out
    assert "clothing 22" in out


def test_inspect_lists_the_problems_of_an_entities_directory(tmp_path):
    entities = shutil.copytree(ENTITIES, tmp_path / "entities")
    (entities / "Annotations" / "4718074487.xml").unlink()
    (entities / "Sentences" / "4718082518.txt").write_text("[/EN#1/people a man\n")
    status, out, err = run("inspect_data", path=entities)
    assert status == 1
    assert "problem: " in out
    assert "4718074487.xml is missing" in out
    assert "4718082518.txt, line 1: unbalanced brackets" in out
    assert f"problems found in {entities}: 2" in err


def test_inspect_knows_a_vocabulary():
    found = inspect_path(VOCABULARY)
    assert found.kind == "vocabulary of word pieces"
    assert found.facts["pieces"].startswith("284 ")


def test_inspect_says_what_a_region_file_lacks(regions, tmp_path):
    found = inspect_path(regions["hdf5"])
    assert found.facts["cls_prob"] == "no: MRC-KL cannot be computed, MRC-XE can"
    (tmp_path / "ids.txt").write_text("4718074487\n77\n")
    found = inspect_path(regions["tsv"], image_ids=tmp_path / "ids.txt")
    assert found.facts["images checked"] == "2"
    (problem,) = found.problems
    assert "no regions for image 77" in problem
    assert inspect_path(regions["tsv"], limit=3).facts["images checked"] == "3"


def test_inspect_sees_that_a_store_was_changed(regions, tmp_path):
    with open_regions(regions["tsv"]) as source:
        import_regions(source, source.image_ids, tmp_path / "r.h5")
    assert inspect_path(tmp_path / "r.h5").problems == ()
    with h5py.File(tmp_path / "r.h5", "r+") as file:
        file["features"][2, 3, 4] += 1
    (problem,) = inspect_path(tmp_path / "r.h5").problems
    assert "not what was imported" in problem


@pytest.mark.parametrize("layout", LAYOUTS)
def test_inspect_knows_a_checkpoint(tmp_path, layout):
    case = ablation_case("ctrl_uniter_base")
    path = write_torch_file(tmp_path / "model.bin", case.state_dict(), layout)
    found = inspect_path(path)
    assert found.kind.startswith("checkpoint")
    assert int(found.facts["tensors"]) == len(case.shapes) + len(case.aliases)


def test_inspect_knows_a_model_directory(tmp_path):
    import jax
    import numpy as np

    from xabl.models.model import parameter_shapes

    config = ablation_case("ctrl_uniter_base").config
    params = jax.tree.map(
        lambda leaf: np.full(leaf.shape, 0.5, np.float32), parameter_shapes(config)
    )
    model_directory.save(tmp_path / "good", config, params, report={"source": "test"})
    found = inspect_path(tmp_path / "good")
    assert (found.kind, found.problems) == ("model directory", ())
    numbers = sum(leaf.size for leaf in jax.tree.leaves(params))
    assert found.facts["parameters"] == str(numbers)
    assert found.facts["configuration"] == config.name
    jax.tree.leaves(params)[0].flat[0] = np.nan
    model_directory.save(tmp_path / "bad", config, params, report={"source": "test"})
    (problem,) = inspect_path(tmp_path / "bad").problems
    assert "not finite" in problem


def test_inspect_of_something_else_says_what_it_knows(tmp_path):
    (tmp_path / "notes.md").write_text("hello")
    for path, message in (
        (tmp_path, "a folder with neither Flickr30k Entities"),
        (tmp_path / "notes.md", "neither region features"),
        (tmp_path / "nothing", "nothing: No such file"),
    ):
        status, out, err = run("inspect_data", path=path)
        assert (status, out) == (1, "")
        assert message in err


def test_the_worlds_images_have_the_ids_of_the_split():
    assert [image.image_id for image in golden_images()] == IDS.read_text().split()
