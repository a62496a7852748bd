"""Reads untrusted pickles without running anything in them.

A pickle is a program: it names functions and calls them. Published checkpoints and
region features are pickles, so they are read here with an allow-list: every name in
the file is looked up among inert stand-ins, and any other name is refused. Nothing is
imported and no attribute is set. The file is scanned first, so that wrong lengths, deep
nesting and exploding repetition never reach memory.
"""

import io
import math
import pickle
import pickletools
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from xabl.errors import UserError

MAX_BYTES = 64 * 2**20  # a region record is 1 MB, a checkpoint's pickle less
MAX_DEPTH = 64
MAX_OBJECTS = 5_000_000  # counted as a tree: a value met twice counts twice
MAX_BITS = 128  # of an integer; those that no float holds break who compares them

# Extension codes resolve through a registry of the process, not through a name.
_REFUSED_OPCODES = frozenset({"EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER"})
# These put their arguments into the container below them on the stack.
_FILLING_OPCODES = frozenset(
    {"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"}
)


class StandIn:
    """A callable for a name in a pickle: does what `function` does, and only that.

    `function` must not run, import or open anything, whatever its arguments.
    """

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("state given to a function")


class Opaque:
    """Takes the place of an object of an unknown class; keeps nothing of it.

    `opaque` makes one subclass per name, `pickled_name` is that name.
    """

    __slots__ = ()
    pickled_name = ""

    def __new__(cls, *args: Any, **kwargs: Any) -> "Opaque":
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, item: Any) -> None:
        pass

    def extend(self, items: Any) -> None:
        pass

    def add(self, item: Any) -> None:
        pass


def opaque(name: str) -> type[Opaque]:
    """For `load(unknown=opaque)`: unknown classes become inert placeholders."""
    return type("Opaque", (Opaque,), {"__slots__": (), "pickled_name": name})


def load(data: Any, **options: Any) -> Any:
    """The one value pickled in `data`; the options are those of `load_next`."""
    return load_next(data, **options)[0]


def load_next(
    data: Any,
    *,
    source: str,
    names: Mapping[str, Any],
    persistent_load: Callable[[Any], Any] | None = None,
    unknown: Callable[[str], Any] | None = None,
    offset: int = 0,
    max_bytes: int = MAX_BYTES,
) -> tuple[Any, int]:
    """Reads the pickle that starts at `offset` of a bytes-like object.

    Args:
        source: what messages call it: a file, or a record in a file.
        names: stand-ins by "module.name", for instance `NUMPY_NAMES`.
        persistent_load: as in `pickle.Unpickler`; absent, references are refused.
        unknown: what stands in for a name that is not in `names`; absent, the name
            is refused.
        max_bytes: longest pickle accepted.

    Returns:
        The value, and the offset just after it.

    Raises:
        UserError: a refused name, a pickle that is cut or damaged, or one beyond the
            limits.
    """
    with memoryview(data) as view:
        window = io.BytesIO(view[offset : offset + max_bytes])
        cut = len(view) > offset + max_bytes
    try:
        _scan(window)
        end = window.tell()
        window.seek(0)
        value = _Unpickler(window, source, names, persistent_load, unknown).load()
        return _resolved(value, {}, MAX_DEPTH), offset + end
    except UserError:
        raise
    except _Refusal as error:
        raise UserError(
            f"{source}: refused: {error}; nothing of the file was executed. Only data "
            "is read from it, so either the file is not what it should be or it "
            "should not be trusted"
        ) from error
    except Exception as error:  # the unpickler raises nearly every built-in exception
        reason = f"longer than {max_bytes} bytes" if cut else str(error)[:200]
        raise UserError(
            f"{source}: not a readable pickle ({reason}); the file is cut, damaged or "
            "of another kind: compare its size and hash with the publisher's and "
            "fetch it again"
        ) from error


class _Refusal(Exception):
    """The pickle is well formed and asks for something that is not allowed."""


