"""A study as a list of runs: one model, from wherever it comes to its results."""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from xabl.ablation import run as ablation_run
from xabl.ablation.asked import made_of
from xabl.ablation.definition import METHOD
from xabl.ablation.input_files import model_conditions, word_lists
from xabl.ablation.options import RunOptions
from xabl.ablation.series import Series
from xabl.errors import UserError
from xabl.pretraining import configuration
from xabl.results.format import EXAMPLES, MANIFEST, SCORES, UNFINISHED, VERSION
from xabl.studies.contents import Contents, key_of
from xabl.studies.jobs import Job, OnProgress
from xabl.studies.record import key_in
from xabl.studies.sources import Checkpoint, Existing, Source, Training, with_key
from xabl.studies.study_file import Model, Pretrainings, StudyFile, Variant, run_name
from xabl.studies.yaml_lines import Lines, Place
from xabl.support import lease


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run(Job):
    """One row of a study, a job for whichever worker comes to it.

    name: of its folders.
    where: file and line that ask for it.
    source: of its model.
    options: of its ablation; of the model directory nothing yet.
    determines: all that its results depend on, files by what they hold.
    problem: why it cannot be done, known before it is begun.
    """

    name: str
    where: str
    source: Source
    options: RunOptions
    after: tuple[str, ...] = ()
    alike: str = ""
    determines: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    problem: str | None = None
    work: float = 1.0

    @property
    def output(self) -> Path:
        """Its results directory."""
        return self.options.output

    @functools.cached_property
    def key(self) -> str:
        """Equal for runs that give equal results."""
        return key_of(self.determines)

    @property
    def is_alone(self) -> bool:
        """Trainings get a process each."""
        return self.source.is_training

    def is_done(self) -> bool:
        """Whether its results are there and of these very contents."""
        there = self.problem is None and key_in(self.manifest) == self.key
        return there and not self._is_torn

    @property
    def _is_torn(self) -> bool:
        """Whether somebody took files out of its results."""
        tables = (self.output / table.name for table in (SCORES, EXAMPLES))
        return self.manifest.exists() and not all(map(Path.is_file, tables))

    def todo(self) -> str:
        """What is to be done, in words."""
        if self.problem is not None:
            missing = self.problem.removeprefix(f"{self.where}: ").splitlines()[0]
            return f"{self.source.todo()}ablate; not possible yet: {missing}"
        if self.is_done():
            return "nothing"
        began = key_in(self._unfinished) == self.key
        return f"{self.source.todo()}ablate{', begun before' if began else ''}"

    def do(self, desk: dict[str, Any], on_progress: OnProgress) -> None:
        """Makes the model if need be, and ablates it."""
        if self.problem is not None:
            raise UserError(self.problem)
        model = self.source.prepared(on_progress)
        there = {key_in(self.manifest), key_in(self._unfinished)}
        if "" in there:  # somebody's own `xabl ablate`
            raise UserError(
                f"{self.output}: holds results of no study; move them, or give "
                "another --output"
            )
        is_other = bool(there - {None, self.key}) or self._is_torn
        ablation_run.run(
            dataclasses.replace(
                self.options,
                files=dataclasses.replace(self.options.files, model=model),
                overwrite=is_other,
                resume=not is_other,
                study_key=self.key,
                patience=lease.UNTIL_FREE,
                on_progress=lambda done, of: on_progress(done, of, "inputs"),
            ),
            desk.setdefault("series", Series()),
        )

    def ahead(self, desk: dict[str, Any]) -> None:
        """Reads the parameters while another run is being scored."""
        if self.problem is None and isinstance(self.source, Existing):
            desk.setdefault("series", Series()).load_ahead(self.source.directory)

    @property
    def manifest(self) -> Path:
        """The file that says of which run the results are."""
        return self.output / MANIFEST

    @property
    def _unfinished(self) -> Path:
        return self.output.with_name(f".{self.output.name}{UNFINISHED}") / "run.json"


def runs_of(study: StudyFile, lines: Lines, output: Path) -> list[Run]:
    """All runs of a study, models first; nothing is read but configurations.

    Raises:
        UserError: configurations or overrides that do not work, each with its line.
    """
    problems: list[tuple[Place, str]] = []
    runs: list[Run] = []
    for number, model in enumerate(study.models):
        place: Place = ("models", number)
        runs.append(_of_model(study, model, lines.where(*place), output))
    for number, grid in enumerate(study.pretrainings):
        place = ("pretrainings", number)
        try:
            configuration.load(grid.config, grid.overrides)
        except UserError as error:  # once, not for every variant
            problems.append((place, str(error)))
            continue
        for row, variant in enumerate(grid.variants):
            inner = (*place, "variants", row)
            try:
                runs += _of_variant(study, grid, variant, lines.where(*inner), output)
            except UserError as error:
                problems.append((inner, str(error)))
    if problems:
        raise lines.error(problems)
    return runs


