"""Several processes, perhaps on several machines, that take part in one run."""

import contextlib
import os
import re
import sys
import threading
from collections.abc import Iterator

import jax
import numpy as np
from jax.experimental import multihost_utils

from xabl.errors import UserError

_MOST_BYTES = 2000  # of a message
_SECONDS_TO_A_WORD = 5.0  # until it is said that processes wait for each other
_SECONDS_TO_MEET = 300.0


def connect(
    coordinator: str | None,
    count: int | None = None,
    this: int | None = None,
    *,
    survive: bool = False,
) -> None:
    """Waits for all processes; before any other use of JAX.

    Args:
        coordinator: address:port of the first, or "auto" where the cluster knows it
            (TPU pods, Slurm, Open MPI); None: this one is alone.
        count: how many there are; None with "auto".
        this: number of this one, from 0; None with "auto".
        survive: whether the others go on when one dies; if they compute together,
            they cannot.

    Raises:
        UserError: the processes do not find each other, or the numbers are none.
    """
    if coordinator is None:
        if count is not None or this is not None:
            # Each would take itself for the only one, and do everything.
            raise UserError("--hosts, --host: give --coordinator too, or none of them")
        return
    is_auto = coordinator == "auto"
    if not is_auto and (count is None or this is None):
        raise UserError(
            f"--coordinator={coordinator}: --hosts and --host are needed too"
        )
    if not is_auto and not re.search(r".:\d+$", coordinator):
        raise UserError(
            f"--coordinator={coordinator}: give address:port of the first host, as in "
            "10.0.0.1:1234"
        )
    if count is not None and count < 1:
        raise UserError(f"--hosts={count}: give how many there are")
    if count is not None and this is not None and not 0 <= this < count:
        raise UserError(f"--host={this}: of {count} hosts; give 0 to {count - 1}")
    if survive:
        jax.config.update("jax_enable_recoverability", True)
    me = "this host" if this is None else f"host {this} of {count}"
    try:
        with _patience(f"--coordinator={coordinator}: {me}"):
            jax.distributed.initialize(
                coordinator_address=None if is_auto else coordinator,
                num_processes=count,
                process_id=this,
                initialization_timeout=round(2 * _SECONDS_TO_MEET),
            )
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"--coordinator={coordinator}: the hosts did not find each other "
            f"({str(error)[:200]})"
        ) from error


@contextlib.contextmanager
def _patience(who: str) -> Iterator[None]:
    """Says that it waits, and ends the process when it has waited for too long.

    JAX says nothing, and then ends it from C++ with a trace that names nothing.
    """

    def say(text: str) -> None:
        print(f"{who} {text}", file=sys.stderr, flush=True)

    def give_up() -> None:
        say(
            f"has met no others in {_SECONDS_TO_MEET:.0f} s. Start all hosts, with the "
            "same address and --hosts, each with a --host of its own; they have to "
            "reach that address"
        )
        os._exit(1)

    waits = f"waits for the others, {_SECONDS_TO_MEET:.0f} s at most"
    timers = [
        threading.Timer(_SECONDS_TO_A_WORD, say, [waits]),
        threading.Timer(_SECONDS_TO_MEET, give_up),
    ]
    for timer in timers:
        timer.daemon = True
        timer.start()
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()


@contextlib.contextmanager
def together(doing: str) -> Iterator[None]:
    """A block at whose end all processes meet, or all end with the same message.

    Without it, those that have no problem would wait for one that has for ever.

    Args:
        doing: what the block does, in words.

    Raises:
        UserError: the block raised in another process, or that has ended.
    """
    if jax.process_count() == 1:
        yield
        return
    problem = None
    try:
        yield
    except Exception as error:  # a bug, too
        problem = error
    said = "" if problem is None else str(problem) or type(problem).__name__
    try:
        all_said = multihost_utils.process_allgather(_as_bytes(said))
        if not all_said.any():
            return
        if jax.process_index() != 0:
            leave()
        # Without the coordinator: the first hears that the others have left.
        multihost_utils.process_allgather(_as_bytes(""))
    except (RuntimeError, ValueError) as error:
        if problem is None:
            raise UserError(
                f"another process of this run ended while it was {doing}; see what it "
                "said, and start all again"
            ) from error
    if problem is not None:
        raise problem
    number = int(all_said.any(axis=1).argmax())
    text = bytes(all_said[number]).rstrip(b"\0").decode(errors="replace")
    raise UserError(f"process {number}: {text}")


def _as_bytes(text: str) -> np.ndarray:
    """Of one length, as all processes have to give."""
    content = text.encode()[:_MOST_BYTES]
    return np.frombuffer(content.ljust(_MOST_BYTES, b"\0"), np.uint8)


def leave() -> None:
    """Tells the others that this process has nothing more to do with them.

    The first, through which they are connected, has to leave last.
    """
    if jax.process_count() > 1:
        jax.distributed.shutdown()
