"""One ablation from files to a results directory: what `xabl ablate` does."""

import contextlib
import dataclasses
import functools
import hashlib
import json
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from xabl.ablation.ablation_results import AblationResults
from xabl.ablation.digests import params_sha256
from xabl.ablation.engine.device_loop import Evaluation, score
from xabl.ablation.engine.explain import explain
from xabl.ablation.engine.pair_scores import AblationScores
from xabl.ablation.engine.scorer import Params
from xabl.ablation.engine.unfinished import KeptScores
from xabl.ablation.inputs import Inputs, read_inputs
from xabl.ablation.keeping import in_memory, is_done, keep_scores, say
from xabl.ablation.mismatch.check import check
from xabl.ablation.mismatch.findings import Finding
from xabl.ablation.mismatch.sample import scored
from xabl.ablation.options import RunOptions
from xabl.ablation.record import Clock, identity_of, results_of
from xabl.ablation.series import Series
from xabl.ablation.shares import Shares
from xabl.data.image_files import check_folder
from xabl.results.directory import ResultsDirectory
from xabl.results.format import WORDS
from xabl.results.published import published_row
from xabl.support.devices import LocalDevices
from xabl.support.hosts import together

_COMPILING = "compiling the first program"  # until the first input is scored


def explain_run(options: RunOptions) -> None:
    """Prints what `run` would compute; scores and writes nothing.

    Raises:
        UserError: bad input.
    """
    series = Series(options.devices, is_single=True)
    inputs, params = series.read(options.files, say)
    print(explain(series.evaluation(inputs, params, options.evaluation, say)))


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
        identity = _identity(options, inputs, params)
        clock.phase_ends("load")
        if is_done(results, identity):
            return
        evaluation = series.evaluation(inputs, params, options.evaluation, say)
        # The devices have what they need of the regions: room for what comes now.
        inputs = dataclasses.replace(inputs, regions=None)
        tell = say if shares.is_first else (lambda line: None)
        findings = _check(options, inputs, evaluation, tell)
    inputs = dataclasses.replace(inputs, findings=findings)
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
    path = shlex.quote(str(results.path))
    return (
        f"wrote {results.path}\nnext: xabl report --results={path} --output=report.html"
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
    identity = _identity(options, inputs, params)
    clock.phase_ends("load")
    evaluation = series.evaluation(inputs, params, options.evaluation, say)
    inputs = dataclasses.replace(inputs, regions=None)
    findings = _check(options, inputs, evaluation, say)
    inputs = dataclasses.replace(inputs, findings=findings)
    scores = in_memory(
        functools.partial(score, evaluation), inputs.plan, first=_COMPILING
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
    clock: Clock,
) -> AblationResults:
    config, files = inputs.config, options.files
    return results_of(
        options,
        inputs,
        identity,
        scores,
        clock,
        name=config.name,
        group=options.group,
        model={
            "directory_name": Path(files.model).absolute().name,
            "config": config.to_dict(),
            "params_sha256": identity["params_sha256"],
        },
        rest={
            "flags": dict(options.flags),
            "refused": inputs.refused,
            "device": devices.description,
            "precision": options.evaluation.precision.value,
        },
        published=published_row(
            config.name,
            split=files.split,
            num_examples=len(inputs.plan.examples),
        ),
    )


def _identity(options: RunOptions, inputs: Inputs, params: Params) -> dict[str, Any]:
    evaluation = options.evaluation
    config = json.dumps(inputs.config.to_dict(), sort_keys=True)
    return identity_of(
        options,
        inputs,
        params_sha256=params_sha256(params),
        config_sha256=hashlib.sha256(config.encode()).hexdigest(),
        vlbert_positions=options.files.vlbert_positions.value,
        image_token=evaluation.image_token.value,
        precision=evaluation.precision.value,
        save_predictions=evaluation.top,
        **({} if options.study_key is None else {"study_key": options.study_key}),
    )
