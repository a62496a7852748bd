"""Flags that several commands have, each group stated once.

They count as flags of the command that asks for them: its --help shows them.
"""

import dataclasses
import typing

from absl import flags

from xabl.ablation.asked import (
    alternatives,
    choices_of,
    default_of,
    name_of,
    options_of,
)
from xabl.ablation.options import RunOptions
from xabl.results.resampling import FEWEST_RESAMPLES, RESAMPLES

flags.disclaim_key_flags()


def define_options(*names: str) -> None:
    """Options of an ablation, some by their names, or all."""
    for field in options_of(RunOptions):
        if not names or name_of(field) in names:
            _define_option(field)


def _define_option(field: dataclasses.Field) -> None:
    name, default, meaning = (
        name_of(field),
        default_of(field),
        field.metadata["meaning"],
    )
    kind = alternatives(field.type)[0]
    if kind is bool:
        flags.DEFINE_bool(name, default, meaning)
    elif kind is int:
        low = field.metadata["low"]
        flags.DEFINE_integer(name, default, meaning, lower_bound=low)
    elif choices := choices_of(field):
        flags.DEFINE_enum(name, default and str(default), choices, meaning)
    elif typing.get_origin(kind) is tuple:
        listed = None if default is None else [*map(str, default)]
        flags.DEFINE_list(name, listed, meaning)
    else:
        # Only a function of one's own has no model directory.
        needed = default is dataclasses.MISSING or name == "model"
        flags.DEFINE_string(name, None if needed else default, meaning, required=needed)


def define_results() -> None:
    """--results, to be analysed."""
    flags.DEFINE_list(
        "results",
        None,
        "results directories, or folders of them, comma-separated",
        required=True,
    )


def define_resampling() -> None:
    """--resamples, --seed."""
    flags.DEFINE_integer(
        "resamples",
        RESAMPLES,
        "bootstrap resamples of the images",
        lower_bound=FEWEST_RESAMPLES,
    )
    flags.DEFINE_integer("seed", 0, "seed of the resampling", lower_bound=0)


def define_hosts(doing: str) -> None:
    """--coordinator, --hosts, --host.

    Args:
        doing: what each process does then, as a clause.
    """
    flags.DEFINE_string(
        "coordinator",
        None,
        f"for several processes, {doing}: address:port of the first, or 'auto' on a "
        "cluster that tells (TPU pods, Slurm, Open MPI)",
    )
    flags.DEFINE_integer("hosts", None, "how many processes there are")
    flags.DEFINE_integer("host", None, "number of this process, from 0")
