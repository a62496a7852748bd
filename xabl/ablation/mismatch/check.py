"""All checks of one run, in order: first those that need no scores."""

from collections.abc import Callable

import numpy as np

from xabl.ablation.engine.device_loop import Evaluation
from xabl.ablation.input_files import InputFiles
from xabl.ablation.inputs import Inputs
from xabl.ablation.mismatch.features import feature_findings
from xabl.ablation.mismatch.findings import Finding, OnMismatch, stop_if_asked
from xabl.ablation.mismatch.scores import LEAST_IMAGES, score_findings
from xabl.models import model_directory


def check(
    inputs: Inputs,
    files: InputFiles,
    evaluation: Evaluation,
    on_mismatch: OnMismatch,
    say: Callable[[str], None],
) -> tuple[Finding, ...]:
    """What does not belong together; said, unless it stops the run.

    Raises:
        UserError: it is to stop the run.
    """
    findings = list(inputs.findings)
    if inputs.described is not None:
        trained = model_directory.trained_regions(files.model)
        findings += feature_findings(inputs.described, trained)
    stop_if_asked(findings, on_mismatch)
    images = {example.image_id for example in inputs.plan.examples}
    if len(images) >= LEAST_IMAGES:  # else losses say nothing
        say("scoring some phrases first, to see whether the files belong together")
        unigram = float(np.nanmean(inputs.guesses.unigram["mlm"]))
        findings += score_findings(evaluation, unigram)
        stop_if_asked(findings, on_mismatch)
    for finding in findings:
        say(f"suspicious: {finding}")
    return tuple(findings)
