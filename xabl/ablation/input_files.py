"""Which files an ablation reads, and all that is refused before the large ones are.

Parameters and regions take minutes; a flag that is wrong shall not.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from xabl.ablation.options import InputFiles
from xabl.ablation.word_classes import INSTEAD
from xabl.data.class_names import (
    ATTRIBUTES,
    DETECTOR_CLASSES,
    OBJECTS,
    read_class_names,
)
from xabl.data.flickr30k_entities import split_file
from xabl.data.regions.recognise import check_form
from xabl.data.tagger import check_tagger
from xabl.errors import UserError
from xabl.models import model_directory
from xabl.models.config import ModelConfig
from xabl.results.conditions import (
    Condition,
    Direction,
    Level,
    all_conditions,
)
from xabl.support.files import read_json

Say = Callable[[str], None]


def word_lists(files: InputFiles) -> dict[str, Path | None]:
    """The detector's classes and attributes, where there are lists of them.

    By the names of the arguments of `word_classes.by_lists`; none for a tagger.
    """
    if files.tagger is not None:
        return {}

    def beside_regions(name: str) -> Path | None:
        found = files.regions and files.regions.parent / name
        return found if found and found.is_file() else None

    return {
        "class_names": files.class_names or beside_regions(OBJECTS),
        "attribute_names": files.attribute_names or beside_regions(ATTRIBUTES),
    }


def check_files(files: InputFiles, config: ModelConfig) -> None:
    """Refuses what does not fit a model, as far as small files and beginnings tell it.

    Raises:
        UserError: as whoever reads the file later.
    """
    model_conditions(config, files, say=lambda line: None)
    model_directory.vocabulary_of(files.model, config, files.vocabulary)
    if not config.text_only:
        check_form(regions_of(config, files))
    check_small_files(files)


def check_small_files(files: InputFiles) -> None:
    """As `check_files`, what is the same for every model."""
    split_file(files.entities, files.split)
    if files.gold_labels is not None:
        read_gold_labels(files.gold_labels)
    if files.tagger is not None:
        check_tagger(INSTEAD)
    for names in word_lists(files).values():
        if names is not None:
            read_class_names(names)


def model_conditions(
    config: ModelConfig, files: InputFiles, say: Say
) -> tuple[Condition, ...]:
    """The conditions to score the model under.

    A text-only model has one: the phrase's words from the rest of the caption.

    Raises:
        UserError: a direction was asked for that the model does not have.
    """
    directions = files.directions
    if directions is None:
        directions = (Direction.VIS4LANG,)
        try:
            config.scored_target()
            directions += (Direction.LANG4VIS,)
        except UserError as error:
            say(f"vis4lang only: {error}")
    elif Direction.LANG4VIS in directions:
        config.scored_target()
    return conditions_of(directions, files, sees_regions=not config.text_only)


def conditions_of(
    directions: Sequence[Direction], files: InputFiles, *, sees_regions: bool
) -> tuple[Condition, ...]:
    """The conditions of some directions; without regions there is one."""
    if not sees_regions:
        return (Condition(direction=Direction.VIS4LANG, level=Level.NONE),)
    return all_conditions(directions, files.thresholds, files.replace)


def regions_of(config: ModelConfig | None, files: InputFiles) -> Path:
    """The file of regions.

    Args:
        config: of a model that sees regions; None for a function of one's own.

    Raises:
        UserError: none was given.
    """
    if files.regions is None:
        raise UserError(
            f"--regions: model {config.name} sees image regions; give the LMDB, TSV or "
            "HDF5 file that holds them, or a store of xabl import"
        )
    return files.regions


def read_gold_labels(path: Path) -> list[int | None]:
    """A class of the detector's 1601 or null for each example of a split.

    Raises:
        UserError: missing, or not that.
    """
    labels = read_json(path, "a class or null for each example", list)
    for number, label in enumerate(labels):
        known = type(label) is int and 0 <= label < DETECTOR_CLASSES
        if label is not None and not known:
            raise UserError(
                f"--gold_labels={path}: entry {number} is {label!r}; expected null or "
                f"a class 0 ... {DETECTOR_CLASSES - 1}"
            )
    return labels
