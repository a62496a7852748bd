"""How fast machines ablate: measured before, and measured here."""

import dataclasses
import time
from collections import Counter
from collections.abc import Mapping

import jax

from xabl.ablation.engine.device_loop import Evaluation
from xabl.ablation.engine.programs import Programs
from xabl.ablation.engine.schedule import Schedule, TableStep
from xabl.ablation.options import Precision

_SECONDS = 2.0  # of steps that are timed, about
_MOST_STEPS = 50


@dataclasses.dataclass(frozen=True, kw_only=True)
class Machine:
    """Operations a second that matrix products of full-size models reach on it.

    ablation: by precision.
    pretraining: in float32 on processors, in bfloat16 on a GPU.
    """

    name: str
    ablation: Mapping[Precision, float]
    pretraining: float


# benchmarks/results: runs of ctrl_uniter_base. On processors the default is float32.
MACHINES = (
    Machine(
        name="2 cores (AMX)",
        ablation={
            Precision.HIGHEST: 1.96e11,
            Precision.DEFAULT: 1.96e11,
            Precision.BFLOAT16: 4.72e11,
        },
        pretraining=1.77e11,
    ),
    Machine(
        name="one H100",
        ablation={
            Precision.HIGHEST: 4.04e13,
            Precision.DEFAULT: 1.42e14,
            Precision.BFLOAT16: 2.96e14,
        },
        pretraining=1.33e14,
    ),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """What a few steps of an evaluation took on this machine.

    rate: operations a second of all its devices.
    compiling: seconds that the program took to compile.
    steps: how many steps were timed. seconds: how long they took together.
    """

    rate: float
    compiling: float
    steps: int
    seconds: float


def measure(evaluation: Evaluation, schedule: Schedule) -> Measured:
    """Compiles the program with the most work in it, and times some of its steps.

    What the steps compute is given to nobody: tables that they read hold nothing yet.
    """
    work = Counter()
    for step in schedule.steps:
        if not isinstance(step, TableStep):
            each = evaluation.operations.score(step.shape)
            work[step.shape] += step.pairs.size * each
    (shape, _), *_ = work.most_common(1)
    step = schedule.first[shape]
    arguments = evaluation.arguments(step, evaluation.empty_tables(schedule.tables))
    begin = time.perf_counter()
    programs = Programs(evaluation.scorer, evaluation.devices)
    programs.begin(shape, arguments)
    program = programs.compiled(shape)
    programs.close()
    compiling = time.perf_counter() - begin
    jax.block_until_ready(program(*arguments))  # the first call takes longer
    steps, begin, seconds = 0, time.perf_counter(), 0.0
    while seconds < _SECONDS and steps < _MOST_STEPS:
        jax.block_until_ready(program(*arguments))
        steps += 1
        seconds = time.perf_counter() - begin
    operations = step.pairs.size * evaluation.operations.score(shape)
    return Measured(
        rate=steps * operations / seconds,
        compiling=compiling,
        steps=steps,
        seconds=seconds,
    )
