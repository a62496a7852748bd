"""Pretraining updates of ctrl_uniter_base, ours and the published ones in PyTorch.

Both make updates of the same batches from the same parameters, in float32 and with
dropout. They take turns, and square matrix products with them. PyTorch has a process of
its own, so that each manages memory in its own way. First the loss of both without
dropout is compared. Prints a table and keeps it as JSON in benchmarks/results. Needs
PyTorch; more in benchmarks/README.md.

Example:

  python -m benchmarks.pytorch_update --batch_size=8
"""

import dataclasses
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from absl import flags

from benchmarks import machine
from benchmarks.machine import MatrixProducts, OtherProcesses
from benchmarks.report import text
from benchmarks.updates_in_memory import Prepared, Question, prepare
from benchmarks.world import make_world
from xabl.ablation.keeping import say
from xabl.models.presets import PRESETS, one_stream_layers
from xabl.pretraining.objective import losses
from xabl.pretraining.train_step import evaluation_step
from xabl.support import binary
from xabl.support.freed_memory import keep_freed

if TYPE_CHECKING:
    from benchmarks.pytorch_uniter import Training

_BATCH_SIZE = flags.DEFINE_integer("batch_size", 8, "examples", lower_bound=1)
_LAYERS = flags.DEFINE_integer("layers", 12, "of the model", lower_bound=1)
_UPDATES = flags.DEFINE_integer("updates", 6, "of each, to time", lower_bound=1)
_OUTPUT = flags.DEFINE_string(
    "output", None, "folder of the results (default: benchmarks/results)"
)

_MODEL = "ctrl_uniter_base"
_UNTIMED = 2  # the first compiles, or asks for its memory
_FARTHEST = 1e-4  # nats between the two losses


def main() -> None:
    keep_freed()  # as xabl pretrain does on CPUs
    model = dataclasses.replace(PRESETS[_MODEL], **one_stream_layers(_LAYERS.value))
    question = Question(
        model=model,
        batch_size=_BATCH_SIZE.value,
        compute="float32",
        precision="highest",
    )
    with tempfile.TemporaryDirectory() as folder:
        make_world(Path(folder), num_images=8 * _BATCH_SIZE.value)
        prepared = prepare(question, Path(folder))
    result = {
        "model": _MODEL,
        "layers": _LAYERS.value,
        "batch_size": _BATCH_SIZE.value,
        "updates": _UPDATES.value,
        "pytorch": _pytorch_version(),
        **compared(prepared, _UPDATES.value),
    }
    print(text(result))
    path = machine.write_result(f"pytorch_update_{_MODEL}", result, _OUTPUT.value)
    print(f"wrote {path}")


def compared(prepared: Prepared, updates: int) -> dict[str, Any]:
    """Times both, in turns.

    Args:
        updates: of each.

    Raises:
        ValueError: without dropout the two have different losses.
    """
    spawn = multiprocessing.get_context("spawn")
    given = (
        prepared.objective.model.config,
        prepared.optimiser,
        jax.device_get(prepared.state.trained),
        prepared.batches,
        prepared.learning_rate(jnp.arange(_UNTIMED + updates)).tolist(),
    )
    with ProcessPoolExecutor(1, spawn, _begin_theirs, given) as theirs:
        found = _losses_without_dropout(
            prepared, theirs.submit(_their_loss_without_dropout).result()
        )
        state = prepared.state

        def our_update(number: int) -> None:
            nonlocal state
            batch = prepared.placed[number % len(prepared.placed)]
            state, metrics = prepared.update(state, batch)
            metrics.loss.block_until_ready()

        say("compiling")
        for number in range(_UNTIMED):
            our_update(number)
            theirs.submit(_time_theirs, number).result()
        products = MatrixProducts("float32")
        say("training")
        ours, pytorchs, others = _Times(), _Times(), OtherProcesses()
        for number in range(_UNTIMED, _UNTIMED + updates):
            ours += _timed(our_update, number)
            pytorchs += theirs.submit(_time_theirs, number).result()
            products.take_turn()
        share_of_others = others.share_besides(pytorchs.core)
    flops = prepared.flops * updates
    return {
        **found,
        "our_seconds": ours.clock / updates,
        "pytorch_seconds": pytorchs.clock / updates,
        "ratio": pytorchs.clock / ours.clock,
        "our_core_seconds": ours.core / updates,
        "pytorch_core_seconds": pytorchs.core / updates,
        "ratio_by_core_seconds": pytorchs.core / ours.core,
        "share_of_matrix_product_rate": flops / ours.clock / products.rate,
        "share_of_matrix_product_rate_by_core_seconds": flops
        / ours.core
        / products.rate_of_a_core,
        "processor_share_of_others": share_of_others,
    }


def _losses_without_dropout(prepared: Prepared, theirs: float) -> dict[str, float]:
    """Of the first batch."""
    weights = prepared.objective.weights
    evaluate = evaluation_step(prepared.objective, prepared.devices)
    sums = evaluate(prepared.state, prepared.placed[0])
    ours = float(losses.weighted_mean(*sums, weights))
    if abs(ours - theirs) > _FARTHEST:
        raise ValueError(
            f"losses without dropout differ: ours {ours}, PyTorch's {theirs}"
        )
    return {
        "our_loss_without_dropout": ours,
        "pytorch_loss_without_dropout": theirs,
    }


@dataclasses.dataclass(frozen=True)
class _Times:
    """Seconds of the clock, and of one process on all cores."""

    clock: float = 0.0
    core: float = 0.0

    def __add__(self, other: "_Times") -> "_Times":
        return _Times(self.clock + other.clock, self.core + other.core)


def _timed(update: Callable[[int], None], number: int) -> _Times:
    core, clock = time.process_time(), time.perf_counter()
    update(number)
    return _Times(time.perf_counter() - clock, time.process_time() - core)


# In the process of its own that PyTorch has; there alone is `_theirs` something.

_theirs: "Training | None" = None


def _begin_theirs(*given: Any) -> None:
    from benchmarks.pytorch_uniter import Training

    global _theirs
    _theirs = Training(*given)


def _their_loss_without_dropout() -> float:
    return _theirs.loss_without_dropout()


def _time_theirs(number: int) -> _Times:
    return _timed(_theirs.update, number)


def _pytorch_version() -> str:
    import torch

    return torch.__version__


if __name__ == "__main__":
    binary.run(main)
