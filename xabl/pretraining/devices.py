"""All devices of all hosts, as the training step uses them.

Unlike `xabl.support.devices`, which scores on one process's devices, an update is one
computation of all of them.
"""

import dataclasses
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from xabl.errors import UserError
from xabl.pretraining.inputs.batch import PretrainingBatch

AXIS = "devices"


@dataclasses.dataclass(frozen=True)
class Devices:
    """The devices of all hosts, in one row, and how data is laid out on them."""

    mesh: Mesh

    @classmethod
    def all(cls, limit: int | None = None) -> "Devices":
        """All devices, or the first `limit` of them (one host only).

        Raises:
            UserError: there are fewer.
        """
        if limit is not None and not 1 <= limit <= jax.device_count():
            raise UserError(
                f"--devices={limit}, but there are {jax.device_count()} devices here"
            )
        return cls(Mesh(np.array(jax.devices()[:limit]), (AXIS,)))

    @property
    def count(self) -> int:
        return self.mesh.size

    @property
    def on_this_host(self) -> int:
        return len(self.mesh.local_devices)

    def check_divides(self, examples: int, parts: int) -> None:
        """Raises a UserError unless this host's examples can be laid out evenly."""
        if examples % (self.on_this_host * parts):
            raise UserError(
                f"a batch of {examples} examples on this host does not divide into "
                f"{self.on_this_host} devices x {parts} accumulated parts; change "
                "batch_size or accumulation"
            )

    @property
    def replicated(self) -> NamedSharding:
        """Layout of what every device has a copy of."""
        return NamedSharding(self.mesh, PartitionSpec())

    def replicate(self, tree: Any) -> Any:
        """Puts host arrays on every device, once."""
        return jax.device_put(tree, self.replicated)

    def shard(self, batch: PretrainingBatch, parts: int) -> PretrainingBatch:
        """Lays this host's examples out as [devices, parts, batch] on the devices.

        Raises:
            UserError: they do not divide evenly.
        """
        examples = batch.example_index.shape[0]
        self.check_divides(examples, parts)
        cells = self.on_this_host * parts
        layout = NamedSharding(self.mesh, PartitionSpec(AXIS))
        shape = (self.on_this_host, parts, examples // cells)
        return jax.tree.map(
            lambda x: jax.make_array_from_process_local_data(
                layout, x.reshape(*shape, *x.shape[1:])
            ),
            batch,
        )

    def globally(self, tree: Any) -> Any:
        """Results of a step, which each host holds for itself, as one global array."""
        return jax.tree.map(
            lambda x: jax.make_array_from_single_device_arrays(
                x.shape,
                self.replicated,
                [shard.data for shard in x.addressable_shards],
            ),
            tree,
        )
