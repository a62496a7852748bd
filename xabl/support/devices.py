"""The local devices: what stays on them, what is shipped, what runs on all of them.

Every program of a step is a `jax.pmap`. Its arguments are placed beforehand, once for
what does not change: an argument left on the host would be sent to every device
again at every call.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from xabl.errors import UserError

_AXIS = "devices"


def local_devices() -> list[jax.Device]:
    """The devices of this process.

    Raises:
        UserError: the platform that JAX was told to use is not here.
    """
    try:
        return jax.local_devices()
    except (RuntimeError, AssertionError) as error:  # how JAX says so
        why = str(error).splitlines()[:1] or ["it does not start"]
        raise UserError(
            f"JAX_PLATFORMS={jax.config.jax_platforms or ''}: JAX finds no such device "
            f"here ({why[0][:200]}); unset it, or set it to cpu"
        ) from error


class LocalDevices:
    """Some or all devices of this process, used together."""

    def __init__(self, count: int | None = None):
        """Takes the first `count` local devices; all of them without it.

        Raises:
            UserError: there are fewer; or as `local_devices`.
        """
        devices = local_devices()
        if count is not None and not 1 <= count <= len(devices):
            raise UserError(
                f"--devices={count}: the {devices[0].platform} devices here number "
                f"{len(devices)}; give 1 to {len(devices)}, or leave the flag out"
            )
        self.devices = devices[:count]
        mesh = Mesh(np.array(self.devices), (_AXIS,))
        self.replicated = NamedSharding(mesh, PartitionSpec())
        self.sharded = NamedSharding(mesh, PartitionSpec(_AXIS))

    def __len__(self) -> int:
        return len(self.devices)

    @property
    def description(self) -> str:
        """For manifests: how many of which kind."""
        return f"{len(self)} x {self.devices[0].device_kind}"

    @property
    def are_the_host(self) -> bool:
        """Whether their memory is the host's: they are its processor."""
        return self.devices[0].platform == "cpu"

    def replicate(self, tree: Any) -> Any:
        """Places a copy of every array on each device."""
        return jax.device_put(tree, self.replicated)

    def shard(self, tree: Any) -> Any:
        """Places row d of every array (the first axis counts devices) on device d."""
        return jax.device_put(tree, self.sharded)

    def parallel(
        self,
        function: Callable,
        *,
        replicated: int,
        sharded: int,
        donated: tuple[int, ...] = (),
    ) -> Callable:
        """`function` on every device at once.

        Args:
            function: takes and returns one device's arrays.
            replicated: how many of its first arguments are `replicate`d.
            sharded: how many follow that are `shard`ed, as all results are.
            donated: numbers of the arguments whose memory the results may take over.
        """
        return jax.pmap(
            function,
            axis_name=_AXIS,
            in_axes=(None,) * replicated + (0,) * sharded,
            devices=self.devices,
            donate_argnums=donated,
        )
