"""Several runs over the same examples: what can be compared, and what is missing."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Shaped

from xabl.analysis import by_word
from xabl.analysis.study_notes import differences, gaps, same_parameters
from xabl.errors import UserError
from xabl.results.conditions import (
    BASELINE,
    Condition,
    Direction,
    in_order,
    main_conditions,
)
from xabl.results.finding import Paths, find_results
from xabl.results.format import SCORES
from xabl.results.losses import (
    BY_WORD,
    LOSSES,
    NATS_PER_BIT,
    PUBLISHED_MAIN,
    STORED,
    main_loss,
)
from xabl.results.published import PUBLISHED
from xabl.results.reading import Cell, Run, read, read_file
from xabl.results.yardsticks import guessing, warnings

if TYPE_CHECKING:
    import pandas as pd

# Runs that differ in one of these do not score the same inputs.
_SAME = {
    "split": "split",
    "limit": "--limit",
    "examples_total": "number of examples",
    "entities_sha256": "Flickr30k Entities files",
}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """The runs of one label, one per seed."""

    label: str
    runs: tuple[Run, ...]

    @property
    def name(self) -> str:
        """The configuration's name."""
        return self.runs[0].name

    @property
    def seeds(self) -> tuple[int, ...]:
        """Known seeds, ascending."""
        return tuple(sorted(run.seed for run in self.runs if run.seed is not None))

    def by_seed(self) -> tuple["Model", ...]:
        """Every run as a model of its own."""
        return tuple(Model(label=run.title, runs=(run,)) for run in self.runs)

    def cell(self, metric: str, condition: str) -> Cell:
        """The mean over seeds, example by example; runs with a gap are left out."""
        cells = [run.cell(metric, condition) for run in self.runs]
        bits = [cell.bits for cell in cells if cell.bits is not None]
        if not bits:
            return cells[0]
        mean = bits[0] if len(bits) == 1 else np.mean(bits, axis=0, dtype=np.float32)
        return Cell(bits=mean, gap=None)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Losses that all its runs have scores of."""
        found = frozenset.intersection(*(run.columns for run in self.runs))
        return tuple(metric for metric in LOSSES if metric in found)

    def main_loss(self, direction: str) -> str | None:
        """The loss that answers for a direction; None: the model has none."""
        return main_loss(direction, self.metrics)

    def guesses(self, direction: Direction) -> bool:
        """Whether one of its runs does no better than guessing by frequency.

        What ablation changes then says nothing of the direction.
        """
        return any(direction in guessing(run.manifest) for run in self.runs)

    def text_only(self) -> bool:
        """Whether no run ablates anything: a language model's baseline."""
        return all(
            run.conditions(Direction.VIS4LANG) == (BASELINE,)
            and not run.conditions(Direction.LANG4VIS)
            for run in self.runs
        )


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Study:
    """Models evaluated on the same examples.

    images, phrases, phrase_types: of each example, in order.
    notes: what differs between runs or is missing, in words.
    """

    models: tuple[Model, ...]
    images: Shaped[np.ndarray, " examples"]
    phrases: Shaped[np.ndarray, " examples"]
    phrase_types: Shaped[np.ndarray, " examples"]
    notes: tuple[str, ...]

    @property
    def num_examples(self) -> int:
        return len(self.images)

    @property
    def runs(self) -> tuple[Run, ...]:
        """All runs, model by model."""
        return tuple(run for model in self.models for run in model.runs)

    def of_groups(self) -> "Study":
        """The study with its groups in place of models.

        A group is what a study file calls one (`group` in the manifests): all runs of
        it, of any label. A run without is in the group of its label. No models if no
        run has a group.
        """
        groups: dict[str, list[Run]] = {}
        for run in self.runs:
            groups.setdefault(run.group or run.label, []).append(run)
        named = any(run.group for run in self.runs)
        models = [Model(label=name, runs=tuple(runs)) for name, runs in groups.items()]
        return dataclasses.replace(self, models=tuple(models) if named else ())

    def model(self, label: str) -> Model:
        """The model of a label.

        Raises:
            UserError: no such label; the message lists those there are.
        """
        for model in self.models:
            if model.label == label:
                return model
        labels = ", ".join(model.label for model in self.models)
        raise UserError(f"no results of a model {label!r}; there are {labels}")

    def conditions(self, direction: str) -> tuple[str, ...]:
        """Every condition any run has, least ablated first."""
        names = (c for run in self.runs for c in run.conditions(direction))
        return in_order(direction, names)

    def main_conditions(self, direction: str) -> tuple[str, ...]:
        """The published main conditions, and other main ones that any run has."""
        return main_conditions(direction, self.conditions(direction))

    def ways(self) -> dict[str, tuple[str, ...]]:
        """What becomes of what is ablated, and the labels of the models it is done in.

        Models that read anything hide what they are told to in their own way.
        """
        found: dict[str, dict[str, None]] = {}
        for run in self.runs:
            for direction in Direction:
                for name in self.conditions(direction):
                    if name != BASELINE and name in run.conditions(direction):
                        meaning = Condition.parse(direction, name).way_meaning
                        done = found.setdefault(run.hides or meaning, {})
                        done[run.label] = None
        return {meaning: tuple(labels) for meaning, labels in found.items()}

    def ways_in_words(self) -> tuple[str, ...]:
        """`ways` as clauses, which say whose they are where a model has its own."""
        own = {run.hides for run in self.runs if run.hides}
        clauses = []
        for meaning, labels in self.ways().items():
            whose = ", in its own way" if meaning in own else ""
            whose = f" ({'; '.join(labels)}{whose})" if own else ""
            clauses.append(f"{meaning}{whose}")
        return tuple(clauses)

    def warnings(self) -> tuple[str, ...]:
        """The first lines of every output: models no better than guessing."""
        return tuple(line for run in self.runs for line in warnings(run.manifest))

    def metrics(self) -> tuple[str, ...]:
        """Losses that any run has scores of, as columns of scores.parquet."""
        found = frozenset().union(*(run.columns for run in self.runs))
        return tuple(metric for metric in LOSSES if metric in found)

    @property
    def word_loss(self) -> str:
        """The loss of words: by word where the models' vocabularies differ."""
        apart = BY_WORD in self.metrics() or by_word.differ(self.runs)
        return BY_WORD if apart else PUBLISHED_MAIN[0]

    def main_metrics(self) -> tuple[str, ...]:
        """The losses that answer for some model, MLM by word in place of MLM."""
        found = {m.main_loss(d) for m in self.models for d in Direction}
        found |= {self.word_loss} if self.word_loss in self.metrics() else set()
        found -= {PUBLISHED_MAIN[0]} - {self.word_loss}
        return tuple(metric for metric in LOSSES if metric in found)

    def shared_loss(self, direction: str, models: Sequence[Model]) -> str | None:
        """The loss by which models are compared; None: none is the same for all."""
        shared = set(LOSSES).intersection(*(model.metrics for model in models))
        return main_loss(direction, [m for m in shared if self.comparable(m, models)])

    def comparable(self, metric: str, models: Sequence[Model]) -> bool:
        """Whether a loss is the same for all: that by token is not for other tokens."""
        runs = [run for model in models for run in model.runs]
        return metric != PUBLISHED_MAIN[0] or not by_word.differ(runs)

    def fact(
        self, column: str, direction: str, condition: str
    ) -> Shaped[np.ndarray, " examples"] | None:
        """A fact about the inputs, from the first run that has it."""
        found = (run.fact(column, direction, condition) for run in self.runs)
        return next((values for values in found if values is not None), None)

    def missing_seeds(self) -> dict[str, tuple[int, ...]]:
        """By label: seeds that other models of several seeds have and it has not."""
        several = [model for model in self.models if len(model.seeds) > 1]
        every = set().union(*(model.seeds for model in several))
        gaps = {m.label: tuple(sorted(every - set(m.seeds))) for m in several}
        return {label: seeds for label, seeds in gaps.items() if seeds}


