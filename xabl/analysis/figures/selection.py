"""Which models a figure shows: main models, variants, and what these compare with."""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence

from xabl.analysis.figures.style import NotDrawn
from xabl.analysis.study import Model, Study
from xabl.results.conditions import BASELINE, Direction


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variants:
    """A hypothesis of the paper: models that differ from a baseline in one thing.

    what: differs.
    labels: theirs, with the baseline's as the group `base`.
    example: of a label.
    seeds: of the baselines in the published figure; other baselines: the first seed.
    """

    what: str
    labels: re.Pattern[str]
    example: str
    seeds: Mapping[str, int]


INITIALISATION = Variants(
    what="Initialisation",
    labels=re.compile(r"(?P<base>.+)_(bert-v-vl|rnd-v-vl|rnd-vl)"),
    example="UNITER_rnd-vl",
    seeds={"UNITER": 73, "ViLBERT": 33},
)
THRESHOLD = Variants(
    what="Overlap threshold in pretraining",
    labels=re.compile(r"(?P<base>.+)-thr\d+(iot)?"),
    example="UNITER-thr04",
    seeds={"UNITER": 42, "ViLBERT": 42},
)
LOSS = Variants(
    what="Pretraining loss",
    labels=re.compile(r"(?P<base>.+)-xent"),
    example="UNITER-xent",
    seeds=THRESHOLD.seeds,
)


def is_variant(label: str) -> bool:
    """Whether a label is that of a hypothesis variant."""
    return any(v.labels.fullmatch(label) for v in (INITIALISATION, THRESHOLD, LOSS))


def main_models(study: Study) -> Study:
    """The study without hypothesis variants, unless there is nothing else."""
    models = tuple(model for model in study.models if not is_variant(model.label))
    return dataclasses.replace(study, models=models or study.models)


def text_baseline(study: Study) -> tuple[Model | None, list[Model]]:
    """The best text-only model (BERT-CC in the paper), and the other ones."""
    scored = []
    for model in study.models:
        bits = model.cell(study.word_loss, BASELINE).bits
        if model.text_only() and bits is not None:
            scored.append((float(bits[bits == bits].mean()), model))
    scored.sort(key=lambda pair: pair[0])
    models = [model for _, model in scored]
    return (models[0] if models else None), models[1:]


def with_baselines(study: Study, variants: Variants) -> tuple[Study, list[str]]:
    """Variants, each family after its baseline; and the baselines' names.

    A baseline is one run: the published figure's seed if it is there.

    Raises:
        NotDrawn: no variants, or none whose baseline is there.
    """
    families: dict[str, list[Model]] = {}
    for model in study.models:
        match = variants.labels.fullmatch(model.label)
        if match:
            families.setdefault(match["base"], []).append(model)
    if not families:
        raise NotDrawn(f"no model with a label like {variants.example}")
    models: list[Model] = []
    baselines = []
    for base, members in families.items():
        found = [model for model in study.models if model.label == base]
        if not found:
            continue
        baseline = _one_run(found[0], variants.seeds.get(base))
        baselines.append(baseline.label)
        models += [baseline, *members]
    if not models:
        raise NotDrawn(f"no results of the baseline: {', '.join(families)}")
    return dataclasses.replace(study, models=tuple(models)), baselines


def not_shown(study: Study, metrics: Sequence[str]) -> list[str]:
    """Models without any score of any of the metrics under `none`, and why.

    Text-only models are left out: nobody misses a score of theirs.
    """
    notes = []
    for model in study.models:
        if model.text_only():
            continue
        gaps = [model.cell(metric, BASELINE) for metric in metrics]
        if all(cell.bits is None for cell in gaps):
            notes.append(f"{model.label} ({gaps[0].gap})")
    return notes


def guesses(
    study: Study, labels: Sequence[str], directions: Iterable[Direction]
) -> str:
    """What a caption adds of shown models that do no better than a guess."""
    found = [
        f"{model.label} ({direction.wording.title.lower()})"
        for model in study.models
        if model.label in labels
        for direction in directions
        if model.guesses(direction)
    ]
    if not found:
        return ""
    return (
        " No better than guessing by frequency, so that no change says anything: "
        f"{'; '.join(found)}."
    )


def _one_run(model: Model, seed: int | None) -> Model:
    run = next((run for run in model.runs if run.seed == seed), model.runs[0])
    return Model(label=run.title, runs=(run,))
