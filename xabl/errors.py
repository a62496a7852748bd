"""The one exception a user is meant to see, and checks of settings that raise it."""

import contextlib
import difflib
import errno
import math
import numbers
from collections.abc import Collection, Iterator, Sequence

# What to do about it, where the system's own words do not say.
_CURES = {
    errno.EACCES: "ask for permission, or give another path",
    errno.EPERM: "ask for permission, or give another path",
    errno.ENOENT: "correct the path",
    errno.ENAMETOOLONG: "give a shorter one",
    errno.ENOSPC: "make room, or choose another output",
    errno.EDQUOT: "make room, or choose another output",
    errno.EROFS: "choose a path that can be written",
    errno.EIO: "the disk fails: copy what is on it, and give another path",
}
_LONGEST = 2000  # characters of a line: what a file holds may be quoted in it


class UserError(Exception):
    """Something outside the program is wrong: a file, a flag, a value.

    The message names the thing (file, line, flag) and the cure. Binaries print it
    without a stack trace and exit with status 1 (`xabl.support.binary.run`). What
    nobody would see in it, as a byte order mark in a name, is shown escaped, and of
    a line that nobody would read the middle is left out.
    """

    def __str__(self) -> str:
        lines = visible(super().__str__()).split("\n")
        return "\n".join(map(_shortened, lines))


def _shortened(line: str) -> str:
    if len(line) <= _LONGEST:
        return line
    return f"{line[: _LONGEST // 2]} ... {line[-_LONGEST // 2 :]}"


def visible(text: str) -> str:
    """The text with characters that do not show, but for line ends, escaped."""
    return "".join(
        character
        if character.isprintable() or character == "\n"
        else ascii(character)[1:-1]
        for character in text
    )


def from_system(
    error: OSError, path: object = None, failed: str | None = None
) -> UserError:
    """What the operating system refused, with file and cure.

    Args:
        path: what was being used, for errors that do not name a file themselves.
        failed: what could not be done with it, such as "cannot be read".
    """
    where = path if error.filename is None else error.filename
    what = error.strerror or str(error) or type(error).__name__
    parts = [str(where)[:200] if where is not None else None, failed, what]
    message = ": ".join(part for part in parts if part)
    cure = _CURES.get(error.errno)
    return UserError(f"{message}; {cure}" if cure else message)


def reason(error: Exception) -> str:
    """What an exception says; the system's words without their number."""
    return getattr(error, "strerror", None) or str(error)


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Makes what the operating system refuses in the block a `UserError`.

    For functions that people call; a command does the same for all it runs.
    """
    try:
        yield
    except OSError as error:
        raise from_system(error) from error


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """The most similar known name as a question, or nothing."""
    similar = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    return f"; did you mean {similar[0]}?" if similar else ""


def check_choice(name: str, value: object, allowed: Collection) -> None:
    """Raises a UserError unless a setting has one of the allowed values."""
    if value not in allowed:
        choices = ", ".join(map(str, allowed))
        raise UserError(f"{name} is {value!r}, expected one of {choices}")


def check_range(
    name: str, value: int | float, lowest: int | float, highest: int | float = math.inf
) -> None:
    """Raises a UserError unless a setting is a number in a range, ends included."""
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not lowest <= value <= highest:
        expected = f"expected {lowest} to {highest}"
        if highest == math.inf:
            expected = f"at least {lowest} is needed"
        raise UserError(f"{name} is {value!r}, {expected}")
