"""The one exception a user is meant to see, and checks of settings that raise it."""

import contextlib
import difflib
import errno
import math
import numbers
import os
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
    # A network share went away.
    **dict.fromkeys(
        (errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN),
        "mount the network share again, and give the same command",
    ),
}
# What a file may do that was opened well: then nothing is wrong with what it holds.
_GONE = (errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN)
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


class DiskFails(UserError):
    """A disk or a network share does, while a file on it is read.

    Nothing is known of what the file holds: it is not left out as a damaged one may be,
    and another attempt may succeed.
    """


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


@contextlib.contextmanager
def naming(path: object) -> Iterator[None]:
    """Names the file whose disk or network share fails while it is read in the block.

    The system names a file that it does not open, but not one that it does not read;
    and libraries take such a file for a damaged one: zipfile calls it no zip file.

    Raises:
        DiskFails: the disk or share of `path` does.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        failed = _of_the_disk(error)
        if failed is None:
            raise
        raise DiskFails(from_system(failed, path, "cannot be read")) from error


def _of_the_disk(error: BaseException) -> OSError | None:
    """What a disk said, also where a library raised its own error from it."""
    cause: BaseException | None = error
    while cause is not None:
        for number in _GONE:
            # Libraries that are not written in Python have it in their text alone.
            if getattr(cause, "errno", None) == number or (
                os.strerror(number) in str(cause)
            ):
                return OSError(number, os.strerror(number))
        cause = cause.__cause__ or cause.__context__
    return None


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """The most similar known name as a question, or nothing."""
    similar = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    return f"; did you mean {similar[0]}?" if similar else ""


def check_choice(name: str, value: object, allowed: Collection) -> None:
    """Raises a UserError unless a setting has one of the allowed values."""
    if value not in allowed:
        choices = ", ".join(map(str, allowed))
        raise UserError(f"{name} is {value!r}, expected one of {choices}")


def check_shows(name: str, value: str) -> None:
    """Raises a UserError unless all of a name shows, in one line of a table."""
    if not value.strip() or not value.isprintable():
        raise UserError(
            f"{name} is {value!r}: a name is one line, without tabs and other "
            "characters that do not show"
        )


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
