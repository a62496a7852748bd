"""One ablation from files to a results directory: what `xabl ablate` does."""

import contextlib
import dataclasses
import functools
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from xabl.ablation.ablation_results import AblationResults
from xabl.ablation.definition import METHOD
from xabl.ablation.digests import params_sha256
from xabl.ablation.engine.device_loop import Evaluation, Options, score
from xabl.ablation.engine.explain import explain
from xabl.ablation.engine.pair_scores import AblationScores
from xabl.ablation.engine.scorer import Params
from xabl.ablation.engine.unfinished import KeptScores
from xabl.ablation.input_files import InputFiles
from xabl.ablation.inputs import Inputs, read_inputs
from xabl.ablation.keeping import keep_scores, say
from xabl.ablation.mismatch.check import check
from xabl.ablation.mismatch.findings import Finding, OnMismatch
from xabl.ablation.mismatch.sample import scored
from xabl.ablation.plan import Plan
from xabl.ablation.series import Series
from xabl.ablation.shares import Shares
from xabl.ablation.tables import (
    examples_table,
    predictions_table,
    scores_table,
    words_table,
)
from xabl.data.image_files import check_folder
from xabl.results.conditions import Direction
from xabl.results.directory import ResultsDirectory
from xabl.results.format import (
    EXAMPLES,
    PREDICTIONS,
    SCORES,
    SUSPICIONS,
    WORDS,
    manifest,
)
from xabl.results.published import published_row
from xabl.results.yardsticks import in_manifest, yardsticks
from xabl.support import provenance
from xabl.support.devices import LocalDevices
from xabl.support.hosts import together
from xabl.support.progress import Progress

