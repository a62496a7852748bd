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
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from xabl.errors import UserError

Struct = TypeVar("Struct")


def made_of(kind: type[Struct], asked: Mapping[str, Any], **rest: Any) -> Struct:
    """A struct with what is asked of it and of the structs in it.

    Args:
        asked: by the name of a flag; what is left out has the flag's default. Texts as
            on the command line, or the values themselves; other flags are ignored.
        rest: fields by their own names.

    Raises:
        UserError: a value is none of those that a flag may have.
    """
    values = dict(rest)
    for field in dataclasses.fields(kind):
        if field.name in rest:
            continue
        if dataclasses.is_dataclass(field.type):
            values[field.name] = made_of(field.type, asked)
        elif field.metadata:
            name = name_of(field)
            given = asked[name] if name in asked else default_of(field)
            values[field.name] = _value(name, given, field.type)
    return kind(**values)


def options_of(kind: type) -> Iterator[dataclasses.Field]:
    """The fields of a struct, and of the structs in it, that people are asked for."""
    for field in dataclasses.fields(kind):
        if dataclasses.is_dataclass(field.type):
            yield from options_of(field.type)
        elif field.metadata:
            yield field


def name_of(field: dataclasses.Field) -> str:
    """Of the flag and the argument."""
    return field.metadata.get("name") or field.name


def default_of(field: dataclasses.Field) -> Any:
    """Of the flag and the argument; `dataclasses.MISSING`: there is none."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    asked = field.metadata["asked"]
    return field.default if asked is None else asked


def choices_of(field: dataclasses.Field) -> Sequence[str]:
    """What may be given for it; empty: anything of its type."""
    kind = alternatives(field.type)[0]
    return list(kind) if _is_choice(kind) else field.metadata["choices"]


def parameters_of(kind: type) -> dict[str, inspect.Parameter]:
    """What can be asked of a struct, as arguments, by name."""
    found = {}
    for field in options_of(kind):
        default = default_of(field)
        if default is dataclasses.MISSING:
            default = inspect.Parameter.empty
        found[name_of(field)] = inspect.Parameter(
            name_of(field),
            inspect.Parameter.KEYWORD_ONLY,
            default=default.value if isinstance(default, enum.Enum) else default,
            annotation=_as_given(field.type),
        )
    return found


def alternatives(hint: Any) -> tuple[Any, ...]:
    """The types that a union allows; of another type itself."""
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return typing.get_args(hint) if is_union else (hint,)


def _as_given(hint: Any) -> Any:
    """The type of what people give for a field: texts, and lists of any kind."""
    if len(kinds := alternatives(hint)) > 1:
        return functools.reduce(operator.or_, map(_as_given, kinds))
    if typing.get_origin(hint) is tuple:
        return Sequence[_as_given(typing.get_args(hint)[0])]
    if hint is Path:
        return Path | str
    return str if _is_choice(hint) else hint


def _is_choice(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, enum.Enum)


def _value(name: str, given: Any, hint: Any) -> Any:
    """What is given, as the field has it."""
    kind = alternatives(hint)[0]
    if given is None:
        return None
    if typing.get_origin(kind) is not tuple:
        return _parsed(name, kind, given)
    each = (given,) if isinstance(given, str) else given
    return tuple(_parsed(name, typing.get_args(kind)[0], one) for one in each)


def _parsed(name: str, kind: Any, given: Any) -> Any:
    if not _is_choice(kind) and kind not in (Path, float):
        return given
    try:
        return kind(given)
    except ValueError as error:
        expected = " or ".join(kind) if _is_choice(kind) else "a number"
        raise UserError(f"--{name}: {given!r} is not {expected}") from error
