"""Batches in order: shuffled by epoch, shared by hosts, resumed at any batch.

Batch number n of a run is a function of the configuration, the seed and n alone: how
many hosts, worker processes or restarts there are changes nothing. That is why the
position in the data, as it goes into a checkpoint, is a single number.
"""

import dataclasses
import functools
from collections.abc import Iterator

import grain
import numpy as np
from absl import flags
from jaxtyping import Int64

from xabl.errors import UserError
from xabl.pretraining.inputs.batch import PretrainingBatch
from xabl.pretraining.inputs.example_maker import ExampleMaker

_ENDLESS = 2**40  # batches; grain wants a length
_VALIDATION_EPOCH = 2**32  # masks that no training epoch uses
_PREFETCHED = 2  # batches ready before they are asked for, in each process


@dataclasses.dataclass(frozen=True, kw_only=True)
class Share:
    """The rows of every global batch that one host makes: host 0 the first ones."""

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
    """Endless batches of a shuffled corpus; an iterator.

    Every epoch visits the examples in another order; those that do not fill the last
    batch are left out, others each time.
    """

    def __init__(
        self, examples: ExampleMaker, share: Share, seed: int, num_workers: int = 0
    ):
        """Reads nothing yet.

        Args:
            num_workers: processes that make batches; 0 makes them in a thread.

        Raises:
            UserError: the corpus does not fill a batch.
        """
        self._source = _TrainingSource(examples, share, seed)
        self._num_workers = num_workers
        self._num_given = 0
        self._iterator = None

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch."""
        return self._source.steps_per_epoch

    def __iter__(self) -> "TrainingBatches":
        return self

    def __next__(self) -> PretrainingBatch:
        if self._iterator is None:
            self._iterator = _iterate(
                self._source, self._num_given, _ENDLESS, self._num_workers
            )
        batch = next(self._iterator)
        self._num_given += 1
        return batch

    def get_state(self) -> dict[str, int]:
        """Position of the next batch, and what it counts; the same on every host."""
        return {"batches": self._num_given, **self._source.identity}

    def set_state(self, state: dict[str, int]) -> None:
        """Goes on after the batch that was the last when the state was taken.

        Raises:
            UserError: the state is of other data, another seed or batch size.
        """
        differences = [
            f"{name} was {state.get(name)}, is {value}"
            for name, value in self._source.identity.items()
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

    def __exit__(self, *exception) -> None:
        self.close()


def validation_batches(
    examples: ExampleMaker, share: Share, seed: int, limit: int | None = None
) -> Iterator[PretrainingBatch]:
    """Every example of a corpus once, in its order, with the same masks each time.

    The last batch is filled up with rows without targets (example_index -1).

    Args:
        limit: number of examples to take from the beginning; None takes all.
    """
    source = _ValidationSource(examples, share, seed, limit)
    iterator = _iterate(source, 0, len(source), num_workers=0)
    try:
        yield from iterator
    finally:
        iterator.close()


class _TrainingSource:
    """Batch n of a run, by n."""

    def __init__(self, examples: ExampleMaker, share: Share, seed: int):
        self._examples, self._share, self._seed = examples, share, seed
        size = len(examples.corpus)
        self.steps_per_epoch = size // share.batch_size
        if not self.steps_per_epoch:
            raise UserError(
                f"{examples.corpus.directory / examples.corpus.split} has {size} "
                f"examples, fewer than a batch of {share.batch_size}; choose a smaller "
                "batch_size"
            )
        self.identity = {
            "seed": seed,
            "batch_size": share.batch_size,
            "examples": size,
        }

    def __len__(self) -> int:
        return _ENDLESS

    def __getitem__(self, number: int) -> PretrainingBatch:
        epoch, step = divmod(int(number), self.steps_per_epoch)
        start = step * self._share.batch_size
        order = _order(self._seed, epoch, self.identity["examples"])
        chosen = order[start : start + self._share.batch_size]
        return self._examples.batch(self._seed, epoch, chosen[self._share.rows])


class _ValidationSource:
    """Batch n of a validation split, by n."""

    def __init__(
        self, examples: ExampleMaker, share: Share, seed: int, limit: int | None
    ):
        self._examples, self._share, self._seed = examples, share, seed
        size = len(examples.corpus)
        self._size = size if limit is None else min(size, limit)

    def __len__(self) -> int:
        return -(-self._size // self._share.batch_size)

    def __getitem__(self, number: int) -> PretrainingBatch:
        start = int(number) * self._share.batch_size
        chosen = np.arange(start, start + self._share.batch_size)
        chosen[chosen >= self._size] = -1
        return self._examples.batch(
            self._seed, _VALIDATION_EPOCH, chosen[self._share.rows]
        )


@functools.lru_cache(maxsize=2)
def _order(seed: int, epoch: int, size: int) -> Int64[np.ndarray, " examples"]:
    """The examples of an epoch, shuffled."""
    return np.random.default_rng([seed, epoch]).permutation(size)


def _iterate(
    source: _TrainingSource | _ValidationSource,
    start: int,
    stop: int,
    num_workers: int,
) -> grain.DatasetIterator:
    """Batches `start` ... `stop` - 1, some of them made in advance."""
    batches = grain.MapDataset.source(source)[start:stop].to_iter_dataset(
        # One thread: the source keeps what it reads, unguarded.
        grain.ReadOptions(num_threads=1, prefetch_buffer_size=_PREFETCHED)
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
