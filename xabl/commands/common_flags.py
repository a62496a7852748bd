"""Flags that several commands have, each group stated once.

They count as flags of the command that asks for them: its --help shows them.
"""

from absl import flags

flags.disclaim_key_flags()


def define_model() -> None:
    """--model, --vocab, --label."""
    flags.DEFINE_string(
        "model",
        None,
        "model directory, written by xabl convert or xabl pretrain",
        required=True,
    )
    flags.DEFINE_string(
        "vocab", None, "the model's vocab.txt (default: the one in its directory)"
    )
    flags.DEFINE_string(
        "label", None, "name of the model in tables (default: its configuration's)"
    )


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
        "resamples", 2000, "bootstrap resamples of the images", lower_bound=100
    )
    flags.DEFINE_integer("seed", 0, "seed of the resampling", lower_bound=0)


def define_hosts(doing: str) -> None:
    """--devices, --coordinator, --hosts, --host.

    Args:
        doing: what each process does then, as a clause.
    """
    flags.DEFINE_integer("devices", None, "devices of this host to use (default: all)")
    flags.DEFINE_string(
        "coordinator",
        None,
        f"for several processes, {doing}: address:port of the first, or 'auto' on a "
        "cluster that tells (TPU pods, Slurm, Open MPI)",
    )
    flags.DEFINE_integer("hosts", None, "how many processes there are")
    flags.DEFINE_integer("host", None, "number of this process, from 0")
