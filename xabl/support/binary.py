"""How every command starts and ends: flags, help, clear errors, exit status."""

import inspect
import itertools
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import app, flags, logging

from xabl.errors import UserError, did_you_mean, from_system, visible
from xabl.support.extras import EXTRA_OF, installing

INTERRUPTED = 130  # 128 + SIGINT, what a shell reports for Ctrl-C
PIPE_CLOSED = 141  # 128 + SIGPIPE, likewise

_HELP = ("--help", "-help", "-h", "--helpshort", "-?")
_WIDEST, _NARROWEST = 88, 20  # columns of the help, whatever the terminal has


def run(
    main: Callable[[], None],
    *,
    define_flags: Callable[[], None] | None = None,
    argv: Sequence[str] | None = None,
    positional: str | None = None,
    check: Callable[[Mapping[str, Any]], None] | None = None,
) -> None:
    """Parses the flags, runs `main` and exits.

    The docstring and the flags of the module of `main` are what --help shows.

    Args:
        main: what the command does.
        define_flags: defines its flags, if importing its module has not: so two
            commands can be imported into one process though both have, say, --output.
        argv: program and arguments; `sys.argv` by default.
        positional: a flag of text that may be given without its name.
        check: called before `main` with the values of its module's flags, by name.

    Exit status: 0 when `main` returns, 1 for a `UserError`, a package that is not
    installed, or what the system refuses (one message goes to standard error), 130 for
    Ctrl-C, 141 when nobody reads the output any more; anything else is a bug and keeps
    its trace.
    """

    _open_streams()

    def parse(argv: Sequence[str]) -> list[str]:
        if define_flags is not None:
            define_flags()
        if any(argument.partition("=")[0] in _HELP for argument in argv[1:]):
            module = sys.modules[main.__module__]
            defined = flags.FLAGS.get_flags_for_module(module)
            about = inspect.getdoc(module) or ""
            show(_help_text(argv[0], about, defined, positional))
            sys.exit(0)
        argv = _parse_flags(argv, positional)
        if positional is not None and len(argv) > 1:
            if flags.FLAGS[positional].value is None:
                flags.FLAGS[positional].value = argv.pop(1)
        return argv

    def guarded(argv: Sequence[str]) -> None:
        if len(argv) > 1:
            fail(f"{_unexpected(argv[1])} (--help lists them)")
        if not flags.FLAGS["verbosity"].present:
            # Libraries report every file they open, and pages about errors that they
            # raise as well; what a user has to know is said once, by us.
            logging.set_verbosity(logging.FATAL)
        try:
            if check is not None:
                module = sys.modules[main.__module__]
                defined = flags.FLAGS.get_flags_for_module(module)
                _check_given(defined)
                check({flag.name: flag.value for flag in defined})
            main()
            sys.stdout.flush()
        except UserError as error:
            fail(str(error))
        except BrokenPipeError:
            # Who read the output has gone (`| head`): nobody is left to be told. Python
            # would try to write the rest once more at its exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(PIPE_CLOSED)
        except OSError as error:  # a file that cannot be entered, a disk that fails
            fail(str(from_system(error)))
        except ModuleNotFoundError as error:
            if error.name not in EXTRA_OF:
                raise  # a module of our own, or one we do not know to be missing
            fail(installing(error.name))
        except KeyboardInterrupt:
            print("interrupted; what was finished before is kept", file=sys.stderr)
            sys.exit(INTERRUPTED)

    app.run(guarded, argv=argv, flags_parser=parse)


