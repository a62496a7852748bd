"""Several processes, perhaps on several machines, that take part in one run."""

import jax
from jax.experimental import multihost_utils

from xabl.errors import UserError


def connect(
    coordinator: str,
    count: int | None = None,
    this: int | None = None,
    *,
    survive: bool = False,
) -> None:
    """Waits for all processes; before any other use of JAX.

    Args:
        coordinator: address:port of the first, or "auto" where the cluster knows it
            (TPU pods, Slurm, Open MPI).
        count: how many there are; None with "auto".
        this: number of this one, from 0; None with "auto".
        survive: whether the others go on when one dies; if they compute together,
            they cannot.

    Raises:
        UserError: the processes do not find each other.
    """
    is_auto = coordinator == "auto"
    if not is_auto and (count is None or this is None):
        raise UserError(
            f"--coordinator={coordinator}: --hosts and --host are needed too"
        )
    if survive:
        jax.config.update("jax_enable_recoverability", True)
    try:
        jax.distributed.initialize(
            coordinator_address=None if is_auto else coordinator,
            num_processes=count,
            process_id=this,
        )
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"--coordinator={coordinator}: the hosts did not find each other "
            f"({str(error)[:200]})"
        ) from error


def meet(name: str) -> None:
    """Waits until all processes have come here; nothing where there is one."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def leave() -> None:
    """Tells the others that this process has nothing more to do with them.

    The first, through which they are connected, has to leave last.
    """
    if jax.process_count() > 1:
        jax.distributed.shutdown()
