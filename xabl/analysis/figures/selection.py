"""Which models a figure shows: main models, variants, and what these compare with."""

import dataclasses
import re
from collections.abc import Sequence

from xabl.analysis.figures.style import NotDrawn
from xabl.analysis.study import Model, Study
from xabl.results.conditions import BASELINE
from xabl.results.losses import PUBLISHED_MAIN

# How the labels of the paper's hypothesis variants say what differs.
INITIALISATION = re.compile(r"(?P<base>.+)_(bert-v-vl|rnd-v-vl|rnd-vl)")
THRESHOLD = re.compile(r"(?P<base>.+)-thr\d+(iot)?")
LOSS = re.compile(r"(?P<base>.+)-xent")
# The seeds the published figures take as baselines; others: the first there is.
INITIALISATION_SEEDS = {"UNITER": 73, "ViLBERT": 33}
THRESHOLD_SEEDS = LOSS_SEEDS = {"UNITER": 42, "ViLBERT": 42}


def is_variant(label: str) -> bool:
    """Whether a label is that of a hypothesis variant."""
    return any(p.fullmatch(label) for p in (INITIALISATION, THRESHOLD, LOSS))


def main_models(study: Study) -> Study:
    """The study without hypothesis variants, unless there is nothing else."""
    models = tuple(model for model in study.models if not is_variant(model.label))
    return dataclasses.replace(study, models=models or study.models)


def text_baseline(study: Study) -> tuple[Model | None, list[Model]]:
    """The best text-only model (BERT-CC in the paper), and the other ones."""
    scored = []
    for model in study.models:
        bits = model.cell(PUBLISHED_MAIN[0], BASELINE).bits
        if model.text_only() and bits is not None:
            scored.append((float(bits[bits == bits].mean()), model))
    scored.sort(key=lambda pair: pair[0])
    models = [model for _, model in scored]
    return (models[0] if models else None), models[1:]


def with_baselines(
    study: Study, variant: re.Pattern[str], seeds: dict[str, int]
) -> tuple[Study, list[str]]:
    """Variants, each family after its baseline; and the baselines' names.

    A baseline is one run: the published figure's seed if it is there.

    Raises:
        NotDrawn: no variants, or none whose baseline is there.
    """
    families: dict[str, list[Model]] = {}
    for model in study.models:
        match = variant.fullmatch(model.label)
        if match:
            families.setdefault(match["base"], []).append(model)
    if not families:
        raise NotDrawn(f"no model with a label like {_example(variant)}")
    models: list[Model] = []
    baselines = []
    for base, variants in families.items():
        found = [model for model in study.models if model.label == base]
        if not found:
            continue
        baseline = _one_run(found[0], seeds.get(base))
        baselines.append(baseline.label)
        models += [baseline, *variants]
    if not models:
        raise NotDrawn(f"no results of the baseline: {', '.join(families)}")
    return dataclasses.replace(study, models=tuple(models)), baselines


def not_shown(study: Study, metrics: Sequence[str]) -> list[str]:
    """Models without any score of any of the metrics under `none`, and why."""
    notes = []
    for model in study.models:
        gaps = [model.cell(metric, BASELINE) for metric in metrics]
        if all(cell.bits is None for cell in gaps):
            notes.append(f"{model.label} ({gaps[0].gap})")
    return notes


def _one_run(model: Model, seed: int | None) -> Model:
    run = next((run for run in model.runs if run.seed == seed), model.runs[0])
    return Model(label=run.title, runs=(run,))


def _example(variant: re.Pattern[str]) -> str:
    return {
        INITIALISATION.pattern: "UNITER_rnd-vl",
        THRESHOLD.pattern: "UNITER-thr04",
        LOSS.pattern: "UNITER-xent",
    }[variant.pattern]
