"""How every binary starts and ends: flags, clear errors, exit status."""

import re
import sys
from collections.abc import Callable, Sequence

from absl import app, flags, logging

from xabl.errors import UserError

INTERRUPTED = 130  # 128 + SIGINT, what a shell reports for Ctrl-C

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

    Exit status: 0 when `main` returns, 1 for a `UserError` or a package that is not
    installed (one message goes to standard error), 130 for Ctrl-C; anything else is a
    bug and keeps its trace.
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
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(1)
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


def _parse_flags(argv: Sequence[str]) -> list[str]:
    """Like absl's own parser, but a wrong flag costs one line, not a page."""
    try:
        return flags.FLAGS(list(argv))
    except flags.Error as error:
        absent = re.findall(r"^flag --(\w+)=None: .* other than None", str(error), re.M)
        problem = f"give --{', --'.join(absent)}" if absent else error
        print(f"error: {problem} (--help lists the flags)", file=sys.stderr)
        sys.exit(1)
