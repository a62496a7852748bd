"""Arguments of the functions of `import xabl`: checked, and called what people wrote.

Messages from below name settings as the command does: --limit. Whoever calls a function
reads limit=.
"""

import functools
import inspect
import numbers
import operator
import os
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xabl.ablation.asked import Struct, alternatives, parameters_of
from xabl.data.regions import ImageRegions
from xabl.errors import UserError, did_you_mean, from_system
from xabl.kinds import check_not_swapped, check_output_apart

_SWITCHES = {"overwrite", "resume", "skip_bad_examples"}
_WORDS = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
    types.NoneType: "None",
    Mapping: "a dictionary",
    Callable: "a function",
    ImageRegions: "an entry of xabl.regions(...)",
}


def checked(
    options: type[Struct] | None = None, without: Sequence[str] = (), **flags: str
) -> Callable[[Callable], Callable]:
    """For functions that people call: what is wrong is a `UserError` in their terms.

    An argument that is missing, misspelt, of another type, or a path that is to be
    another argument; and what the operating system refuses.

    Args:
        options: a struct whose fields become arguments, in place of `**options`.
        without: but for these.
        flags: what arguments are called in messages, where that is another name.
    """

    def decorate(function: Callable) -> Callable:
        signature = inspect.signature(function)
        if options is not None:
            known = dict(signature.parameters)
            known.pop("options")
            more = parameters_of(options)
            known |= {n: more[n] for n in more if n not in (*known, *without)}
            signature = signature.replace(parameters=list(known.values()))

        @functools.wraps(function)
        def wrapper(*given: Any, **named: Any) -> Any:
            try:
                arguments = _bound(function.__name__, signature, given, named)
                named_as_flags = {flags.get(n, n): v for n, v in arguments.items()}
                check_not_swapped(named_as_flags)
                check_output_apart(named_as_flags)
                return function(*given, **named)
            except UserError as error:
                error.args = (as_arguments(str(error), flags),)
                raise
            except OSError as error:
                raise from_system(error) from error

        wrapper.__signature__ = signature
        return wrapper

    return decorate


def as_arguments(message: str, flags: Mapping[str, str]) -> str:
    """A message with arguments in place of flags, but for those of a command.

    Args:
        flags: as `checked` takes them.
    """
    called = {flag: name for name, flag in flags.items()}

    def argument(match: re.Match[str]) -> str:
        flag, value = match.groups()
        if re.search(r"\bxabl [a-z]+ [^;]*$", message[: match.start()]):
            return match[0]
        if value is None and flag in _SWITCHES:
            value = "True"
        elif value and re.match(r"[A-Za-z./]", value) and value != "None":
            value = repr(value)
        is_told_of = value is None and re.match(":| is ", message[match.end() :])
        return called.get(flag, flag) + ("" if is_told_of else f"={value or ''}")

    return re.sub(r"(?<![\w/-])--([a-z]\w*)(?:=([^\s:;,()]+))?", argument, message)


def _bound(
    name: str, signature: inspect.Signature, given: Sequence, named: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments by name, those left out too.

    Raises:
        UserError: they are not those of the function.
    """
    known = signature.parameters
    for each in named:
        if each not in known:
            hint = did_you_mean(each, [n for n in known if n != "self"])
            raise UserError(f"{name} has no argument {each}={hint}")
    positional = [n for n, p in known.items() if p.kind is not p.KEYWORD_ONLY]
    if len(given) > len(positional):
        shown = ", ".join(n for n in positional if n != "self") or "nothing"
        raise UserError(
            f"{name} takes {shown} without a name, and no more; write "
            f"name=value for {given[len(positional)]!r:.80}"
        )
    absent = [
        each
        for each, parameter in known.items()
        if parameter.default is parameter.empty
        and each not in (*positional[: len(given)], *named)
    ]
    if absent:
        raise UserError(f"{name} needs {', '.join(f'{each}=' for each in absent)}")
    try:
        bound = signature.bind(*given, **named)
    except TypeError as error:  # one twice
        raise UserError(f"{name}: {error}") from error
    for each, value in bound.arguments.items():
        hint = known[each].annotation
        if not _fits(value, hint):
            expected = f"expected {_in_words(hint)}"
            if any(_fits([value], one) for one in alternatives(hint)):
                expected = f"give a list: {each}=[{value!r}]"
            raise UserError(f"{each}={value!r:.80}: {expected}")
    bound.apply_defaults()
    return bound.arguments


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type; true of types that are not looked at here."""
    if len(kinds := alternatives(hint)) > 1:
        return any(_fits(value, each) for each in kinds)
    origin, arguments = typing.get_origin(hint) or hint, typing.get_args(hint)
    if hint is bool:
        return isinstance(value, bool | np.bool_)
    if hint is int:
        return _is_whole(value)
    if hint is float:
        return isinstance(value, numbers.Real) and not isinstance(value, bool)
    if hint is Path:
        return isinstance(value, str | os.PathLike)
    if origin is Sequence:
        if isinstance(value, str | bytes | Mapping) or not np.iterable(value):
            return isinstance(value, str) and arguments == (str,)
        return all(_fits(each, arguments[0]) for each in value)
    if origin is Callable:
        return callable(value)
    if origin in _WORDS or getattr(origin, "__module__", "").startswith("xabl."):
        return isinstance(value, origin)
    return True


def _is_whole(value: Any) -> bool:
    try:
        operator.index(value)
    except TypeError:
        return False
    return not isinstance(value, bool)


def _in_words(hint: Any) -> str:
    kinds = alternatives(hint)
    if Path in kinds:
        kinds = [each for each in kinds if each is not str]
    words = [
        f"a list of {_in_words(typing.get_args(each)[0])}s"
        if typing.get_origin(each) is Sequence
        else _WORDS.get(typing.get_origin(each) or each) or f"a {each.__name__}"
        for each in kinds
    ]
    return " or ".join(words)
