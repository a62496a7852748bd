"""What people ask of an ablation, by the names that `xabl ablate` has for it.

The command's flags and the arguments of `import xabl` are the same words; here they
become options, once.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from xabl.ablation.engine.device_loop import Options
from xabl.ablation.engine.device_regions import ImageToken
from xabl.ablation.engine.scorer import Precision
from xabl.ablation.examples import VlBertPositions
from xabl.ablation.input_files import InputFiles
from xabl.ablation.mismatch.findings import OnMismatch
from xabl.ablation.run import RunOptions
from xabl.errors import UserError
from xabl.results.directions import Direction

_PATHS = (
    "model",
    "entities",
    "regions",
    "vocab",
    "gold_labels",
    "class_names",
    "attribute_names",
    "images",
    "output",
)
_KINDS = {
    **dict.fromkeys(_PATHS, Path),
    "vlbert_positions": VlBertPositions,
    "precision": Precision,
    "image_token": ImageToken,
    "mismatch": OnMismatch,
}
_LISTS = {"directions": Direction, "thresholds": float, "replace": str}
# Fields with other names than what is asked.
_ASKED = {
    "vocabulary": "vocab",
    "top": "save_predictions",
    "seed": "model_seed",
    "on_mismatch": "mismatch",
}

_Struct = TypeVar("_Struct")


def run_options(asked: Mapping[str, Any], **rest: Any) -> RunOptions:
    """The options of one run.

    Args:
        asked: by the name of a flag; what is left out has its default. Texts as on the
            command line, or the values themselves; flags of other things are ignored.
        rest: fields of `RunOptions` that have no flag.

    Raises:
        UserError: a value is none of those that a flag may have.
    """
    evaluation = made_of(Options, asked)
    return made_of(RunOptions, asked, evaluation=evaluation, **rest)


def made_of(kind: type[_Struct], asked: Mapping[str, Any], **rest: Any) -> _Struct:
    """A struct with the fields that are asked for; `files`, where it has them, too.

    Raises:
        UserError: as `run_options`.
    """
    values = dict(rest)
    for field in dataclasses.fields(kind):
        name = _ASKED.get(field.name, field.name)
        if field.name == "files":
            values["files"] = made_of(InputFiles, asked)
        elif name in asked and field.name not in rest:
            values[field.name] = _value(name, asked[name])
    return kind(**values)


def names_of(kind: type) -> set[str]:
    """What can be asked of a struct, `files` among its fields included."""
    fields = {field.name for field in dataclasses.fields(kind)}
    names = {_ASKED.get(name, name) for name in fields - {"files"}}
    return names | (names_of(InputFiles) if "files" in fields else set())


def _value(name: str, given: Any) -> Any:
    if given is None:
        return None
    if name not in _LISTS:
        return _parsed(name, _KINDS[name], given) if name in _KINDS else given
    each = (given,) if isinstance(given, str) else given
    return tuple(_parsed(name, _LISTS[name], one) for one in each)


def _parsed(name: str, kind: type, given: Any) -> Any:
    try:
        return kind(given)
    except ValueError as error:
        expected = "a number" if kind is float else " or ".join(kind)
        raise UserError(f"--{name}: {given!r} is not {expected}") from error