def _open_streams() -> None:
    """Opens what whoever started this had closed, as `xabl ... >&-` does.

    Otherwise a file that is written gets the number of standard output, and what
    libraries print is written into it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))


def fail(message: str) -> None:
    """Ends the program with one message."""
    print(f"error: {visible(message)}", file=sys.stderr)
    sys.exit(1)


def paragraph(text: str, *, indent: int = 0) -> str:
    """Text in lines that fit the terminal, however narrow."""
    columns = shutil.get_terminal_size().columns
    width = min(max(columns - indent, _NARROWEST), _WIDEST - indent)
    return textwrap.indent(textwrap.fill(" ".join(text.split()), width), " " * indent)


def show(text: str) -> None:
    """Prints a text that one may look at the beginning of only."""
    try:
        print(text, flush=True)
    except BrokenPipeError:  # into `head`, which has seen enough
        sys.stderr.close()


def _parse_flags(argv: Sequence[str], positional: str | None) -> list[str]:
    """Like absl's own parser, but a wrong flag costs one line, not a page."""
    try:
        return flags.FLAGS(list(argv))
    except flags.UnrecognizedFlagError as error:
        problem = f"no flag --{error.flagname}"
        problem += did_you_mean(f"--{error.flagname}", [f"--{f}" for f in flags.FLAGS])
    except UnicodeDecodeError:
        problem = "--flagfile: not a text file of flags, one a line, in UTF-8"
    except flags.Error as error:
        absent = re.findall(r"^flag --(\w+)=None: .* other than None", str(error), re.M)
        problem = f"give --{', --'.join(absent)}" if absent else str(error)
        unnamed = _unnamed(argv)[0 if positional is None else 1 :]
        if absent and unnamed:
            problem = f"{_unexpected(unnamed[0])}; {problem}"
    fail(f"{problem} (--help lists the flags)")


def _check_given(defined: Sequence[flags.Flag]) -> None:
    """Refuses `--vocab=$VOCAB` of a variable that is not set: it names no file."""
    for flag in defined:
        if flag.value == "" and flag.default != "":
            raise UserError(
                f"--{flag.name}= is empty: give its value, or leave the flag out"
            )


def _unexpected(argument: str) -> str:
    return f"unexpected argument {argument!r}; flags are written --name=value"


def _unnamed(argv: Sequence[str]) -> list[str]:
    """Arguments that are neither flags nor, as in `--name value`, what one is given."""

    def takes_next(argument: str) -> bool:
        name = argument.lstrip("-")
        is_flag = argument.startswith("-") and name in flags.FLAGS
        return is_flag and not flags.FLAGS[name].boolean

    pairs = itertools.pairwise(argv)
    return [a for before, a in pairs if a[:1] != "-" and not takes_next(before)]


def _help_text(
    program: str, docstring: str, defined: Sequence[flags.Flag], positional: str | None
) -> str:
    """What the command is for, examples, and its flags: those that are needed first."""
    needed = [flag for flag in defined if _is_required(flag) or flag.name == positional]
    others = [flag for flag in defined if flag not in needed]
    words = [_spelled(flag, positional).partition(" ")[0] for flag in needed]
    usage = " ".join([program, *words, "[--flag=value ...]"])
    parts = [docstring, paragraph(f"usage: {usage}")]
    for title, group in (("Needed", needed), ("Optional", others)):
        if group:
            texts = (_flag_text(flag, positional) for flag in group)
            parts.append("\n".join([f"{title}:", *texts]))
    parts.append(
        paragraph(
            "--flagfile=FILE reads flags from a file; --helpfull lists the flags of "
            "all libraries, too."
        )
    )
    return "\n\n".join(parts)


def _flag_text(flag: flags.Flag, positional: str | None) -> str:
    # absl puts the values of an enumeration before its help.
    text, default = re.sub(r"^<\S+>: ", "", flag.help), flag.default
    if isinstance(default, bool):
        default = str(default).lower()
    elif isinstance(default, list):
        default = ",".join(map(str, default))
    if default not in (None, ""):
        text = f"{text.rstrip('.')} (default: {default})"
    return f"  {_spelled(flag, positional)}\n{paragraph(text, indent=6)}"


def _spelled(flag: flags.Flag, positional: str | None) -> str:
    """The flag as one writes it: --split=TEXT, --[no]resume; PATH (or --path=PATH)."""
    if flag.name == positional:
        bare = flag.name.upper()
        return f"{bare} (or --{flag.name}={bare})"
    if isinstance(flag, flags.BooleanFlag):
        return f"--[no]{flag.name}"
    if isinstance(flag, flags.EnumFlag):
        return f"--{flag.name}={'|'.join(flag.parser.enum_values)}"
    kinds = {"int": "N", "float": "X", "comma separated list of strings": "A,B,..."}
    return f"--{flag.name}={kinds.get(flag.flag_type(), 'TEXT')}"


def _is_required(flag: flags.Flag) -> bool:
    return any("other than None" in rule.message for rule in flag.validators)
