"""What a file or folder is, by what it holds, and whether two were swapped."""

import codecs
import enum
import os
from collections.abc import Mapping
from pathlib import Path

from xabl.data.checkpoints.opening import is_checkpoint
from xabl.data.regions.recognise import region_form
from xabl.errors import UserError
from xabl.results.format import MANIFEST, SCORES
from xabl.support.files import beginning


class Kind(enum.StrEnum):
    """What is told apart."""

    ENTITIES = "a Flickr30k Entities directory"
    REGIONS = "a file of image regions"
    VOCABULARY = "a vocabulary of word pieces"
    MODEL = "a model directory"
    CHECKPOINT = "a published checkpoint"
    RESULTS = "a results directory"


# What arguments are to be, by the names that commands have for them; None: something
# that is not told apart, so certainly none of these.
_EXPECTED = {
    "checkpoint": Kind.CHECKPOINT,
    "entities": Kind.ENTITIES,
    "model": Kind.MODEL,
    "regions": Kind.REGIONS,
    "results": Kind.RESULTS,
    "source": Kind.REGIONS,
    "vocab": Kind.VOCABULARY,
    "attribute_names": None,
    "captions": None,
    "class_names": None,
    "foils": None,
    "image_ids": None,
    "images": None,
}
# Folders in which no results are wanted; those of them that commands have.
_ONLY_READ = ("entities", "regions", "source", "captions", "model")


def kind_of(path: Path) -> Kind | None:
    """What a path is; None for something else.

    Raises:
        UserError: HDF5 that is damaged; no file, or one in the place of another.
        OSError: it is not there, or cannot be read.
    """
    if path.is_dir():
        names = {entry.name for entry in path.iterdir()}
        if region_form(path) is not None:
            return Kind.REGIONS
        if names & {"Sentences", "Annotations"}:
            return Kind.ENTITIES
        if "config.json" in names:
            is_ours = names & {"params", "report.json"}
            return Kind.MODEL if is_ours else Kind.CHECKPOINT
        if is_checkpoint(path):
            return Kind.CHECKPOINT
        return Kind.RESULTS if names & {MANIFEST, SCORES.name} else None
    if is_checkpoint(path):
        return Kind.CHECKPOINT
    start = beginning(path)
    if start.removeprefix(codecs.BOM_UTF8).startswith(b"[PAD]"):
        return Kind.VOCABULARY
    return None if region_form(path) is None else Kind.REGIONS


def check_not_swapped(given: Mapping[str, object]) -> None:
    """Looks for paths that are what another argument is to be.

    Args:
        given: paths, or lists of them, by the name of a flag; None: left out.

    Raises:
        UserError: there is one; names both arguments.
    """
    for name in [each for each in given if each in _EXPECTED]:
        paths = given[name]
        for path in paths if isinstance(paths, list | tuple) else [paths]:
            if not isinstance(path, str | Path):
                continue  # left out, or what was read already
            expected, found = _EXPECTED[name], kind_if_readable(Path(path))
            others = [n for n in given if n != name and _EXPECTED.get(n) is found]
            if found not in (None, expected) and others:
                wanted = f", not {expected}" if expected else ""
                raise UserError(
                    f"--{name}={path}: {found}{wanted}; is it swapped with "
                    f"--{others[0]}?"
                )


def check_output_apart(given: Mapping[str, object]) -> None:
    """Looks for an output inside a folder that is only read.

    Args:
        given: as `check_not_swapped` takes it.

    Raises:
        UserError: there is one; names both arguments.
    """
    output = given.get("output")
    if not isinstance(output, str | Path):
        return
    for name in _ONLY_READ:
        path = given.get(name)
        if not isinstance(path, str | Path):
            continue
        folder = Path(path).parent if Path(path).name == "data.mdb" else Path(path)
        above = Path(os.path.realpath(output)).parents
        if os.path.isdir(folder) and Path(os.path.realpath(folder)) in above:
            raise UserError(
                f"--output={output} lies in --{name}={path}, where nothing is written: "
                "give a folder elsewhere"
            )


def kind_if_readable(path: Path) -> Kind | None:
    """What a path is; None also if it cannot be read: whoever reads it says why."""
    try:
        return kind_of(path)
    except (OSError, UserError):
        return None
