"""Changes of JSON (and YAML, override) inputs that keep their structure.

Changing bytes hardly ever makes a value that is well-formed and absurd. Here one value
of the input becomes each of those that break programs.
"""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

_DEEP = 3000
NUMBERS = (
    "0 -0 -1 1 2 0.5 -0.5 1e-320 1e38 1e39 1e308 1e400 -1e400 NaN Infinity -Infinity "
    "1601 65536 2147483647 2147483648 9223372036854775807 9223372036854775808 "
    f"1{'0' * 30} 1{'0' * 400} -1{'0' * 400} 1{'0' * 5000}"
).split()
_TEXTS = (
    *("", " ", "0", "-1", "1_0", " 1 ", "\u0663", "nan", "1e400", "true", "null"),
    *("1" * 5000, "\u00b2"),  # int() takes neither
    *("\ud800", "a\0b", "\x1b[2J", "\ufeff", "..", "../x", "/", "a/b", "a\nb", "CON"),
    *("{", "%s%n", "x" * 300, "x" * 70000, "\U0010ffff" * 40),
)
# As JSON text, since not all of it is the text of a value.
VALUES = (
    *("null", "true", "false", *NUMBERS, *map(json.dumps, _TEXTS)),
    *("[]", "{}", "[null]", "[[]]", "[0, 0]", "[{}]", '["a", 1]', "[true]", '[""]'),
    *('{"0": 0}', '{"a": null}', '{"a": 1, "a": 2}', '{"\\ud800": 1}', '{"": 1}'),
    *('{"0": 1e400}', f'{{"0": 1{"0" * 400}}}', '{"0": NaN}', '{"-1": 1}', '{"0": []}'),
    *("[" * _DEEP + "]" * _DEEP, '{"a":' * _DEEP + "1" + "}" * _DEEP),
)
_NAMES = ("", "\ud800", "a\0b", "/", "x" * 300, "-1")  # of fields
_MARK = "@changed@"


def parsed(content: bytes) -> tuple[str, Any] | None:
    """What stands before the JSON (an override's field), and the JSON's value."""
    text = content.decode(errors="replace")
    before, equals, after = text.partition("=")
    for start, rest in (("", text), (before + equals, after)):
        try:
            return start, json.loads(rest)
        except (ValueError, RecursionError):
            continue
    return None


def _places(
    value: Any, put: Callable[[Any], Any]
) -> Iterator[tuple[Any, Callable[[Any], Any]]]:
    """Every value in a value, and what makes the whole with another one there."""
    yield value, put
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _places(item, lambda new, k=key: put({**value, k: new}))
    if isinstance(value, list):
        for n, item in enumerate(value[:20]):
            yield from _places(
                item, lambda new, n=n: put([*value[:n], new, *value[n + 1 :]])
            )


def _one_value(start: str, put: Callable[[Any], Any], text: str) -> bytes:
    changed = json.dumps(put(_MARK)).replace(json.dumps(_MARK), text)
    return f"{start}{changed}".encode(errors="replace")


def _one_field(
    start: str, put: Callable[[Any], Any], fields: dict, name: str, other: str | None
) -> bytes:
    """Another name for a field; None leaves it out."""
    items = [(other if key == name else key, value) for key, value in fields.items()]
    changed = json.dumps(put({key: value for key, value in items if key is not None}))
    return f"{start}{changed}".encode(errors="replace")


def all_changes(content: bytes) -> Iterator[bytes]:
    """Every input with one value changed, left out or renamed, if it is JSON."""
    start, whole = parsed(content) or ("", None)
    for value, put in _places(whole, lambda new: new):
        for text in VALUES:
            yield _one_value(start, put, text)
        if isinstance(value, dict):
            for name in value:
                for other in (None, *_NAMES):
                    yield _one_field(start, put, value, name, other)


def changed(drawn: random.Random, content: bytes) -> bytes | None:
    """One of them, by chance; None if it is no JSON."""
    found = parsed(content)
    if found is None:
        return None
    start, whole = found
    value, put = drawn.choice(list(_places(whole, lambda new: new)))
    if value and isinstance(value, dict) and drawn.random() < 0.3:
        other = drawn.choice((None, *_NAMES))
        return _one_field(start, put, value, drawn.choice(list(value)), other)
    return _one_value(start, put, drawn.choice(VALUES))