class _Unpickler(pickle.Unpickler):
    def __init__(
        self,
        stream: io.BytesIO,
        source: str,
        names: Mapping[str, Any],
        persistent: Callable[[Any], Any] | None,
        unknown: Callable[[str], Any] | None,
    ) -> None:
        # latin1: strings written by Python 2 hold the bytes of numpy arrays.
        super().__init__(stream, encoding="latin1")
        self._source = source
        self._names = names
        self._persistent = persistent
        self._unknown = unknown

    def find_class(self, module: str, name: str) -> Any:
        full_name = f"{module}.{name}"
        if full_name in self._names:
            return self._names[full_name]
        if self._unknown is not None:
            return self._unknown(full_name)
        raise _Refusal(f"the pickle asks for {full_name[:200]!r}")

    def persistent_load(self, pid: Any) -> Any:
        if self._persistent is None:
            raise _Refusal("the pickle refers to data outside itself")
        return self._persistent(pid)


def _scan(stream: io.BytesIO) -> None:
    """Walks the opcodes up to STOP, enforcing the limits on depth and size.

    Every stack entry is (depth, objects) of the tree below it; None is a mark.
    Hashing a dictionary's key walks that tree in C, without a limit of its own.
    """
    stack: list[tuple[int, int] | None] = []
    memo: dict[int, tuple[int, int]] = {}
    for opcode, argument, _ in pickletools.genops(stream):
        name = opcode.name
        if name in _REFUSED_OPCODES:
            raise _Refusal(f"the pickle uses the operation {name}")
        if isinstance(argument, int) and argument.bit_length() > MAX_BITS:
            raise ValueError(f"an integer of {argument.bit_length()} bits")
        if name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            index = len(memo) if argument is None else int(argument)
            # The unpickler allocates up to the highest index.
            if index > len(memo) + 1024:
                raise ValueError(f"memo index {index} out of range")
            memo[index] = _tree(stack[-1])
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[int(argument)])
        else:
            taken = _pop(stack, opcode)
            depth = max((child[0] + 1 for child in taken), default=0)
            if name in _FILLING_OPCODES:
                inner = max((child[0] + 1 for child in taken[1:]), default=0)
                depth = max(taken[0][0], inner)
            objects = 1 + sum(child[1] for child in taken)
            if depth > MAX_DEPTH:
                raise ValueError(f"nested deeper than {MAX_DEPTH}")
            if objects > MAX_OBJECTS:
                raise ValueError(f"more than {MAX_OBJECTS} objects")
            for kind in opcode.stack_after:
                mark = kind is pickletools.markobject
                stack.append(None if mark else (depth, objects))


def _pop(stack: list[tuple[int, int] | None], opcode: Any) -> list[tuple[int, int]]:
    """Takes the arguments of one operation off the stack, marks left out."""
    before = opcode.stack_before
    if opcode.name == "POP" and stack and stack[-1] is None:
        stack.pop()
        return []
    if pickletools.markobject not in before:
        count = len(before)
        if count > len(stack):
            raise ValueError("stack underflow")
        taken = stack[len(stack) - count :]
        del stack[len(stack) - count :]
        return [_tree(entry) for entry in taken]
    mark = len(stack) - 1
    while mark >= 0 and stack[mark] is not None:
        mark -= 1
    start = mark - before.index(pickletools.markobject)
    if mark < 0 or start < 0:
        raise ValueError("stack underflow")
    taken = [_tree(entry) for entry in stack[start:mark] + stack[mark + 1 :]]
    del stack[start:]
    return taken


def _tree(entry: tuple[int, int] | None) -> tuple[int, int]:
    if entry is None:
        raise ValueError("unexpected mark")
    return entry


# ---- Stand-ins for what numpy arrays and scalars are pickled with ----