def load_study(results: Paths) -> Study:
    """Reads results directories, or folders that hold them.

    Raises:
        UserError: nothing there, a broken run, or runs that cannot be compared.
    """
    directories, notes = find_results(results)
    runs = [_with_display_label(read(directory)) for directory in directories]
    for run in runs[1:]:
        _check_comparable(runs[0], run)
    runs = by_word.with_losses_by_word(runs)
    models = _group(runs)
    study = Study(
        models=models,
        images=runs[0].texts["image_id"],
        phrases=runs[0].texts["phrase"],
        phrase_types=runs[0].texts["phrase_type"],
        notes=(),
    )
    return dataclasses.replace(
        study,
        notes=(
            *notes,
            *same_parameters(runs),
            *differences(runs),
            *by_word.notes(runs),
            *gaps(runs, study.missing_seeds()),
        ),
    )


def load(results: Paths) -> "pd.DataFrame":
    """Per-example scores of any number of runs as one data frame, losses in bits.

    Columns: model, seed, then those of scores.parquet. One row per example and
    condition; text columns are categories.

    Raises:
        UserError: as `load_study`.
    """
    tables = []
    for run in load_study(results).runs:
        table = read_file(run.directory, SCORES)
        for loss in STORED:
            if loss in table.column_names:
                bits = pc.divide(table[loss], pa.scalar(NATS_PER_BIT, pa.float32()))
                column = table.column_names.index(loss)
                table = table.set_column(column, loss, bits)
        label = pa.repeat(pa.scalar(run.label), len(table))
        seed = pa.repeat(pa.scalar(run.seed, pa.int32()), len(table))
        table = table.add_column(0, "model", label).add_column(1, "seed", seed)
        tables.append(table)
    whole = pa.concat_tables(tables, promote_options="default")
    return whole.to_pandas(strings_to_categorical=True)


