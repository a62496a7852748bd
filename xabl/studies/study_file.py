"""The file that describes a study, read and checked; every error says its line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml
from pydantic import Field

from xabl.ablation.engine.device_regions import ImageToken
from xabl.ablation.engine.scorer import Precision
from xabl.ablation.examples import VlBertPositions
from xabl.ablation.mismatch.findings import OnMismatch
from xabl.errors import UserError, reason, told
from xabl.results.conditions import THRESHOLDS, Direction
from xabl.results.ways import check_ways

# Names of folders, and of models in tables.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=80)]

_EXAMPLES = Path(__file__).parent / "examples"


# Whole numbers, which neither true nor a text is.
Count = Annotated[int, Field(strict=True, ge=1, lt=2**31)]
Number = Annotated[int, Field(strict=True, ge=0, lt=2**31)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**32)]
Threshold = Annotated[float, Field(strict=True, ge=0, lt=1)]


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Data(_Part):
    """What is scored; see the flags of the ablation."""

    entities: Path
    split: str = "val"
    regions: Path | None = None
    vocabulary: Path | None = None
    gold_labels: Path | None = None
    class_names: Path | None = None
    attribute_names: Path | None = None
    tagger: Literal["stanza"] | None = None
    limit: Count | None = None
    skip_bad_examples: pydantic.StrictBool = False


class Ablation(_Part):
    """How it is scored; see the flags of the ablation.

    directions: all that a model can be asked, by default.
    replace: ways of removing beside the published ones.
    replace_seed: of the images and captions that stand in for others.
    """

    directions: Annotated[tuple[Direction, ...], Field(min_length=1)] | None = None
    thresholds: tuple[Threshold, ...] = THRESHOLDS
    replace: tuple[str, ...] = ()
    replace_seed: Seed = 0
    precision: Precision = Precision.HIGHEST
    image_token: ImageToken = ImageToken.PUBLISHED
    vlbert_positions: VlBertPositions = VlBertPositions.REFERENCE_BATCH
    save_predictions: Number = 0
    batch_size: Count | None = None
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
    config: of a checkpoint: a preset or a configuration file.
    """

    label: Name
    seed: Seed | None = None
    group: str | None = None
    model: Path | None = None
    checkpoint: Path | None = None
    config: str | None = None
    vocabulary: Path | None = None

    @pydantic.model_validator(mode="after")
    def _is_one_thing(self) -> "Model":
        if (self.model is None) == (self.checkpoint is None):
            raise ValueError("give either a model directory or a checkpoint")
        if self.checkpoint is not None and self.config is None:
            raise ValueError("a checkpoint needs its config, a preset or a file")
        if self.model is not None and self.config is not None:
            raise ValueError("config is that of a checkpoint")
        return self

    @property
    def name(self) -> str:
        return run_name(self.label, self.seed)


class Variant(_Part):
    """One configuration of a grid: its label, and overrides ("field=value").

    start: label of the variant whose model of the same seed this one starts from.
    """

    label: Name
    group: str | None = None
    overrides: tuple[str, ...] = ()
    start: Name | None = None


class Pretrainings(_Part):
    """A grid of trainings, each followed by its ablation: variants times seeds.

    config: a configuration file, or the name of one that comes with the package.
    overrides: for all of them.
    """

    config: Path
    overrides: tuple[str, ...] = ()
    variants: Annotated[tuple[Variant, ...], Field(min_length=1)]
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0,)


class Report(_Part):
    """What the report of the whole study is made with beside the results."""

    images: Path | None = None
    class_names: Path | None = None
    resamples: Annotated[Count, Field(ge=100)] = 2000


class StudyFile(_Part):
    """A study as its file has it.

    retries: how often a run is begun again after a failure that may pass.
    """

    data: Data
    ablation: Ablation = Ablation()
    models: tuple[Model, ...] = ()
    pretrainings: tuple[Pretrainings, ...] = ()
    report: Report = Report()
    retries: Number = 3

    @pydantic.model_validator(mode="after")
    def _has_runs(self) -> "StudyFile":
        if not self.models and not self.pretrainings:
            raise ValueError("give models, pretrainings or both")
        return self


def run_name(label: str, seed: int | None) -> str:
    """Of a run and its folders."""
    return label if seed is None else f"{label}-s{seed}"


# A place in a file: keys and positions from the top.
Place = tuple[str | int, ...]


