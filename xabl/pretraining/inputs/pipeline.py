"""Batches in order: shuffled by epoch, shared by hosts, resumed at any batch.

Batch n of a run is a function of the configuration, the seed and n alone, whatever the
number of hosts, worker processes and restarts. The position in the data, which goes
into a checkpoint, is therefore one number.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator

import grain
import numpy as np
from absl import flags
from jaxtyping import Int64

from xabl.errors import UserError
from xabl.pretraining.inputs.batch import PretrainingBatch
from xabl.pretraining.inputs.example_maker import ExampleMaker

_ENDLESS = 2**40  # batches; grain needs a length
_VALIDATION_EPOCH = 2**32  # masks that no training epoch has
_PREFETCHED = 2  # batches ready in advance, in each process


@dataclasses.dataclass(frozen=True, kw_only=True)
class Share:
    """The rows of every global batch that one host makes; host 0 makes the first.

    batch_size: examples of a batch, over all hosts.
    host: number of this host.
    num_hosts: number of all hosts.
    """

    batch_size: int
    host: int = 0
    num_hosts: int = 1

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.batch_size % self.num_hosts:
            raise UserError(
                f"a batch of {self.batch_size} cannot be shared by {self.num_hosts} "
                "hosts; choose a multiple"
            )

    @property
    def rows(self) -> slice:
        size = self.batch_size // self.num_hosts
        return slice(self.host * size, (self.host + 1) * size)


class TrainingBatches:
    """Endless batches of a shuffled corpus; an iterator and a context manager.

    Every epoch has another order. Examples that do not fill its last batch are left
    out, others in each epoch.
    """

    def __init__(
        self, examples: ExampleMaker, share: Share, seed: int, num_workers: int = 0
    ):
        """Reads nothing yet.

        Args:
            examples: makes the batches.
            share: the rows to make.
            seed: of the order and the masks.
            num_workers: processes that make batches; 0 makes them in a thread.

        Raises:
            UserError: the corpus does not fill a batch.
        """
        size = len(examples.corpus)
        self.steps_per_epoch = size // share.batch_size
        if not self.steps_per_epoch:
            raise UserError(
                f"{examples.corpus.directory / examples.corpus.split} has {size} "
                f"examples, fewer than a batch of {share.batch_size}; choose a smaller "
                "batch_size"
            )
        self._identity = {
            "seed": seed,
            "batch_size": share.batch_size,
            "examples": size,
        }
        self._make = functools.partial(_training_batch, examples, share, seed)
        self._num_workers = num_workers
        self._num_given = 0
        self._iterator = None

    def __iter__(self) -> "TrainingBatches":
        return self

    def __next__(self) -> PretrainingBatch:
        if self._iterator is None:
            self._iterator = _iterate(
                self._make, self._num_given, _ENDLESS, self._num_workers
            )
        batch = next(self._iterator)
        self._num_given += 1
        return batch

    def get_state(self) -> dict[str, int]:
        """Position of the next batch, and of what; the same on every host."""
        return {"batches": self._num_given, **self._identity}

    def set_state(self, state: dict[str, int]) -> None:
        """Continues from a position.

        Raises:
            UserError: it is of other data, another seed or another batch size.
        """
        differences = [
            f"{name} was {state.get(name)}, is {value}"
            for name, value in self._identity.items()
            if state.get(name) != value
        ]
        if differences:
            raise UserError(
                "the checkpoint's position in the data is of another run: "
                f"{'; '.join(differences)}; restore these, or start in a new workdir"
            )
        self.close()
        self._num_given = state["batches"]

    def close(self) -> None:
        """Ends the worker processes; the next batch starts them again."""
        if self._iterator is not None:
            self._iterator.close()
            self._iterator = None

    def __enter__(self) -> "TrainingBatches":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def validation_batches(
    examples: ExampleMaker, share: Share, seed: int
) -> Iterator[PretrainingBatch]:
    """Every example of a corpus once, in its order, with the same masks each time.

    The last batch is filled up with rows without targets (example_index -1).

    Args:
        examples: makes the batches.
        share: the rows to make.
        seed: of the masks.
    """
    size = len(examples.corpus)
    make = functools.partial(_validation_batch, examples, share, seed)
    iterator = _iterate(make, 0, -(-size // share.batch_size), num_workers=0)
    try:
        yield from iterator
    finally:
        iterator.close()


def _training_batch(
    examples: ExampleMaker, share: Share, seed: int, number: int
) -> PretrainingBatch:
    """Batch `number` of a run."""
    size = len(examples.corpus)
    epoch, step = divmod(number, size // share.batch_size)
    start = step * share.batch_size
    chosen = _order(seed, epoch, size)[start : start + share.batch_size]
    return examples.batch(seed, epoch, chosen[share.rows])


def _validation_batch(
    examples: ExampleMaker, share: Share, seed: int, number: int
) -> PretrainingBatch:
    """Batch `number` of a corpus in its order."""
    start = number * share.batch_size
    chosen = np.arange(start, start + share.batch_size)
    chosen[chosen >= len(examples.corpus)] = -1
    return examples.batch(seed, _VALIDATION_EPOCH, chosen[share.rows])


@functools.lru_cache(maxsize=2)
def _order(seed: int, epoch: int, size: int) -> Int64[np.ndarray, " examples"]:
    """The examples of an epoch, shuffled."""
    return np.random.default_rng([seed, epoch]).permutation(size)


def _iterate(
    make: Callable[[int], PretrainingBatch], start: int, stop: int, num_workers: int
) -> grain.DatasetIterator:
    """Batches `start` ... `stop` - 1, some of them made in advance."""
    batches = (
        grain.MapDataset.range(start, stop)
        .map(make)
        .to_iter_dataset(
            # One thread: the examples cache what they read, without a lock.
            grain.ReadOptions(num_threads=1, prefetch_buffer_size=_PREFETCHED)
        )
    )
    if num_workers:
        if not flags.FLAGS.is_parsed():  # grain reads flags; notebooks parse none
            flags.FLAGS.mark_as_parsed()
        batches = batches.mp_prefetch(
            grain.MultiprocessingOptions(
                num_workers=num_workers, per_worker_buffer_size=_PREFETCHED
            )
        )
    return iter(batches)
