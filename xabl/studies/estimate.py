"""What a study will take: arithmetic, and time on machines that were measured."""

import dataclasses
import functools
from collections.abc import Iterable
from pathlib import Path

from xabl.ablation.engine.explain import naive_operations
from xabl.ablation.engine.machines import MACHINES, Machine
from xabl.ablation.input_files import model_conditions
from xabl.ablation.options import InputFiles, Precision
from xabl.data.flickr30k_entities import mentions, read_split
from xabl.errors import UserError
from xabl.models.config import ModelConfig
from xabl.models.region_embedding import LXMERT, VILBERT
from xabl.results.published import NUM_EXAMPLES
from xabl.results.summary import aligned
from xabl.studies.runs import Run
from xabl.studies.sources import Training

_REGIONS = 36


# How many times less arithmetic the ablation is than every input on its own, padded to
# 38 pieces with all heads (benchmarks/README.md); a text-only model computes no less
# than what captions are shorter than that.
_SPARED = {VILBERT: 2.5, LXMERT: 3.3}
_SPARED_ELSEWHERE = 2.0
# An update over the naive input: three times, but for heads that see targets only.
_UPDATE = 2.7


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
    """Of one run, what is done of it already included.

    inputs: examples times conditions. ablation, training: operations.
    precision: of the ablation.
    """

    inputs: int
    ablation: float
    training: float
    precision: Precision

    def seconds(self, machine: Machine) -> float:
        ablation = self.ablation / machine.ablation[self.precision]
        return ablation + self.training / machine.pretraining


def estimate(run: Run) -> Estimate:
    """About what a run takes; of a run that cannot be done yet as far as is known.

    Raises:
        UserError: not even the model's configuration is there.
    """
    config = run.source.config()
    naive = _naive(config)
    conditions = model_conditions(config, run.options.files, lambda line: None)
    inputs = _num_examples(run.options.files) * len(conditions)
    spared = _SPARED.get(config.image_embeddings, _SPARED_ELSEWHERE)
    training = 0.0
    if isinstance(run.source, Training):
        updates = run.source.num_updates()
        training = _UPDATE * naive * updates * run.source.configuration.batch_size
    return Estimate(
        inputs=inputs,
        ablation=naive * inputs / spared,
        training=training,
        precision=run.options.evaluation.precision,
    )


def with_work(run: Run) -> Run:
    """The run, with its work in seconds of the first machine where that is known."""
    try:
        seconds = estimate(run).seconds(MACHINES[0])
    except UserError:
        return run
    return dataclasses.replace(run, work=seconds)


def plan_text(runs: Iterable[Run]) -> str:
    """The table of runs that `--dry_run` prints."""
    names = [machine.name for machine in MACHINES]
    rows = [["run", "model", "inputs", "TFLOP", *(f"min, {n}" for n in names), "to do"]]
    totals = [0.0] * (2 + len(MACHINES))
    for run in runs:
        todo = run.todo()
        try:
            config, guess = run.source.config(), estimate(run)
        except UserError:
            rows.append([run.name, "?", *[""] * (2 + len(MACHINES)), todo])
            continue
        cells = [guess.inputs, (guess.ablation + guess.training) / 1e12]
        cells += [guess.seconds(machine) / 60 for machine in MACHINES]
        if todo != "nothing":
            totals = [total + cell for total, cell in zip(totals, cells, strict=True)]
        rows.append([run.name, config.name, *map(_number, cells), todo])
    rows.append(["all to do", "", *map(_number, totals), ""])
    hours = (
        f"about {minutes / 60:,.1f} h on {machine.name}"
        for machine, minutes in zip(MACHINES, totals[2:], strict=True)
    )
    return (
        f"{aligned(rows)}\n\n{', '.join(hours)}; arithmetic divided by what was "
        "measured with full-size models (small ones reach less)"
    )


@functools.lru_cache
def _naive(config: ModelConfig) -> float:
    regions = 0 if config.text_only else _REGIONS + config.has_image_row
    return naive_operations(config, regions)


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def _num_examples(files: InputFiles) -> int:
    """Counted, or those of the published study where the data are not there."""
    count = _counted(files.entities, files.split)
    return count if files.limit is None else min(count, files.limit)


@functools.lru_cache
def _counted(entities: Path, split: str) -> int:
    try:
        return sum(1 for _ in mentions(read_split(entities, split)))
    except UserError:
        return NUM_EXAMPLES