class Lines:
    """The line on which every part of a YAML file begins."""

    def __init__(self, path: Path):
        self._path, self._lines = path, {(): 1}
        self._nodes: set[yaml.Node] = set()

    def add(self, place: Place, node: yaml.Node) -> None:
        self._lines[place] = node.start_mark.line + 1

    def is_new(self, node: yaml.Node) -> bool:
        """Whether this was not asked of it before."""
        before = len(self._nodes)
        self._nodes.add(node)
        return len(self._nodes) > before

    def error(self, problems: list[tuple[Place, str]]) -> UserError:
        """One error for all problems, in the order of their lines."""
        located = sorted(
            (self._line(place), _dotted(place), text) for place, text in problems
        )
        return UserError(
            "\n".join(
                f"{self._path}:{line}: {dotted and f'{dotted}: '}{text}"
                for line, dotted, text in located
            )
        )

    def where(self, *place: str | int) -> str:
        """The file and the line of a part, for messages."""
        return f"{self._path}:{self._line(place)}"

    def _line(self, place: Place) -> int:
        while place not in self._lines:  # what is missing belongs to what holds it
            place = place[:-1]
        return self._lines[place]


@told()
def read_study(path: Path | str) -> tuple[StudyFile, Lines]:
    """Reads and checks a study file.

    Args:
        path: of a file, or the name of one of the studies that come with the package.

    Returns:
        The study, and the lines of its parts for whoever finds them not to work.

    Raises:
        UserError: every problem of the file, each with its line.
    """
    path = Path(path)
    shipped = _EXAMPLES / f"{path}.yaml"
    if not path.exists() and shipped.is_file():
        path = shipped
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        names = ", ".join(sorted(file.stem for file in _EXAMPLES.glob("*.yaml")))
        raise UserError(
            f"--study={path}: cannot be read ({reason(error)}); give a file, or one of "
            f"the studies that come with xabl: {names}"
        ) from error
    lines = Lines(path)
    content = _content(text, lines, path)
    try:
        study = StudyFile.model_validate(content)
    except pydantic.ValidationError as error:
        problems = [_problem(found) for found in error.errors()]
        raise lines.error(problems) from error
    repeated = list(_repeated_names(study))
    if repeated:
        raise lines.error(repeated)
    return study, lines


def _content(text: str, lines: Lines, path: Path) -> Any:
    """The file's values; `lines` learns where they are."""
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            problems = list(_located(node, (), lines)) if node is not None else []
            if problems:
                raise lines.error(problems)
            return None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = (error.problem_mark or error.context_mark).line + 1
        raise UserError(f"{path}:{line}: {error.problem or error.context}") from error
    except RecursionError as error:
        raise UserError(f"{path}: is nested too deeply for a study") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # a number too long
        raise UserError(f"{path}: not a YAML file ({error})") from error


def _located(
    node: yaml.Node, place: Place, lines: Lines, above: tuple[yaml.Node, ...] = ()
) -> Iterator[tuple[Place, str]]:
    """Walks the file; gives keys that are there twice, where YAML keeps the last.

    And keys that are not text, and what an alias puts into itself.
    """
    if node in above:
        yield place, "contains itself"
    lines.add(place, node)
    if not lines.is_new(node):
        return  # aliases of aliases of aliases would take for ever
    above = (*above, node)
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from _located(item, (*place, number), lines, above)
    elif isinstance(node, yaml.ScalarNode):
        if any(c == "\0" or "\ud800" <= c <= "\udfff" for c in node.value):
            yield place, "holds what no text or name of a file can"
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                yield place, "has a key that is not text"
                continue
            inner = (*place, key.value)
            if key.value in seen:
                yield inner, f"is given twice, first on line {seen[key.value]}"
            seen.setdefault(key.value, key.start_mark.line + 1)
            yield from _located(value, inner, lines, above)
            lines.add(inner, key)


def _problem(found: Any) -> tuple[Place, str]:
    """An error of the validation in words."""
    place, text = tuple(found["loc"]), found["msg"]
    if found["type"] == "extra_forbidden":
        return place, "not a key that is known here"
    if found["type"] in ("model_type", "model_attributes_type"):
        return place, "should have keys and values, as data: {entities: FOLDER}"
    if found["type"] == "missing":
        return place, "is missing"
    if found["type"] == "string_pattern_mismatch":
        return place, f"{found['input']!r}: give letters, digits and . _ + - only"
    text = text.removeprefix("Value error, ").replace("Input should", "should")
    if not isinstance(found["input"], dict | list | None):
        text = f"{text}; found {found['input']!r}"
    return place, text


def _repeated_names(study: StudyFile) -> Iterator[tuple[Place, str]]:
    """Two runs with one name would share one folder."""
    seen: set[str] = set()
    for place, name in _names(study):
        # Folders of some file systems do not tell capitals.
        if name.lower() in seen:
            yield place, f"there are two runs {name!r}; give other labels or seeds"
        seen.add(name.lower())


def _names(study: StudyFile) -> Iterator[tuple[Place, str]]:
    for number, model in enumerate(study.models):
        yield ("models", number), model.name
    for number, grid in enumerate(study.pretrainings):
        for row, variant in enumerate(grid.variants):
            for seed in grid.seeds:
                place = ("pretrainings", number, "variants", row)
                yield place, run_name(variant.label, seed)


def _dotted(place: Place) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' * bool(text)}{part}"
    return text
