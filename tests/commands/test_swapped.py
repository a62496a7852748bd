"""What a path is, and arguments that were swapped: named before anything is read."""

import pytest

from tests.helpers import golden_world
from tests.helpers.fake_results import FakeModel, write_results
from tests.helpers.transformers_checkpoints import write_vocabulary
from xabl.errors import UserError
from xabl.kinds import Kind, check_not_swapped, check_output_apart, kind_of


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """One of each kind."""
    folder = tmp_path_factory.mktemp("kinds")
    for name in ("model/config.json", "model/report.json", "checkpoint/model.bin"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("{}")
    return {
        Kind.ENTITIES: golden_world.ENTITIES,
        Kind.REGIONS: golden_world.write_regions(folder, "hdf5"),
        Kind.VOCABULARY: write_vocabulary(folder / "words.txt", 9),
        Kind.MODEL: folder / "model",
        Kind.CHECKPOINT: folder / "checkpoint",
        Kind.RESULTS: write_results(folder / "results", FakeModel(), num_images=2),
    }


def test_every_kind_is_told_by_what_it_holds(paths, tmp_path):
    assert {kind: kind_of(path) for kind, path in paths.items()} == {k: k for k in Kind}
    (tmp_path / "notes.txt").write_text("hello")
    assert kind_of(tmp_path) is kind_of(tmp_path / "notes.txt") is None


def test_paths_in_their_places(paths, tmp_path):
    right = {
        "entities": paths[Kind.ENTITIES],
        "regions": str(paths[Kind.REGIONS]),
        "results": [paths[Kind.RESULTS]],
        "model": object(),  # loaded already
        "images": None,
        "split": "val",
        "vocab": tmp_path / "nowhere",
    }
    check_not_swapped(right)
    check_not_swapped({"regions": paths[Kind.ENTITIES]})  # its reader says what it is


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        ("entities", "regions", Kind.ENTITIES),
        ("regions", "entities", Kind.REGIONS),
        ("model", "entities", Kind.MODEL),
        ("vocab", "regions", Kind.VOCABULARY),
        ("images", "results", None),
        ("image_ids", "source", None),
    ],
)
def test_swapped(paths, first, second, kind):
    expected = {
        "regions": Kind.REGIONS,
        "entities": Kind.ENTITIES,
        "results": Kind.RESULTS,
        "source": Kind.REGIONS,
    }[second]
    path = paths[expected]
    with pytest.raises(UserError) as error:
        check_not_swapped({first: path, second: None})
    wanted = f", not {kind}" if kind else ""
    assert str(error.value) == (
        f"--{first}={path}: {expected}{wanted}; is it swapped with --{second}?"
    )


def test_nothing_is_written_among_what_is_only_read(paths, tmp_path):
    lmdb, link = tmp_path / "lmdb", tmp_path / "link"
    golden_world.write_regions(tmp_path, "lmdb")
    link.symlink_to(paths[Kind.MODEL])
    for name, folder, output in (
        ("entities", paths[Kind.ENTITIES], paths[Kind.ENTITIES] / "Sentences" / "out"),
        ("regions", lmdb / "data.mdb", lmdb / "out"),
        ("model", link, paths[Kind.MODEL] / "out"),
        ("model", paths[Kind.MODEL], f"{link}/out"),
    ):
        with pytest.raises(UserError, match=f"--output={output} lies in --{name}="):
            check_output_apart({name: folder, "output": output})
        check_output_apart({name: folder, "output": tmp_path / "out"})
    # What replaces a folder is refused by whoever writes it, with its own words.
    check_output_apart({"model": link, "output": link})
    check_output_apart({"model": None, "output": None})
