"""The one exception a user is meant to see, and checks of settings that raise it."""

import math
from collections.abc import Collection


class UserError(Exception):
    """Something outside the program is wrong: a file, a flag, a value.

    The message names the thing (file, line, flag) and the cure. Binaries print it
    without a stack trace and exit with status 1 (`xabl.support.binary.run`).
    """


def check_choice(name: str, value: object, allowed: Collection) -> None:
    """Raises a UserError unless a setting has one of the allowed values."""
    if value not in allowed:
        choices = ", ".join(map(str, allowed))
        raise UserError(f"{name} is {value!r}, expected one of {choices}")


def check_range(
    name: str, value: int | float, lowest: int | float, highest: int | float = math.inf
) -> None:
    """Raises a UserError unless a setting lies in a range, ends included."""
    if not lowest <= value <= highest:
        expected = f"expected {lowest} to {highest}"
        if highest == math.inf:
            expected = f"at least {lowest} is needed"
        raise UserError(f"{name} is {value}, {expected}")
