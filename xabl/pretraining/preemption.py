"""The signal by which a cluster takes a machine back."""

import signal

import jax
from jax.experimental import multihost_utils

# EX_TEMPFAIL: everything is saved, the same command goes on. A scheduler can be told
# to start a job again on this status, e.g. `until` in a shell or a Slurm requeue.
START_AGAIN = 75


class Preemption:
    """Notices SIGTERM; a context manager, on the main thread."""

    def __init__(self):
        self._received = False
        self._previous = None

    def requested(self, step: int) -> bool:
        """Whether to stop after this update: the same answer on every host.

        Several hosts do not receive the signal at once; JAX's coordination service
        agrees on an update that all of them reach.
        """
        if jax.process_count() > 1:
            return multihost_utils.reached_preemption_sync_point(step)
        return self._received

    def __enter__(self) -> "Preemption":
        if jax.process_count() == 1:
            self._previous = signal.signal(signal.SIGTERM, self._receive)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGTERM, self._previous)

    def _receive(self, number: int, frame: object) -> None:
        del number, frame
        self._received = True
