"""Wrong arguments: every function of `import xabl` says so in its own terms."""

import functools
import re

import pytest

import xabl
from tests.helpers import golden_world
from xabl.python import arguments

METHODS = {
    "example": xabl.Model.example,
    "one": xabl.Example.ablate,
    "save": xabl.Scores.save,
    "show": xabl.Example.show,
}


@pytest.fixture(scope="module")
def regions(tmp_path_factory):
    return golden_world.write_regions(tmp_path_factory.mktemp("regions"), "hdf5")


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("load", {}, "load needs path="),
        ("load", {"path": 3}, "path=3: expected a path"),
        ("load", {"path": "x", "vocab": "y"}, "load has no argument vocab="),
        ("regions", {"path": None}, "path=None: expected a path"),
        (
            "regions",
            {"path": golden_world.ENTITIES, "entities": "STORE"},
            "swapped with entities=?",
        ),
        ("ablate", {"model": "x"}, "ablate needs entities="),
        (
            "ablate",
            {"model": 4, "entities": "x"},
            "model=4: expected a Model or",
        ),
        ("ablate", {"model": "x", "entities": "y", "limit": True}, "a whole number"),
        (
            "ablate",
            {"model": "x", "entities": "y", "split": 1},
            "split=1: expected",
        ),
        ("ablate", {"model": "x", "entities": "y", "tresholds": 1}, "mean thresholds?"),
        (
            "ablate",
            {"model": golden_world.ENTITIES, "entities": "STORE"},
            "is it sw",
        ),
        ("example", {"image": "7"}, "example needs caption=, phrase="),
        (
            "example",
            {"image": "7", "caption": "a", "phrase": "a"},
            "an entry of xab",
        ),
        (
            "example",
            {"image": None, "caption": 1, "phrase": "a"},
            "caption=1: expect",
        ),
        ("example", {"image": None, "caption": "a", "phrase": 1}, "phrase=1: "),
        ("save", {}, "save needs output="),
        ("save", {"output": 7}, "output=7: expected a path"),
        ("one", {"regions": 3}, r"regions=3: give a list: regions=[3]"),
        ("one", {"condition": 1}, "condition=1: expected text or None"),
        ("one", {"region": 1}, "ablate has no argument region=; did you mean regions?"),
        ("show", {"picture": 1}, "picture=1: expected a path or None"),
    ],
)
def test_arguments_are_called_as_they_were_written(regions, name, given, message):
    functions = {name: functools.partial(one, None) for name, one in METHODS.items()}
    paths = {"STORE": regions}
    given = {n: paths.get(v, v) if isinstance(v, str) else v for n, v in given.items()}
    with pytest.raises(xabl.UserError, match=re.escape(message)):
        functions.get(name, getattr(xabl, name, None))(**given)


def test_flags_in_messages_become_arguments():
    flags = {"vocabulary": "vocab"}
    for message, expected in {
        "another --output or --overwrite": "another output= or overwrite=True",
        "--limit=0: give one": "limit=0: give one",
        "give --vocab": "give vocabulary=",
        "--regions: none": "regions: none",
        "--mismatch=warn, see": "mismatch='warn', see",
        "--split='x'; or --tagger=stanza": "split='x'; or tagger='stanza'",
        "x; run xabl convert A --output=B; --limit=1": (
            "x; run xabl convert A --output=B; limit=1"
        ),
        "in /data/a--b/c": "in /data/a--b/c",
    }.items():
        assert arguments.as_arguments(message, flags) == expected


def test_too_many_without_a_name():
    with pytest.raises(xabl.UserError, match="ablate takes condition without a name"):
        xabl.Example.ablate(None, "all", [3])
    with pytest.raises(xabl.UserError, match="load: multiple values for argument"):
        xabl.load("x", path="y")
