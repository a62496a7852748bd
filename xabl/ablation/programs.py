"""The compiled programs of an evaluation, one for each shape of step."""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax

from xabl.ablation import arithmetic
from xabl.ablation.conditions import Direction
from xabl.ablation.schedule import Shape, TableShape
from xabl.ablation.scoring import Scorer
from xabl.parallel import LocalDevices

# What a device computes while one more program is compiled. On a CPU compiling takes
# its cores (half a second of two); an accelerator waits for the host.
_COMPILING = {"cpu": 1.5e11}
_COMPILING_ELSEWHERE = 4e13


def program_worth(scorer: Scorer, devices: LocalDevices) -> int:
    """Word positions that a further program has to save to be worth compiling."""
    operations = _COMPILING.get(devices.devices[0].platform, _COMPILING_ELSEWHERE)
    return int(len(devices) * operations / arithmetic.word_position(scorer))


class Programs:
    """Compiles in the background, in the order asked for.

    While the first program runs, the next ones are made.
    """

    def __init__(self, scorer: Scorer, devices: LocalDevices):
        self._scorer, self._devices = scorer, devices
        self._compiling: dict[Shape | TableShape, Future] = {}
        workers = min(4, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="compile")

    def begin(self, shape: Shape | TableShape, arguments: tuple) -> None:
        """Starts to compile a program, if that has not been done.

        Args:
            arguments: what it will be called with, or arrays of the same shapes
                placed in the same way.
        """
        if shape not in self._compiling:
            abstract = jax.tree.map(_abstract, arguments)
            self._compiling[shape] = self._pool.submit(self._compile, shape, abstract)

    def compiled(self, shape: Shape | TableShape) -> Any:
        """The program of a shape whose compilation has begun, when it is ready."""
        return self._compiling[shape].result()

    def close(self) -> None:
        """Drops what is not compiled yet; waits for what is under way."""
        self._pool.shutdown(cancel_futures=True)

    def _compile(self, shape: Shape | TableShape, abstract: tuple) -> Any:
        is_table = isinstance(shape, TableShape)
        program = self._devices.parallel(
            self._fill(shape) if is_table else self._score(shape),
            replicated=1,
            sharded=len(abstract) - 1,
            # A table takes over the memory of the one it was.
            donated=(1,) if is_table else (),
        )
        return program.lower(*abstract).compile()

    def _fill(self, shape: TableShape) -> Callable:
        if shape.words is None:
            return self._scorer.fill_regions
        return self._scorer.fill_words

    def _score(self, shape: Shape) -> Callable:
        scorer = self._scorer
        score = {
            Direction.VIS4LANG: scorer.score_words,
            Direction.LANG4VIS: scorer.score_regions,
        }[shape.direction]

        def from_tables(resident, tables, places, targets):
            started = scorer.from_tables(tables, places, shape.words)
            return score(resident, started, targets)

        def from_inputs(resident, words, regions, targets):
            started = scorer.from_inputs(resident, words, regions)
            return score(resident, started, targets)

        return from_tables if scorer.has_tables else from_inputs


def _abstract(array: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=array.sharding)
