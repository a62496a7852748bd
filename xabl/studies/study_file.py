"""The file that describes a study, read and checked; every error says its line."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field

from xabl.ablation.options import ImageToken, OnMismatch, Precision, VlBertPositions
from xabl.errors import UserError, reason, told
from xabl.results.conditions import THRESHOLDS, Direction
from xabl.results.resampling import FEWEST_RESAMPLES, RESAMPLES
from xabl.results.ways import check_ways
from xabl.studies.yaml_lines import Lines, Place, read_yaml

# Names of folders, and of models in tables.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=80)]

_EXAMPLES = Path(__file__).parent / "examples"
_Info = Any  # pydantic.ValidationInfo, which cannot be checked when the program runs


def _in_folder(path: Path, info: _Info) -> Path:
    """A path as the study's folder has it, which is what the context is."""
    if path == Path() or not str(path).isprintable():
        raise ValueError("is no path")
    return info.context / os.path.expanduser(path)


def _there_or_name(value: str, info: _Info) -> str:
    """A file of the study's folder; what is none there is the name of something."""
    file = info.context / value
    return str(file) if file.is_file() else value


def _without_repeats(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) < len(values):
        raise ValueError("has a value twice")
    return values


_File = Annotated[Path, pydantic.AfterValidator(_in_folder)]
_FileOrName = Annotated[str, pydantic.AfterValidator(_there_or_name)]
_Once = pydantic.AfterValidator(_without_repeats)
_MOST = 2**32
# YAML's yes and '3' are no numbers.
_Count = Annotated[int, Field(ge=0, lt=_MOST, strict=True)]  # seeds, too
_Overlap = Annotated[float, Field(ge=0, lt=1, strict=True)]
_Positive = Annotated[int, Field(ge=1, lt=2**31, strict=True)]


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Data(_Part):
    """What is scored; see the flags of the ablation."""

    entities: _File
    split: str = "val"
    regions: _File | None = None
    vocabulary: _File | None = None
    gold_labels: _File | None = None
    class_names: _File | None = None
    attribute_names: _File | None = None
    tagger: Literal["stanza"] | None = None
    limit: _Positive | None = None
    skip_bad_examples: pydantic.StrictBool = False


