"""One ablation from files to a results directory: what `experiments.ablate` does."""

import dataclasses
import functools
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from xabl.ablation.engine.device_loop import Evaluation, Options, Request, score
from xabl.ablation.engine.explain import explain
from xabl.ablation.engine.memory import return_freed
from xabl.ablation.engine.pair_scores import AblationScores
from xabl.ablation.engine.scorer import Params
from xabl.ablation.engine.unfinished import NotKept
from xabl.ablation.inputs import InputFiles, Inputs, read_inputs
from xabl.errors import UserError
from xabl.models import model_directory
from xabl.results import manifest
from xabl.results.conditions import Direction
from xabl.results.directory import ResultsDirectory
from xabl.results.manifest import file_sha256
from xabl.results.published import published_row
from xabl.results.summary import summarise, summary_text, summary_tsv
from xabl.results.tables import examples_table, predictions_table, scores_table
from xabl.support.devices import LocalDevices
from xabl.support.progress import Progress


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What to evaluate, how, and where the results go.

    output: the results directory; None only to explain.
    label: what the model is called in tables; its configuration's name by default.
    devices: how many local devices to use; all by default.
    flags: as the user gave them, for the manifest.
    study_key: what a study knows this run by.
    on_progress: is told how many inputs are scored, of how many.
    """

    files: InputFiles
    evaluation: Options
    output: Path | None
    overwrite: bool = False
    resume: bool = False
    label: str | None = None
    model_seed: int | None = None
    devices: int | None = None
    flags: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    study_key: str | None = None
    on_progress: Callable[[int, int], None] = lambda done, total: None


def explain_run(options: RunOptions) -> None:
    """Prints what `run` would compute; scores and writes nothing.

    Raises:
        UserError: bad input.
    """
    series = Series(is_single=True)
    inputs, params = series.read(options)
    print(explain(series.evaluation(options, inputs, params)))


def run(options: RunOptions, series: "Series | None" = None) -> None:
    """Evaluates one model and writes the results directory.

    Interrupted, what was scored is kept beside `output` for `resume`.

    Args:
        series: runs of this process that this one may share data and programs with.

    Raises:
        UserError: bad input, or results that cannot be written; another run is
            writing there.
    """
    results = ResultsDirectory(
        options.output, overwrite=options.overwrite, resume=options.resume
    )
    with results.lock():
        _run(options, results, series or Series(is_single=True))


def _run(options: RunOptions, results: ResultsDirectory, series: "Series") -> None:
    clock = _Clock()
    inputs, params = series.read(options)
    identity = _identity(options, inputs, manifest.params_sha256(params))
    clock.phase_ends("load")
    if results.is_finished and options.resume:
        results.check_same(identity)
        _say(f"{results.path}: finished already, nothing to resume")
        return
    evaluation = series.evaluation(options, inputs, params)
    # The devices have what they need of the regions: room for what comes now.
    del params
    inputs = dataclasses.replace(inputs, store=None)
    scores = _scores(evaluation, results, identity, options)
    clock.phase_ends("score")
    label = options.label or inputs.config.name
    rows = summarise(scores)
    tables = {
        "scores": scores_table(scores, inputs.word_pieces),
        "examples": examples_table(inputs.plan.examples),
    }
    if options.evaluation.top:
        tables["predictions"] = predictions_table(scores, inputs.word_pieces)
    clock.phase_ends("write")
    results.write(
        tables,
        summary_tsv(label, rows),
        _manifest(options, inputs, evaluation.devices, identity, clock),
    )
    published = published_row(
        inputs.config.name,
        split=options.files.split,
        num_examples=len(inputs.plan.examples),
    )
    print(summary_text(rows, published))
    print(f"wrote {results.path}")


def _scores(
    evaluation: Evaluation,
    results: ResultsDirectory,
    identity: Mapping[str, Any],
    options: RunOptions,
) -> AblationScores:
    kept, found, plan = results.kept, None, evaluation.plan
    if options.resume and kept.exist:
        found = kept.load(identity, plan)
    else:
        if options.resume:
            _say("nothing to resume: starting from the first example")
        kept.begin(identity)
    total = len(plan.mlm) + len(plan.mrc)
    left = total - (found.num_scored if found else 0)
    with Progress(left, "inputs") as progress:

        def on_scores(
            direction: Direction, pairs: np.ndarray, values: Mapping[str, np.ndarray]
        ) -> None:
            kept.add(direction, pairs, values)
            progress.update(len(pairs))
            options.on_progress(total - left + progress.done, total)

        try:
            return score(evaluation, found=found, on_scores=on_scores)
        except NotKept:
            raise
        except UserError:
            kept.discard()  # other files or flags are needed: another run
            raise
        finally:
            if kept.exist:
                kept.flush()


def _identity(
    options: RunOptions, inputs: Inputs, params_sha256: str
) -> dict[str, Any]:
    """All that scores depend on; a run is continued only where none of it changed."""
    files, evaluation = options.files, options.evaluation
    config = json.dumps(inputs.config.to_dict(), sort_keys=True)
    return {
        "params_sha256": params_sha256,
        "config_sha256": hashlib.sha256(config.encode()).hexdigest(),
        **{f"{name}_sha256": digest for name, digest in inputs.hashes.items()},
        "split": files.split,
        "limit": files.limit,
        "conditions": [f"{c.direction} {c.name}" for c in inputs.plan.conditions],
        "vlbert_positions": files.vlbert_positions.value,
        "image_token": evaluation.image_token.value,
        "precision": evaluation.precision.value,
        "save_predictions": evaluation.top,
        "skipped": inputs.skipped,
        **({} if options.study_key is None else {"study_key": options.study_key}),
    }


def _manifest(
    options: RunOptions,
    inputs: Inputs,
    devices: LocalDevices,
    identity: Mapping[str, Any],
    clock: "_Clock",
) -> dict[str, Any]:
    plan, config = inputs.plan, inputs.config
    directions = [d.value for d in Direction if plan.columns(d)]
    thresholds = [c.threshold for c in plan.conditions if c.threshold is not None]
    return {
        "format": manifest.FORMAT,
        "model": {
            "label": options.label or config.name,
            "name": config.name,
            "seed": options.model_seed,
            "directory_name": Path(options.files.model).absolute().name,
            "config": config.to_dict(),
            "params_sha256": identity["params_sha256"],
        },
        "data": {
            "split": options.files.split,
            **{f"{name}_sha256": digest for name, digest in inputs.hashes.items()},
            "examples_total": inputs.examples_total,
            "limit": options.files.limit,
        },
        "flags": dict(options.flags),
        "directions": directions,
        "thresholds": thresholds,
        "scored": plan.num_scored,
        "distinct": len(plan.mlm) + len(plan.mrc),
        "excluded": manifest.excluded_counts(plan),
        "skipped": inputs.skipped,
        "versions": manifest.versions(),
        "device": devices.description,
        "precision": options.evaluation.precision.value,
        "git_commit": manifest.git_commit(),
        "started": clock.started,
        "seconds": clock.total,
        "seconds_by_phase": clock.phases,
        "identity": dict(identity),
    }


class Series:
    """Runs of one process after each other, which share what they can.

    While models have one configuration and are asked the same, files are read and
    programs compiled once.
    """

    def __init__(self, *, is_single: bool = False):
        """Begins with nothing to share.

        Args:
            is_single: there will be one run only: memory is spared where it can be.
        """
        self._is_single = is_single
        self._inputs: tuple[Any, Inputs] | None = None
        self._evaluation: tuple[Any, Evaluation] | None = None
        self._ahead: tuple[Path, Params] | None = None

    @functools.cached_property
    def _all_devices(self) -> LocalDevices:
        return LocalDevices()

    def _devices(self, options: RunOptions) -> LocalDevices:
        if options.devices is None:
            return self._all_devices
        return LocalDevices(options.devices)

    def load_ahead(self, model: Path) -> None:
        """Reads the parameters of a later run; in another thread, if you like."""
        _, params = model_directory.load(model, sharding=self._all_devices.replicated)
        self._ahead = (model, params)

    def read(self, options: RunOptions) -> tuple[Inputs, Params]:
        """All files. Parameters first: reading them takes memory that regions need."""
        model, devices = options.files.model, self._devices(options)
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == model and options.devices is None:
            params = ahead[1]
        else:
            _, params = model_directory.load(model, sharding=devices.replicated)
        return_freed()
        same = self._same_inputs(options)
        if self._inputs is None or self._inputs[0] != same:
            self._inputs = self._evaluation = None
            self._inputs = same, read_inputs(options.files, _say)
        inputs = self._inputs[1]
        if self._is_single:
            self._inputs = None
        return_freed()  # what planning took
        return inputs, params

    def evaluation(
        self, options: RunOptions, inputs: Inputs, params: Params
    ) -> Evaluation:
        """The model placed on the devices, with the programs of the one before."""
        devices = self._devices(options)
        same = (self._inputs and self._inputs[0], options.evaluation, options.devices)
        if self._evaluation is not None and self._evaluation[0] == same:
            self._evaluation[1].take(params, inputs.store)
            return self._evaluation[1]
        self._evaluation = None
        few = self._is_single and devices.are_the_host
        evaluation = Evaluation(
            Request(
                config=inputs.config,
                params=params,
                plan=inputs.plan,
                store=inputs.store,
                options=dataclasses.replace(options.evaluation, few_programs=few),
            ),
            devices,
        )
        if not self._is_single:
            evaluation.keep_programs()
            self._evaluation = same, evaluation
        return evaluation

    def _same_inputs(self, options: RunOptions) -> Any:
        """Equal for runs that read the same but for the parameters."""
        files = options.files
        own = model_directory.vocabulary_path(files.model)
        vocabulary = files.vocabulary or own
        return (
            dataclasses.replace(files, model=None),
            model_directory.load_config(files.model),
            vocabulary and file_sha256(vocabulary),
        )


def use_compilation_cache() -> None:
    """Keeps compiled programs in the user's cache folder, for the next run."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = str(Path(home) / "xabl" / "compiled")
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class _Clock:
    """When a run started, and seconds by phase."""

    def __init__(self):
        self.started = manifest.now()
        self.phases: dict[str, float] = {}
        self._begin = self._last = time.perf_counter()

    def phase_ends(self, name: str) -> None:
        now = time.perf_counter()
        self.phases[name] = round(now - self._last, 3)
        self._last = now

    @property
    def total(self) -> float:
        return round(time.perf_counter() - self._begin, 3)