def _of_model(study: StudyFile, model: Model, where: str, output: Path) -> Run:
    source: Source
    vocabulary = model.vocabulary or study.data.vocabulary
    if model.model is not None:
        source = Existing(directory=model.model)
    else:
        source = Checkpoint(
            file=model.checkpoint,
            configuration=model.config,
            vocabulary=vocabulary,
            output=output / "models" / model.name,
        )
    return _run(study, model, model.seed, where, source, output, vocabulary=vocabulary)


def _of_variant(
    study: StudyFile, grid: Pretrainings, variant: Variant, where: str, output: Path
) -> Iterator[Run]:
    for seed in grid.seeds:
        name = run_name(variant.label, seed)
        start = variant.start and run_name(variant.start, seed)
        overrides = [*grid.overrides, *variant.overrides, f"seed={seed}"]
        if start:
            overrides.append(f"initial.model={_workdir(output, start) / 'model'}")
        config = configuration.load(grid.config, [*overrides, f"name={name}"])
        config = configuration.located(config, study.folder)
        source = Training(configuration=config, workdir=_workdir(output, name))
        after = (start,) if start else ()
        yield _run(study, variant, seed, where, source, output, after=after)


def _workdir(output: Path, name: str) -> Path:
    return output / "trainings" / name


def _run(
    study: StudyFile,
    row: Model | Variant,
    seed: int | None,
    where: str,
    source: Source,
    output: Path,
    *,
    vocabulary: Path | None = None,
    after: tuple[str, ...] = (),
) -> Run:
    name = run_name(row.label, seed)
    asked = dict(study.data) | dict(study.ablation)
    options = made_of(
        RunOptions,
        # Only the vocabulary is called otherwise in a study; a training has its own.
        asked | {"vocab": vocabulary, "label": row.label, "model_seed": seed},
        output=output / "results" / name,
        group=row.group,
    )
    return Run(name=name, where=where, source=source, options=options, after=after)


def identified(runs: Iterable[Run], contents: Contents) -> list[Run]:
    """The runs with what determines their results, or with why they cannot be done."""
    found: dict[str, Run] = {}
    for run in _starts_first(runs):
        try:
            found[run.name] = _identified(run, contents, found)
        except UserError as error:
            found[run.name] = dataclasses.replace(run, problem=f"{run.where}: {error}")
    contents.save()
    return [found[run.name] for run in runs]


def _identified(run: Run, contents: Contents, others: Mapping[str, Run]) -> Run:
    source, options = run.source, run.options
    files, evaluation = options.files, options.evaluation
    if isinstance(source, Training) and run.after:
        start = others[run.after[0]]
        if start.problem is not None:
            raise UserError(f"starts from {start.name}, which cannot be done")
        source = dataclasses.replace(source, start=start.determines["model"])
    model, config = source.determines(contents), source.config()
    conditions = model_conditions(config, files, say=lambda line: None)
    asked = {
        "format": VERSION,
        "method": METHOD,
        "entities": contents.of_entities(files.entities, files.split),
        **{
            name: path and contents.of(path)
            for name, path in {
                "regions": None if config.text_only else files.regions,
                "vocabulary": files.vocabulary,
                "gold_labels": files.gold_labels,
                **word_lists(files),
            }.items()
        },
        "tagger": files.tagger,
        "split": files.split,
        "limit": files.limit,
        "skip_bad_examples": files.skip_bad_examples,
        "conditions": [f"{c.direction} {c.name}" for c in conditions],
        "replace_seed": files.replace_seed,
        "vlbert_positions": files.vlbert_positions,
        "precision": evaluation.precision,
        "image_token": evaluation.image_token,
        "save_predictions": evaluation.top,
    }
    return dataclasses.replace(
        run,
        source=with_key(source, model),
        # Of one architecture, on the same data: programs are compiled once.
        alike=key_of({"config": config.to_dict(), **asked}),
        determines={
            "label": options.label,
            "seed": options.model_seed,
            "model": model,
            **asked,
        },
    )


def _starts_first(runs: Iterable[Run]) -> list[Run]:
    """Every run after the one whose model it starts from."""
    by_name = {run.name: run for run in runs}
    ordered: dict[str, Run] = {}

    def add(run: Run) -> None:
        for name in run.after:
            add(by_name[name])
        ordered[run.name] = run

    for run in by_name.values():
        add(run)
    return list(ordered.values())