class Ablation(_Part):
    """How it is scored; see the flags of the ablation.

    directions: all that a model can be asked, by default.
    replace: ways of removing beside the published ones.
    replace_seed: of the images and captions that stand in for others.
    """

    directions: Annotated[tuple[Direction, ...], Field(min_length=1), _Once] | None = (
        None
    )
    thresholds: Annotated[tuple[_Overlap, ...], _Once] = THRESHOLDS
    replace: Annotated[tuple[str, ...], _Once] = ()
    replace_seed: _Count = 0
    precision: Precision = Precision.HIGHEST
    image_token: ImageToken = ImageToken.PUBLISHED
    vlbert_positions: VlBertPositions = VlBertPositions.REFERENCE_BATCH
    save_predictions: _Count = 0
    batch_size: _Positive | None = None
    mismatch: OnMismatch = OnMismatch.STOP_IF_CERTAIN

    @pydantic.field_validator("replace")
    @classmethod
    def _are_ways(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        try:
            check_ways(names)
        except UserError as error:
            raise ValueError(str(error)) from error
        return names


class Model(_Part):
    """A model that exists: a model directory, or a checkpoint to be converted.

    label: what the model is called; models of one label differ in seed.
    group: for the table of the study, of any meaning.
    config: of a checkpoint: a preset or a configuration file; by default the
        checkpoint is recognised.
    """

    label: Name
    seed: _Count | None = None
    group: str | None = None
    model: _File | None = None
    checkpoint: _File | None = None
    config: _FileOrName | None = None
    vocabulary: _File | None = None

    @property
    def name(self) -> str:
        return run_name(self.label, self.seed)


def _leaves_names(override: str) -> str:
    if override.partition("=")[0].strip() in ("seed", "name"):
        raise ValueError("a study gives these itself: see seeds and label")
    return override


_Overrides = tuple[Annotated[str, pydantic.AfterValidator(_leaves_names)], ...]


class Variant(_Part):
    """One configuration of a grid: its label, and overrides ("field=value").

    start: label of the variant whose model of the same seed this one starts from.
    """

    label: Name
    group: str | None = None
    overrides: _Overrides = ()
    start: Name | None = None


class Pretrainings(_Part):
    """A grid of trainings, each followed by its ablation: variants times seeds.

    config: a configuration file, or the name of one that comes with the package.
    overrides: for all of them.
    """

    config: _FileOrName
    overrides: _Overrides = ()
    variants: Annotated[tuple[Variant, ...], Field(min_length=1)]
    seeds: Annotated[tuple[_Count, ...], Field(min_length=1), _Once] = (0,)


class Report(_Part):
    """What the report of the whole study is made with beside the results."""

    images: _File | None = None
    class_names: _File | None = None
    resamples: Annotated[_Positive, Field(ge=FEWEST_RESAMPLES)] = RESAMPLES


class StudyFile(_Part):
    """A study as its file has it; paths are those of the file's folder.

    retries: how often a run is begun again after a failure that may pass.
    """

    data: Data
    ablation: Ablation = Ablation()
    models: tuple[Model, ...] = ()
    pretrainings: tuple[Pretrainings, ...] = ()
    report: Report = Report()
    retries: _Count = 3
    _folder: Path = pydantic.PrivateAttr()

    @pydantic.model_validator(mode="after")
    def _is_in_folder(self, info: _Info) -> "StudyFile":
        self._folder = info.context
        return self

    @property
    def folder(self) -> Path:
        """Where its relative paths begin."""
        return self._folder


def run_name(label: str, seed: int | None) -> str:
    """Of a run and its folders."""
    return label if seed is None else f"{label}-s{seed}"


@told()
def read_study(path: Path | str) -> tuple[StudyFile, Lines]:
    """Reads and checks a study file.

    Args:
        path: of a file, or the name of one of the studies that come with the package.
            Relative paths in a file begin in its folder, those of the package's studies
            where the process is.

    Returns:
        The study, and the lines of its parts for whoever finds them not to work.

    Raises:
        UserError: every problem of the file, each with its line.
    """
    path = Path(path)
    folder, shipped = path.absolute().parent, _EXAMPLES / f"{path}.yaml"
    if not path.exists() and shipped.is_file():
        folder, path = Path.cwd(), shipped
    try:
        content, lines = read_yaml(path)
    except OSError as error:
        names = ", ".join(sorted(file.stem for file in _EXAMPLES.glob("*.yaml")))
        raise UserError(
            f"--study={path}: cannot be read ({reason(error)}); give a file, or one of "
            f"the studies that come with xabl: {names}"
        ) from error
    problems = [*_row_problems(content)]
    try:
        study = StudyFile.model_validate(content, context=folder)
    except pydantic.ValidationError as error:
        problems += map(_problem, _own_problems(error))
    if problems:
        raise lines.error(problems)
    return study, lines


def _own_problems(error: pydantic.ValidationError) -> Iterator[Any]:
    """Without lists that are too short for what is wrong in them."""
    for found in error.errors():
        if found["type"] != "too_short" or not found["input"]:
            yield found


_SHOULD_BE = {
    "model_type": "should be keys and values (key: value)",
    "tuple_type": "should be a list, as in [a, b]",
    "string_type": "should be text",
    "path_type": "should be a path",
    "missing": "is missing",
    "too_short": "is empty",
    "extra_forbidden": "not a key that is known here",
    "string_pattern_mismatch": "give letters, digits and . _ + - only, the first a "
    "letter or a digit",
}


def _problem(found: Any) -> tuple[Place, str]:
    """An error of the validation in words."""
    place, value, kind = tuple(found["loc"]), found["input"], found["type"]
    text = found["msg"].removeprefix("Value error, ").removeprefix("Input ")
    text = _SHOULD_BE.get(kind, text)
    if kind in ("missing", "extra_forbidden"):
        return place, text
    if value is None:
        text += "; there is nothing"
    elif not isinstance(value, dict | list | tuple):
        text += f"; found {value!r}"
        if kind in ("string_type", "path_type"):
            text += " (put it in quotes)"
    return place, text


# --- what is wrong with rows as a whole ----------------------------------------------

# Looked for in what the file says, since its parts may be wrong as well: whoever mends
# a file wants to hear of everything at once.


def _row_problems(content: Any) -> Iterator[tuple[Place, str]]:
    if not isinstance(content, dict):
        return
    if not content.get("models") and not content.get("pretrainings"):
        yield (), "give models, pretrainings or both"
    for place, row in _rows(content, "models"):
        if (row.get("model") is None) == (row.get("checkpoint") is None):
            yield place, "give either a model directory or a checkpoint"
        elif row.get("model") is not None and row.get("config") is not None:
            yield place, "config is that of a checkpoint"
    yield from _name_problems(
        [*_named(content, "models")],
        [
            ((*place, *inner), name, start)
            for place, grid in _rows(content, "pretrainings")
            for inner, name, start in _named(grid, "variants")
        ],
    )


_Named = tuple[
    Place, str, str | None
]  # a run, its name, that of the one it starts from


def _name_problems(
    models: list[_Named], trainings: list[_Named]
) -> Iterator[tuple[Place, str]]:
    """Two runs of one name, which would share a folder; starts that lead nowhere."""
    seen: set[str] = set()
    for place, name, _ in models + trainings:
        # Folders of some file systems do not tell capitals.
        if name.lower() in seen:
            yield place, f"there are two runs {name!r}; give other labels or seeds"
        seen.add(name.lower())
    starts = {name: start for _, name, start in trainings}
    for place, name, start in trainings:
        if start is not None and start not in starts:
            yield place, f"there is no training {start!r} to start from"
        passed = set()
        while start in starts and start not in passed:
            passed.add(start)
            start = starts[start]
        if name in passed:
            yield place, f"{name} would start from itself"


def _rows(part: dict[str, Any], key: str) -> Iterator[tuple[Place, dict[str, Any]]]:
    """The rows of a list, as far as they are some."""
    for number, row in enumerate(_listed(part.get(key))):
        if isinstance(row, dict):
            yield (key, number), row


def _named(part: dict[str, Any], key: str) -> Iterator[_Named]:
    """The runs of a list of models or variants, as far as they have names."""
    for place, row in _rows(part, key):
        label, start = (row.get(name) for name in ("label", "start"))
        seeds = [row.get("seed")]
        if key == "variants":
            seeds = part.get("seeds", Pretrainings.model_fields["seeds"].default)
            seeds = [s for s in _listed(seeds) if s is not None]
        for seed in dict.fromkeys(filter(_may_be_seed, seeds)):
            if isinstance(label, str):
                after = run_name(start, seed) if isinstance(start, str) else None
                yield place, run_name(label, seed), after


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def _may_be_seed(value: Any) -> bool:
    return value is None or (type(value) is int and 0 <= value < _MOST)
