"""The one exception a user is meant to see."""


class UserError(Exception):
    """Something outside the program is wrong: a file, a flag, a value.

    The message names the thing (file, line, flag) and the cure. Binaries print it
    without a stack trace and exit with status 1 (`xabl.support.binary.run`).
    """
