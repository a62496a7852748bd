"""How every binary starts and ends: flags, clear errors, exit status."""

import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from absl import app, flags, logging

from xabl.errors import UserError, from_system

INTERRUPTED = 130  # 128 + SIGINT, what a shell reports for Ctrl-C
PIPE_CLOSED = 141  # 128 + SIGPIPE, likewise

# What to install where a package is missing: the extras of setup.cfg, by the names
# the packages are imported by. "" is what every binary needs.
_EXTRAS = {
    "": (
        "flax h5py jax jaxlib jaxtyping lmdb ml_dtypes numpy orbax pyarrow safetensors "
        "tokenizers tqdm"
    ),
    "pretraining": (
        "array_record grain importlib_resources msgpack optax tensorboardX "
        "tensorflow_datasets"
    ),
    "analysis": "jinja2 matplotlib pandas PIL scipy",
    "tagger": "stanza",
}
EXTRA_OF = {name: extra for extra, names in _EXTRAS.items() for name in names.split()}


def run(main: Callable[[], None]) -> None:
    """Parses the flags, runs `main` and exits.

    Exit status: 0 when `main` returns, 1 for a `UserError`, a package that is not
    installed, or what the system refuses (one message goes to standard error), 130 for
    Ctrl-C, 141 when nobody reads the output any more; anything else is a bug and keeps
    its trace.
    """

    def guarded(argv: Sequence[str]) -> None:
        if len(argv) > 1:
            print(
                f"error: unexpected argument {argv[1]!r}; flags are written "
                "--name=value (--help lists them)",
                file=sys.stderr,
            )
            sys.exit(1)
        if not flags.FLAGS["verbosity"].present:
            # Libraries report every file they open, and pages about errors that they
            # raise as well; what a user has to know is said once, by us.
            logging.set_verbosity(logging.FATAL)
        try:
            main()
            sys.stdout.flush()
        except UserError as error:
            _fail(error)
        except BrokenPipeError:
            # Who read the output has gone (`| head`): nobody is left to be told. Python
            # would try to write the rest once more at its exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(PIPE_CLOSED)
        except OSError as error:  # a file that cannot be entered, a disk that fails
            _fail(from_system(error))
        except RuntimeError as error:
            if "Unable to initialize backend" not in str(error):
                raise
            _fail(no_platform(error))
        except ModuleNotFoundError as error:
            if error.name not in EXTRA_OF:
                raise  # a module of our own, or one we do not know to be missing
            extra = EXTRA_OF[error.name]
            print(
                f"error: the package {error.name} is not installed; install what this "
                f"needs with: pip install -e '.{f'[{extra}]' if extra else ''}'",
                file=sys.stderr,
            )
            sys.exit(1)
        except KeyboardInterrupt:
            print("interrupted; what was finished before is kept", file=sys.stderr)
            sys.exit(INTERRUPTED)

    app.run(guarded, flags_parser=_parse_flags)


def _fail(error: UserError) -> NoReturn:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(1)


def no_platform(error: RuntimeError) -> UserError:
    """Says that JAX has no such platform as the user asked it for."""
    asked = os.environ.get("JAX_PLATFORMS", "")
    return UserError(
        f"JAX_PLATFORMS={asked}: no such platform here "
        f"({str(error).splitlines()[0][:200]}); unset it, or set it to cpu"
    )


def _parse_flags(argv: Sequence[str]) -> list[str]:
    """Like absl's own parser, but a wrong flag costs one line, not a page."""
    try:
        return flags.FLAGS(list(argv))
    except flags.Error as error:
        absent = re.findall(r"^flag --(\w+)=None: .* other than None", str(error), re.M)
        problem = f"give --{', --'.join(absent)}" if absent else error
        print(f"error: {problem} (--help lists the flags)", file=sys.stderr)
        sys.exit(1)
