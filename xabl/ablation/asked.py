"""What people ask of an ablation, by the names that `xabl ablate` has for it.

The command's flags and the arguments of `import xabl` are the same words; here they
become options, once.
"""

import dataclasses
import enum
import functools
import inspect
import operator
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from xabl.ablation.engine.device_loop import Options
from xabl.ablation.input_files import InputFiles
from xabl.ablation.run import RunOptions
from xabl.errors import UserError

# Fields with other names than what is asked.
_ASKED = {
    "vocabulary": "vocab",
    "top": "save_predictions",
    "seed": "model_seed",
    "on_mismatch": "mismatch",
}

Struct = TypeVar("Struct")


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


def made_of(kind: type[Struct], asked: Mapping[str, Any], **rest: Any) -> Struct:
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
            values[field.name] = _value(name, asked[name], field.type)
    return kind(**values)


def parameters_of(kind: type) -> dict[str, inspect.Parameter]:
    """What can be asked of a struct, `files` among its fields included, by name."""
    found = {}
    for field in dataclasses.fields(kind):
        if field.name == "files":
            found |= parameters_of(InputFiles)
            continue
        name = _ASKED.get(field.name, field.name)
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        elif default is dataclasses.MISSING:
            default = inspect.Parameter.empty
        found[name] = inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=default,
            annotation=_as_given(field.type),
        )
    return found


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)


def _as_given(hint: Any) -> Any:
    """The type of what people give for a field: texts, and lists of any kind."""
    if len(alternatives := _alternatives(hint)) > 1:
        return functools.reduce(operator.or_, map(_as_given, alternatives))
    if typing.get_origin(hint) is tuple:
        return Sequence[_as_given(typing.get_args(hint)[0])]
    if hint is Path:
        return Path | str
    is_choice = isinstance(hint, type) and issubclass(hint, enum.Enum)
    return str if is_choice else hint


def _value(name: str, given: Any, hint: Any) -> Any:
    """What is given, as the field has it."""
    kind = _alternatives(hint)[0]
    if given is None:
        return None
    if typing.get_origin(kind) is not tuple:
        return _parsed(name, kind, given)
    each = (given,) if isinstance(given, str) else given
    return tuple(_parsed(name, typing.get_args(kind)[0], one) for one in each)


def _parsed(name: str, kind: Any, given: Any) -> Any:
    is_choice = isinstance(kind, type) and issubclass(kind, enum.Enum)
    if not is_choice and kind not in (Path, float):
        return given
    try:
        return kind(given)
    except ValueError as error:
        expected = " or ".join(kind) if is_choice else "a number"
        raise UserError(f"--{name}: {given!r} is not {expected}") from error
