"""Devices: what stays on them, what is sent to them, what runs on all of them.

Every program of a step is a `jax.pmap`. Its arguments are placed beforehand, once for
what does not change: an argument left on the host would be sent to every device
again at every call.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from xabl.errors import UserError

AXIS = "devices"  # of every parallel program

_PROCESSOR = Path("/proc/cpuinfo")
_FEATURES = {"flags", "features"}  # its lines with what it can do, on x86 and ARM
_BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16"}


class Devices:
    """Devices used together, in one row, perhaps of several hosts.

    Attributes:
        replicated: layout of what every device has a copy of.
        sharded: layout of arrays whose first axis counts the devices.
    """

    def __init__(self, devices: Sequence[jax.Device]):
        self.devices = list(devices)
        self._mesh = Mesh(np.array(self.devices), (AXIS,))
        self.replicated = NamedSharding(self._mesh, PartitionSpec())
        self.sharded = NamedSharding(self._mesh, PartitionSpec(AXIS))

    @classmethod
    def all(cls, count: int | None = None) -> "Devices":
        """All devices of all hosts, or the first `count` of them (one host only).

        Raises:
            UserError: there are fewer; or as `local_devices`.
        """
        return cls(_first(_found(jax.devices), count))

    def __len__(self) -> int:
        return len(self.devices)

    @property
    def here(self) -> list[jax.Device]:
        """Those of this host."""
        return list(self._mesh.local_devices)

    @property
    def description(self) -> str:
        """For manifests: how many of which kind."""
        return f"{len(self)} x {self.devices[0].device_kind}"

    @property
    def are_the_host(self) -> bool:
        """Whether their memory is the host's: they are its processor."""
        return self.devices[0].platform == "cpu"

    @property
    def lack_bfloat16(self) -> bool:
        """Whether they are known to have no instructions for products of bfloat16."""
        return self.are_the_host and _BFLOAT16.isdisjoint(_features() or _BFLOAT16)

    def replicate(self, tree: Any) -> Any:
        """Places a copy of every array on each device."""
        return jax.device_put(tree, self.replicated)

    def shard(self, tree: Any) -> Any:
        """Places row d of every array (the first axis counts devices) on device d.

        With several hosts each gives the rows of its own devices.
        """
        if len(self.here) == len(self):
            return jax.device_put(tree, self.sharded)
        return jax.tree.map(
            lambda x: jax.make_array_from_process_local_data(self.sharded, x), tree
        )

    def spread(self, tree: Any, parts: int) -> Any:
        """Spreads this host's rows evenly: [rows ...] as [devices, parts, rows ...].

        Raises:
            UserError: they do not divide evenly.
        """
        (rows,) = {leaf.shape[0] for leaf in jax.tree.leaves(tree)}
        self.check_divides(rows, parts)
        shape = (len(self.here), parts, rows // (len(self.here) * parts))
        return self.shard(jax.tree.map(lambda x: x.reshape(*shape, *x.shape[1:]), tree))

    def check_divides(self, rows: int, parts: int) -> None:
        """Raises a UserError unless `spread` can divide this host's rows evenly."""
        if rows % (len(self.here) * parts):
            raise UserError(
                f"a batch of {rows} examples on this host does not divide into "
                f"{len(self.here)} devices x {parts} accumulated parts; change "
                "batch_size or accumulation"
            )

    def parallel(
        self,
        function: Callable,
        *,
        replicated: int,
        sharded: int,
        donated: tuple[int, ...] = (),
        same_results: bool = False,
    ) -> Callable:
        """`function` on every device at once.

        Args:
            function: takes and returns one device's arrays.
            replicated: how many of its first arguments are `replicate`d.
            sharded: how many follow that are `shard`ed.
            donated: numbers of the arguments whose memory the results may take over.
            same_results: all devices have the same results, of which one copy is
                returned; else results are `shard`ed.
        """
        return jax.pmap(
            function,
            axis_name=AXIS,
            in_axes=(None,) * replicated + (0,) * sharded,
            out_axes=None if same_results else 0,
            devices=self.devices,
            donate_argnums=donated,
        )

    def globally(self, tree: Any) -> Any:
        """Same results, which each host holds for itself, as one global array."""
        return jax.tree.map(
            lambda x: jax.make_array_from_single_device_arrays(
                x.shape,
                self.replicated,
                [shard.data for shard in x.addressable_shards],
            ),
            tree,
        )


class LocalDevices(Devices):
    """Some or all devices of this process: each host works for itself."""

    def __init__(self, count: int | None = None):
        """Takes the first `count` local devices; all of them without it.

        Raises:
            UserError: there are fewer; or as `local_devices`.
        """
        super().__init__(_first(local_devices(), count))

    def parallel(
        self,
        function: Callable,
        *,
        replicated: int,
        sharded: int,
        donated: tuple[int, ...] = (),
        same_results: bool = False,
    ) -> Callable:
        """As `Devices.parallel`."""
        if jax.process_count() == 1:
            return super().parallel(
                function,
                replicated=replicated,
                sharded=sharded,
                donated=donated,
                same_results=same_results,
            )

        # Among several processes `jax.pmap` takes arguments for parts of something
        # that all of them have; this is what it does otherwise.
        def on_each(*arguments):
            own = jax.tree.map(lambda x: x[0], arguments[replicated:])
            results = function(*arguments[:replicated], *own)
            if same_results:
                return results
            return jax.tree.map(lambda x: x[None], results)

        all_alike, by_device = PartitionSpec(), PartitionSpec(AXIS)
        mapped = jax.shard_map(
            on_each,
            mesh=self._mesh,
            in_specs=(all_alike,) * replicated + (by_device,) * sharded,
            out_specs=all_alike if same_results else by_device,
            check_vma=False,
        )
        return jax.jit(mapped, donate_argnums=donated)


def local_devices() -> list[jax.Device]:
    """The devices of this process.

    Raises:
        UserError: the platform that JAX was told to use is not here.
    """
    return _found(jax.local_devices)


def _features() -> set[str]:
    """What this machine's processor can do; nothing where the system does not say."""
    try:
        lines = _PROCESSOR.read_text().lower().splitlines()
    except OSError:
        return set()
    fields = (line.partition(":") for line in lines)
    lists = (words for name, _, words in fields if name.strip() in _FEATURES)
    return {word for words in lists for word in words.split()}


def _found(devices: Callable[[], list[jax.Device]]) -> list[jax.Device]:
    try:
        return devices()
    except (RuntimeError, AssertionError) as error:  # how JAX says so
        why = str(error).splitlines()[:1] or ["it does not start"]
        raise UserError(
            f"JAX_PLATFORMS={jax.config.jax_platforms or ''}: JAX finds no such device "
            f"here ({why[0][:200]}); unset it, or set it to cpu"
        ) from error


def _first(devices: list[jax.Device], count: int | None) -> list[jax.Device]:
    if count is not None and not 1 <= count <= len(devices):
        raise UserError(
            f"--devices={count}: the {devices[0].platform} devices here number "
            f"{len(devices)}; give 1 to {len(devices)}, or leave the flag out"
        )
    return devices[:count]