_COMPILING = "compiling the first program"  # until the first input is scored


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What to evaluate, how, and where the results go.

    output: the results directory; None only to explain.
    images: folder of pictures, kept by name for the report.
    label: what the model is called in tables; its configuration's name by default.
    group: of a study's models that this one belongs to.
    devices: how many local devices to use; all by default.
    flags: as the user gave them, for the manifest.
    study_key: what a study knows this run by.
    patience: seconds to wait for another run that writes to the same output.
    on_mismatch: what to do when features, captions and model do not seem to belong
        together.
    on_progress: called with the number of inputs scored, and of all.
    """

    files: InputFiles
    evaluation: Options
    output: Path | None
    images: Path | None = None
    overwrite: bool = False
    resume: bool = False
    label: str | None = None
    model_seed: int | None = None
    group: str | None = None
    devices: int | None = None
    flags: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    study_key: str | None = None
    patience: float = 0.0
    on_mismatch: OnMismatch = OnMismatch.STOP_IF_CERTAIN
    on_progress: Callable[[int, int], None] = lambda done, total: None


def explain_run(options: RunOptions) -> None:
    """Prints what `run` would compute; scores and writes nothing.

    Raises:
        UserError: bad input.
    """
    series = Series(options.devices, is_single=True)
    inputs, params = series.read(options.files, say)
    print(explain(series.evaluation(inputs, params, options.evaluation)))


def run(options: RunOptions, series: Series | None = None) -> None:
    """Evaluates one model and writes the results directory.

    Interrupted, what was scored is kept beside `output` for `resume`.

    Args:
        series: what earlier runs of this process left for later ones.

    Raises:
        UserError: bad input, or results that cannot be written; another run is
            writing there.
    """
    with together("looking what is there"):  # no process writes before all have looked
        if options.images is not None:
            check_folder(options.images)
        results = ResultsDirectory(
            options.output, overwrite=options.overwrite, resume=options.resume
        )
    shares = Shares(results.unfinished)
    with contextlib.ExitStack() as stack:
        with together("taking the output"):
            if shares.is_first:
                stack.enter_context(results.lock(options.patience))
        series = series or Series(options.devices, is_single=True)
        _run(options, results, series, shares)


def _run(
    options: RunOptions, results: ResultsDirectory, series: Series, shares: Shares
) -> None:
    clock = Clock()
    kept = KeptScores(results.unfinished, shares.writer)
    with together("reading its files"):
        inputs, params = series.read(options.files, say)
        identity = _identity(options, inputs, params_sha256(params))
        clock.phase_ends("load")
        if results.is_finished and options.resume:
            results.check_same(identity)
            say(f"{results.path}: finished already, nothing to resume")
            return
        evaluation = series.evaluation(inputs, params, options.evaluation)
        tell = say if shares.is_first else (lambda line: None)
        findings = _check(options, inputs, evaluation, tell)
    # The devices have what they need of the regions: room for what comes now.
    inputs = dataclasses.replace(inputs, regions=None, findings=findings)
    scores = keep_scores(
        functools.partial(score, evaluation),
        inputs.plan,
        kept,
        identity,
        resume=options.resume,
        on_progress=options.on_progress,
        shares=shares,
        first=_COMPILING,
        evaluation=evaluation,
    )
    if scores is None:
        say("the share of this process is scored; the first puts all together")
        return
    clock.phase_ends("score")
    found = _results(options, inputs, series.devices, identity, scores, clock)
    found.put_in_place(results, kept)
    if WORDS.name in found.tables and inputs.word_classes.notice:
        say(inputs.word_classes.notice)
    print(found.text)
    print(told_of(results))


def told_of(results: ResultsDirectory) -> str:
    """What was written, and the next step."""
    return (
        f"wrote {results.path}\n"
        f"next: xabl report --results={results.path} --output=report.html"
    )


def evaluate(options: RunOptions, params: Params) -> AblationResults:
    """What `run` would write, kept in memory; for a model that is loaded already.

    Args:
        options: without an output.
        params: those of the model directory in `options`.

    Raises:
        UserError: bad input.
    """
    clock = Clock()
    series = Series(options.devices, is_single=True)
    params = series.devices.replicate(params)
    inputs = read_inputs(options.files, say)
    identity = _identity(options, inputs, params_sha256(params))
    clock.phase_ends("load")
    evaluation = series.evaluation(inputs, params, options.evaluation)
    findings = _check(options, inputs, evaluation, say)
    inputs = dataclasses.replace(inputs, regions=None, findings=findings)
    total = len(inputs.plan.mlm) + len(inputs.plan.mrc)
    with Progress(total, "inputs", first=_COMPILING) as progress:
        scores = score(
            evaluation,
            on_scores=lambda direction, pairs, values: progress.update(len(pairs)),
        )
    clock.phase_ends("score")
    return _results(options, inputs, series.devices, identity, scores, clock)


def _check(
    options: RunOptions,
    inputs: Inputs,
    evaluation: Evaluation,
    tell: Callable[[str], None],
) -> tuple[Finding, ...]:
    """Whether features, captions and model belong together."""
    return check(
        inputs,
        lambda: scored(evaluation, [evaluation.plan])[0],
        options.on_mismatch,
        tell,
        model=options.files.model,
    )


def _results(
    options: RunOptions,
    inputs: Inputs,
    devices: LocalDevices,
    identity: Mapping[str, Any],
    scores: AblationScores,
    clock: "Clock",
) -> AblationResults:
    tables = {
        SCORES.name: scores_table(scores, inputs.word_pieces),
        EXAMPLES.name: examples_table(inputs.plan.examples, inputs.guesses.unigram),
    }
    if inputs.plan.columns(Direction.VIS4LANG):
        tables[WORDS.name] = words_table(
            scores, inputs.word_pieces, inputs.word_classes
        )
    if options.evaluation.top:
        predictions = predictions_table(scores, inputs.word_pieces)
        tables[PREDICTIONS.name] = predictions
    label = options.label or inputs.config.name
    judged = yardsticks(
        tables[SCORES.name], tables[EXAMPLES.name], inputs.guesses.uniform
    )
    clock.phase_ends("write")
    return AblationResults(
        label=label,
        tables=tables,
        manifest=_manifest(options, inputs, devices, identity, clock)
        | in_manifest(label, judged),
        published=published_row(
            inputs.config.name,
            split=options.files.split,
            num_examples=len(inputs.plan.examples),
        ),
    )


def _identity(
    options: RunOptions, inputs: Inputs, params_sha256: str
) -> dict[str, Any]:
    """All that scores depend on; a run is continued only where none of it changed."""
    files, evaluation = options.files, options.evaluation
    config = json.dumps(inputs.config.to_dict(), sort_keys=True)
    return {
        "method": METHOD,
        "params_sha256": params_sha256,
        "config_sha256": hashlib.sha256(config.encode()).hexdigest(),
        **{f"{name}_sha256": digest for name, digest in inputs.hashes.items()},
        "split": files.split,
        "limit": files.limit,
        "conditions": [f"{c.direction} {c.name}" for c in inputs.plan.conditions],
        "replace_seed": files.replace_seed,
        "vlbert_positions": files.vlbert_positions.value,
        "image_token": evaluation.image_token.value,
        "precision": evaluation.precision.value,
        "save_predictions": evaluation.top,
        "skipped": inputs.skipped,
        "tagger": files.tagger,
        **({} if options.study_key is None else {"study_key": options.study_key}),
    }


def _manifest(
    options: RunOptions,
    inputs: Inputs,
    devices: LocalDevices,
    identity: Mapping[str, Any],
    clock: "Clock",
) -> dict[str, Any]:
    plan, config, files = inputs.plan, inputs.config, options.files
    return manifest(
        label=options.label or config.name,
        name=config.name,
        seed=options.model_seed,
        group=options.group,
        model={
            "directory_name": Path(files.model).absolute().name,
            "config": config.to_dict(),
            "params_sha256": identity["params_sha256"],
        },
        data={
            "split": files.split,
            **{f"{name}_sha256": digest for name, digest in inputs.hashes.items()},
            "examples_total": inputs.examples_total,
            "limit": files.limit,
        },
        conditions=plan.conditions,
        rest={
            "flags": dict(options.flags),
            "scored": plan.num_scored,
            "distinct": len(plan.mlm) + len(plan.mrc),
            "excluded": excluded_counts(plan),
            "skipped": inputs.skipped,
            SUSPICIONS: [str(finding) for finding in inputs.findings],
            "refused": inputs.refused,
            "replace_seed": files.replace_seed,
            "word_classes": dict(inputs.word_classes.source),
            "versions": provenance.versions(),
            "device": devices.description,
            "precision": options.evaluation.precision.value,
            "git_commit": provenance.git_commit(),
            "started": clock.started,
            "seconds": clock.total,
            "seconds_by_phase": clock.phases,
            "identity": dict(identity),
        },
    )


def excluded_counts(plan: Plan) -> dict[str, int]:
    """By reason, examples that are excluded under some condition."""
    counts = {
        reason: int((plan.excluded == number).any(axis=1).sum())
        for number, reason in enumerate(plan.reasons)
    }
    return {reason: count for reason, count in counts.items() if count}


class Clock:
    """When a run started, and seconds by phase."""

    def __init__(self):
        self.started = provenance.now()
        self.phases: dict[str, float] = {}
        self._begin = self._last = time.perf_counter()

    def phase_ends(self, name: str) -> None:
        now = time.perf_counter()
        self.phases[name] = round(now - self._last, 3)
        self._last = now

    @property
    def total(self) -> float:
        return round(time.perf_counter() - self._begin, 3)
