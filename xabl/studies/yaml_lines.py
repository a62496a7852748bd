"""A YAML file, and the line of every part of it, for messages."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from xabl.errors import UserError
from xabl.support.files import read_bytes

# A place in a file: keys and positions from the top.
Place = tuple[str | int, ...]


class Lines:
    """The line on which every part of a file begins."""

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


def read_yaml(path: Path) -> tuple[Any, Lines]:
    """The values in a file, and their lines.

    Raises:
        UserError: it is not YAML, has a key twice or one that is not text.
        OSError: it cannot be read.
    """
    content, lines = read_bytes(path), Lines(path)
    line = 0
    try:
        loader = _Loader(content.decode("utf-8-sig"))
        try:
            node = loader.get_single_node()
            problems = list(_located(node, (), lines)) if node is not None else []
            if problems:
                raise lines.error(problems)
            value = None if node is None else loader.construct_document(node)
            return value, lines
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line, problem = _said(error)
    except yaml.reader.ReaderError as error:
        line = 1 + content.decode("utf-8-sig")[: error.position].count("\n")
        problem = f"has a character that YAML does not allow ({error.character:#x})"
    except UnicodeDecodeError as error:
        line = 1 + content[: error.start].count(b"\n")
        problem = f"is not UTF-8 ({error.reason})"
    except RecursionError:
        line, problem = 1, "is nested too deeply"
    raise UserError(f"{path}:{line}: {problem}")


class _Loader(yaml.SafeLoader):
    """Says where a value is that is not what its look or tag promises."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError) as error:  # the 99th of a month
            raise yaml.MarkedYAMLError(
                problem=str(error), problem_mark=node.start_mark
            ) from error


def _said(error: yaml.MarkedYAMLError) -> tuple[int, str]:
    """The line of a problem, and what it is, with where its context began."""
    mark = error.problem_mark or error.context_mark
    text = error.problem or error.context
    if error.context and error.problem:
        begun = error.context_mark
        since = f" of line {begun.line + 1}" if begun else ""
        text = f"{error.context}{since}: {text}"
    return mark.line + 1, text


_KEYS = {"tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"}


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
            inner = (*place, str(key.value))
            if key.tag not in _KEYS:
                lines.add(inner, key)
                yield inner, "is no key: those are text"
                continue
            if key.value in seen:
                yield inner, f"is given twice, first on line {seen[key.value]}"
            seen.setdefault(key.value, key.start_mark.line + 1)
            yield from _located(value, inner, lines, above)
            lines.add(inner, key)


def _dotted(place: Place) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' * bool(text)}{part}"
    return text
