"""Pretraining updates of ctrl_uniter_base, ours and the published ones in PyTorch.

In one process both make updates of the same batches from the same parameters, in
float32 and with dropout. They take turns, and square matrix products with them. First
the loss of both without dropout is compared. Prints a table and keeps it as JSON in
benchmarks/results. Needs PyTorch; more in benchmarks/README.md.

Example:

  python -m benchmarks.pytorch_update --batch_size=8
"""

import dataclasses
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from absl import flags

from benchmarks import machine
from benchmarks.machine import MatrixProducts, OtherProcesses, say
from benchmarks.report import text
from benchmarks.updates_in_memory import Prepared, Question, prepare
from benchmarks.world import make_world
from xabl.models.presets import PRESETS, one_stream_layers
from xabl.pretraining.objective import losses
from xabl.pretraining.optimiser import is_decayed
from xabl.pretraining.train_step import evaluation_step
from xabl.support import binary
from xabl.support.freed_memory import keep_freed

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
    keep_freed()  # as xabl pretrain does on CPUs; PyTorch's arrays are kept likewise
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
    from benchmarks.pytorch_uniter import Adam, Uniter, batch_of

    config = prepared.objective.model.config
    theirs = Uniter(config, jax.device_get(prepared.state.trained))
    adam = Adam(prepared.optimiser, theirs.parameters, is_decayed(config))
    batches = [batch_of(batch) for batch in prepared.batches]
    rates = prepared.learning_rate(jnp.arange(_UNTIMED + updates)).tolist()
    found = _losses_without_dropout(prepared, theirs, batches[0])
    flops = prepared.flops
    state = prepared.state

    def our_update(number: int) -> None:
        nonlocal state
        batch = prepared.placed[number % len(prepared.placed)]
        state, metrics = prepared.update(state, batch)
        metrics.loss.block_until_ready()

    def their_update(number: int) -> None:
        loss = theirs.loss(batches[number % len(batches)])
        loss.backward()
        adam.update(rates[number])
        loss.item()

    say("compiling")
    for number in range(_UNTIMED):
        our_update(number)
        their_update(number)
    products = MatrixProducts("float32")
    say("training")
    our_clock, their_clock, others = _Clock(), _Clock(), OtherProcesses()
    for number in range(_UNTIMED, _UNTIMED + updates):
        our_clock.time(lambda n=number: our_update(n))
        their_clock.time(lambda n=number: their_update(n))
        products.take_turn()
    return {
        **found,
        "our_seconds": our_clock.seconds / updates,
        "pytorch_seconds": their_clock.seconds / updates,
        "ratio": their_clock.seconds / our_clock.seconds,
        "our_core_seconds": our_clock.core_seconds / updates,
        "pytorch_core_seconds": their_clock.core_seconds / updates,
        "ratio_by_core_seconds": their_clock.core_seconds / our_clock.core_seconds,
        "share_of_matrix_product_rate": flops
        * updates
        / our_clock.seconds
        / products.rate,
        "share_of_matrix_product_rate_by_core_seconds": flops
        * updates
        / our_clock.core_seconds
        / products.rate_of_a_core,
        "processor_share_of_others": others.share,
    }


def _losses_without_dropout(
    prepared: Prepared, theirs: Any, batch: dict[str, Any]
) -> dict[str, float]:
    """Of the first batch."""
    weights = prepared.objective.weights
    evaluate = evaluation_step(prepared.objective, prepared.devices)
    ours = losses.weighted_mean(*evaluate(prepared.state, prepared.placed[0]), weights)
    theirs.training = False
    found = float(ours), theirs.loss(batch).item()
    theirs.training = True
    if abs(found[0] - found[1]) > _FARTHEST:
        raise ValueError(f"losses without dropout differ, ours and PyTorch's: {found}")
    return {
        "our_loss_without_dropout": found[0],
        "pytorch_loss_without_dropout": found[1],
    }


class _Clock:
    """Adds up seconds, of the clock and of this process on all cores."""

    def __init__(self):
        self.seconds, self.core_seconds = 0.0, 0.0

    def time(self, run: Callable[[], None]) -> None:
        core, clock = time.process_time(), time.perf_counter()
        run()
        self.seconds += time.perf_counter() - clock
        self.core_seconds += time.process_time() - core


def _pytorch_version() -> str:
    import torch

    return torch.__version__


if __name__ == "__main__":
    binary.run(main)
