"""The command `xabl`: one module for each of its commands.

A module defines flags (`define_flags`) and calls one function of the library (`main`);
its docstring is the help. Nothing heavy is imported before the flags are read.
"""

import importlib
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from xabl import __version__
from xabl.errors import did_you_mean
from xabl.support import binary

# In the order in which one comes to need them; the module's name where it differs.
COMMANDS = {
    "demo": "demo",
    "convert": "convert",
    "import": "import_regions",
    "inspect": "inspect",
    "ablate": "ablate",
    "check": "check",
    "foils": "foils",
    "figures": "figures",
    "report": "report",
    "labelmatch": "labelmatch",
    "corpus": "corpus",
    "pretrain": "pretrain",
    "sweep": "sweep",
    "world": "world",
    "controls": "controls",
}


def module_of(command: str) -> ModuleType:
    """The module of a command, which defines its flags only when it is run."""
    return importlib.import_module(f"xabl.commands.{COMMANDS[command]}")


def run(command: str, *arguments: str) -> None:
    """Runs one command, with the arguments before those of the command line."""
    module = module_of(command)
    binary.run(
        module.main,
        define_flags=module.define_flags,
        argv=[f"xabl {command}", *arguments, *sys.argv[1:]],
        positional=getattr(module, "POSITIONAL", None),
        check=_check,
    )


def _check(given: Mapping[str, Any]) -> None:
    from xabl.kinds import check_not_swapped, check_output_apart

    check_not_swapped(given)
    check_output_apart(given)


def main() -> None:
    """`xabl COMMAND --flag=value ...`."""
    command = sys.argv.pop(1) if len(sys.argv) > 1 else "--help"
    if command in COMMANDS:
        run(command)
    elif command in ("--help", "-help", "-h", "help"):
        binary.show(_overview())
    elif command == "--version":
        print(__version__)
    else:
        hint = did_you_mean(command, tuple(COMMANDS))
        binary.fail(f"no command {command!r}{hint} (xabl --help lists the commands)")


def _overview() -> str:
    about = sys.modules["xabl"].__doc__.partition("\n")[0]
    lines = [binary.paragraph(about), "", "usage: xabl COMMAND [--flag=value ...]", ""]
    for command in COMMANDS:
        first, _, _ = module_of(command).__doc__.partition("\n")
        lines.append(f"  {command:12}" + binary.paragraph(first, indent=14).lstrip())
    lines += ["", binary.paragraph("xabl COMMAND --help lists the command's flags.")]
    return "\n".join(lines)