def _with_display_label(run: Run) -> Run:
    """A run nobody named goes by the name the paper gives its configuration."""
    if run.label == run.name and run.name in PUBLISHED:
        return dataclasses.replace(run, label=PUBLISHED[run.name].model)
    return run


def _check_comparable(first: Run, run: Run) -> None:
    for key, words in _SAME.items():
        datas = first.manifest["data"], run.manifest["data"]
        if any(key not in data for data in datas):
            continue  # not known: the examples themselves are compared below
        here, there = (data[key] for data in datas)
        if here != there:
            raise UserError(
                f"{first.directory} and {run.directory} cannot be compared: {words} "
                f"{here!r} against {there!r}; analyse them apart, or run "
                "xabl ablate again on the same data"
            )
    difference = _difference(first, run)
    if difference is not None:
        raise UserError(
            f"{first.directory} and {run.directory} do not score the same examples "
            f"({difference}); run xabl ablate again on the same data"
        )


def _difference(first: Run, run: Run) -> str | None:
    """The first of what differs between the examples of two runs."""
    if not np.array_equal(first.example_ids, run.example_ids):
        counts = (f"{len(each.example_ids):,}" for each in (first, run))
        only = np.setxor1d(first.example_ids, run.example_ids)[0]
        return f"{' against '.join(counts)}; only one of them has example {only}"
    for key, texts in first.texts.items():
        differs = np.flatnonzero(texts != run.texts[key])
        if len(differs):
            place = differs[0]
            return (
                f"{key} of example {first.example_ids[place]}: {texts[place]!r} "
                f"against {run.texts[key][place]!r}"
            )
    return None


def _group(runs: Iterable[Run]) -> tuple[Model, ...]:
    """Models in the paper's order, then in that of the results."""
    by_label: dict[str, list[Run]] = {}
    for run in runs:
        others = by_label.setdefault(run.label, [])
        for other in others:
            if other.name != run.name:
                raise UserError(
                    f"the label {run.label!r} stands for {other.name} in "
                    f"{other.directory} and for {run.name} in {run.directory}; run "
                    "xabl ablate with different --label"
                )
            if other.seed == run.seed:
                raise UserError(
                    f"{other.directory} and {run.directory} both hold {run.title}; "
                    "give one of them, or set --label or --model_seed when running "
                    "xabl ablate"
                )
        others.append(run)
    known = [row.model for row in PUBLISHED.values()]

    def rank(label: str) -> int:
        return known.index(label) if label in known else len(known)

    def by_seed(run: Run) -> tuple[bool, int]:
        return run.seed is not None, run.seed or 0

    return tuple(
        Model(label=label, runs=tuple(sorted(by_label[label], key=by_seed)))
        for label in sorted(by_label, key=rank)
    )
