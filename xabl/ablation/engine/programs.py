"""The compiled programs of an evaluation, one for each shape of step."""

import os
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax

from xabl.ablation.engine.padding import ProgramLimits
from xabl.ablation.engine.schedule import Shape, TableShape
from xabl.ablation.engine.scorer import Scorer
from xabl.ablation.options import Precision
from xabl.results.conditions import Direction
from xabl.support.devices import LocalDevices
from xabl.support.freed_memory import return_freed

# What a device computes while one more program is compiled. On a CPU compiling takes
# its cores (half a second of two); an accelerator waits for the host. On an H100 a
# program takes 3 seconds. A fifth of them counts, 0.6: programs are kept, and the next
# seeds and models use them too.
_COMPILING_ON_HOST = 1.5e11
_COMPILING = {
    Precision.HIGHEST: 0.6 * 4.0e13,
    Precision.DEFAULT: 0.6 * 1.4e14,
    Precision.BFLOAT16: 0.6 * 3.0e14,
}
# A program for a CPU takes 15 to 25 MB of the memory that it shares with everything.
_MOST_ON_HOST = 8
# Programs compiled before the first is needed, where few are to be kept.
_AHEAD = 3


def program_limits(
    scorer: Scorer, devices: LocalDevices, word_operations: float
) -> ProgramLimits:
    """How many programs are worth compiling, and can be kept.

    Args:
        word_operations: what one more word adds to a pair: what padding costs.
    """
    on_host = devices.are_the_host
    operations = _COMPILING_ON_HOST if on_host else _COMPILING[scorer.precision]
    worth = int(len(devices) * operations / word_operations)
    if on_host and scorer.has_region_sublayers:
        # Segments are whole images, so that all programs are in use all the time.
        return ProgramLimits(worth=worth, most=_MOST_ON_HOST)
    return ProgramLimits(worth=worth)


class Programs:
    """Compiles programs in the background, in the order in which `begin` is called.

    While the first program runs, the next ones are made.
    """

    def __init__(self, scorer: Scorer, devices: LocalDevices, *, few: bool = False):
        """Compiles nothing yet.

        Args:
            few: keep only the programs in use: one is dropped after its last step.
                JAX would still keep it, so JAX's caches are cleared; other functions
                of this process are then compiled again.
        """
        self._scorer, self._devices, self._few = scorer, devices, few
        self._compiling: dict[Shape | TableShape, Future] = {}
        # Caches are not cleared while something else compiles.
        workers = 1 if few else min(4, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="compile")

    def __contains__(self, shape: Shape | TableShape) -> bool:
        """Whether the program's compilation has begun."""
        return shape in self._compiling

    def begin(self, shape: Shape | TableShape, arguments: tuple) -> None:
        """Starts to compile a program.

        Args:
            arguments: what it will be called with, or arrays of the same shapes
                placed in the same way.
        """
        abstract = jax.tree.map(_abstract, arguments)
        self._compiling[shape] = self._pool.submit(self._compile, shape, abstract)

    def compiled(self, shape: Shape | TableShape) -> Any:
        """The program of a shape whose compilation has begun, when it is ready."""
        return self._compiling[shape].result()

    def ahead(self, number: int) -> int:
        """How many programs to have begun when `number` have been used."""
        return number + _AHEAD if self._few else sys.maxsize

    def used_up(self, shape: Shape | TableShape) -> None:
        """Drops a program that is not needed any more, where memory is short."""
        if self._few:
            del self._compiling[shape]

    def close(self) -> None:
        """Drops what is not compiled yet; waits for what is under way."""
        self._pool.shutdown(cancel_futures=True)

    def _compile(self, shape: Shape | TableShape, abstract: tuple) -> Any:
        is_table = isinstance(shape, TableShape)
        program = self._devices.parallel(
            step_function(self._scorer, shape),
            replicated=1,
            sharded=len(abstract) - 1,
            # A table takes over the memory of the one it was.
            donated=(1,) if is_table else (),
        )
        compiled = program.lower(*abstract).compile()
        if self._few:
            jax.clear_caches()
            return_freed()
        return compiled


def step_function(scorer: Scorer, shape: Shape | TableShape) -> Callable:
    """What a program computes on one device, not compiled yet.

    Its arguments are the resident arrays, the tables if the model has any, and what
    the step ships.
    """
    if isinstance(shape, TableShape):
        return scorer.fill_regions if shape.words is None else scorer.fill_words
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