class Dictionary(dict):
    """An `OrderedDict` of the file, without the attributes it may come with."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        pass


_PLAIN_TYPE = re.compile(r"[<>|=]?([biuf](1|2|4|8)|[SU][0-9]{1,6})")


class _DType:
    """`numpy.dtype(...)`, which gets its byte order afterwards as state."""

    __slots__ = ("_code", "_order")

    def __init__(self, code: Any, *flags: Any) -> None:
        self._code = code
        self._order = "="

    def __setstate__(self, state: Any) -> None:
        self._order = state[1]

    def resolve(self) -> np.dtype:
        if not (isinstance(self._code, str) and _PLAIN_TYPE.fullmatch(self._code)):
            raise _Refusal(
                f"an array of type {self._code!r:.100}; only numbers and text are read"
            )
        if self._order not in ("<", ">", "|", "="):
            raise ValueError("damaged array type")
        return np.dtype(self._code).newbyteorder(self._order)


class _Array:
    """An array under construction: made empty, its content follows as state."""

    __slots__ = ("_state",)

    def __init__(self, *args: Any) -> None:
        self._state: Any = None

    def __setstate__(self, state: Any) -> None:
        self._state = state

    def resolve(self) -> np.ndarray:
        _version, shape, dtype, fortran, content = self._state
        return _array(content, dtype, shape, "F" if fortran else "C")


def _array(content: Any, dtype: Any, shape: Any, order: Any = "C") -> np.ndarray:
    """An array over the bytes of the pickle, without a copy (and read-only)."""
    if not isinstance(dtype, _DType):
        raise ValueError("an array without a type")
    if isinstance(content, str):  # written by Python 2
        content = content.encode("latin1")
    if not isinstance(content, (bytes, bytearray)):
        raise _Refusal("an array of Python objects; only numbers and text are read")
    kind = dtype.resolve()
    if not isinstance(shape, tuple) or not all(
        isinstance(size, int) and size >= 0 for size in shape
    ):
        raise ValueError("damaged array shape")
    if math.prod(shape) * kind.itemsize != len(content):
        raise ValueError(
            f"an array of shape {shape[:8]} and type {kind} holds {len(content)} bytes"
        )
    return np.frombuffer(content, kind).reshape(shape, order=order)


def _scalar(dtype: Any, content: Any) -> Any:
    return _array(content, dtype, (1,))[0]


def _encode(text: Any, encoding: Any) -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise ValueError("damaged bytes")
    return text.encode("latin1")


def _bytes(*content: Any) -> bytes:
    if content and not isinstance(content[0], (bytes, bytearray)):
        raise ValueError("damaged bytes")
    return bytes(*content[:1])


def _not_called(*args: Any) -> Any:
    raise ValueError("a type used as a function")


def _numpy_names() -> dict[str, Any]:
    names: dict[str, Any] = {
        "_codecs.encode": StandIn(_encode),
        "collections.OrderedDict": Dictionary,
        "numpy.dtype": StandIn(_DType),
        "numpy.ndarray": StandIn(_not_called),
    }
    for builtins in ("builtins", "__builtin__"):
        names[f"{builtins}.bytes"] = StandIn(_bytes)
        names[f"{builtins}.bytearray"] = StandIn(_bytes)
    for core in ("numpy.core", "numpy._core"):  # before and since numpy 2
        names[f"{core}.multiarray._reconstruct"] = StandIn(_Array)
        names[f"{core}.multiarray.scalar"] = StandIn(_scalar)
        names[f"{core}.numeric._frombuffer"] = StandIn(_array)
    return names


NUMPY_NAMES: Mapping[str, Any] = _numpy_names()


def _resolved(value: Any, seen: dict[int, Any], depth: int) -> Any:
    """`value` with arrays in place of arrays under construction."""
    if isinstance(value, _Array):
        return value.resolve()
    if not isinstance(value, (dict, list, tuple)):
        return value
    if depth == 0:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    if id(value) not in seen:
        # The value is kept beside its result, so that its id stays its own.
        if isinstance(value, dict):
            result: Any = type(value)(
                (key, _resolved(item, seen, depth - 1)) for key, item in value.items()
            )
        else:
            result = type(value)(_resolved(item, seen, depth - 1) for item in value)
        seen[id(value)] = (value, result)
    return seen[id(value)][1]
