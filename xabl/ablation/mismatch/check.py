"""All checks of one run, in order: first those that need no scores."""

from collections.abc import Callable, Mapping
from pathlib import Path

from xabl.ablation.inputs import Inputs
from xabl.ablation.mismatch.annotations import LEAST_IMAGES
from xabl.ablation.mismatch.features import feature_findings
from xabl.ablation.mismatch.findings import Finding, stop_if_asked
from xabl.ablation.mismatch.scores import Trial, trial_findings
from xabl.ablation.options import OnMismatch
from xabl.models import model_directory
from xabl.results.conditions import Direction


def check(
    inputs: Inputs,
    trials: Callable[[], Mapping[Direction, Trial]],
    on_mismatch: OnMismatch,
    say: Callable[[str], None],
    *,
    model: Path | None = None,
) -> tuple[Finding, ...]:
    """What does not belong together; said, unless it stops the run.

    Args:
        trials: scores a sample, see `mismatch.sample`; called if nothing has stopped
            the run before.
        model: its directory, which may say what regions it was trained with; None for
            a function of one's own.

    Raises:
        UserError: it is to stop the run.
    """
    findings = list(inputs.findings)
    if inputs.described is not None and model is not None:
        findings += feature_findings(
            inputs.described,
            model_directory.trained_regions(model),
            knows_classes=bool(inputs.config.visual_targets),
        )
    stop_if_asked(findings, on_mismatch)
    images = {example.image_id for example in inputs.plan.examples}
    if len(images) >= LEAST_IMAGES:  # else losses say nothing
        say("scoring some phrases first, to see whether the files belong together")
        findings += trial_findings(trials(), inputs.guesses.mean_unigram)
        stop_if_asked(findings, on_mismatch)
    for finding in findings:
        say(f"suspicious: {finding}")
    return tuple(findings)
