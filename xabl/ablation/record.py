"""What is kept of a run, whatever the model is: tables, manifest, and its identity."""

import time
from collections.abc import Mapping
from typing import Any

from xabl.ablation.ablation_results import AblationResults
from xabl.ablation.definition import METHOD
from xabl.ablation.engine.pair_scores import AblationScores
from xabl.ablation.inputs import Inputs
from xabl.ablation.options import AnyRun
from xabl.ablation.plan import Plan
from xabl.ablation.tables import (
    examples_table,
    own_words_table,
    predictions_table,
    scores_table,
    words_table,
)
from xabl.data.whole_words import WholeWords
from xabl.results.conditions import Direction
from xabl.results.format import (
    EXAMPLES,
    PREDICTIONS,
    SCORES,
    SUSPICIONS,
    WORDS,
    manifest,
)
from xabl.results.published import PublishedRow
from xabl.results.yardsticks import in_manifest, yardsticks
from xabl.support import provenance


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


def identity_of(run: AnyRun, inputs: Inputs, **model: Any) -> dict[str, Any]:
    """All that scores depend on; a run is continued only where none of it changed.

    Args:
        model: what is to be known of the model and of how it is asked.
    """
    files = run.files
    return {
        "method": METHOD,
        **model,
        **inputs.hashes,
        "split": files.split,
        "limit": files.limit,
        "conditions": [f"{c.direction} {c.name}" for c in inputs.plan.conditions],
        "replace_seed": files.replace_seed,
        "skipped": inputs.skipped,
        "tagger": files.tagger,
    }


def results_of(
    run: AnyRun,
    inputs: Inputs,
    identity: Mapping[str, Any],
    scores: AblationScores,
    clock: Clock,
    *,
    name: str,
    model: Mapping[str, Any],
    rest: Mapping[str, Any],
    group: str | None = None,
    published: PublishedRow | None = None,
) -> AblationResults:
    """The tables and the manifest of a run.

    Args:
        name: of the model's configuration; its label, if there is no other.
        model: what else the manifest says of the model.
        rest: and of the run.
    """
    plan, files, label = scores.plan, run.files, run.label or name
    tables = {
        SCORES.name: scores_table(scores, inputs.word_pieces),
        EXAMPLES.name: examples_table(plan.examples, inputs.guesses.unigram),
    }
    if plan.columns(Direction.VIS4LANG):
        tables[WORDS.name] = (
            own_words_table(scores, inputs.word_classes)
            if isinstance(inputs.word_pieces, WholeWords)
            else words_table(scores, inputs.word_pieces, inputs.word_classes)
        )
    if any("top_classes" in found for found in scores.pairs.values()):
        tables[PREDICTIONS.name] = predictions_table(scores, inputs.word_pieces)
    judged = yardsticks(
        tables[SCORES.name], tables[EXAMPLES.name], inputs.guesses.uniform
    )
    clock.phase_ends("write")
    about = {
        "scored": plan.num_scored,
        "distinct": scores.num_scored,
        "excluded": _excluded_counts(plan),
        "skipped": inputs.skipped,
        SUSPICIONS: [str(finding) for finding in inputs.findings],
        "replace_seed": files.replace_seed,
        "word_classes": dict(inputs.word_classes.source),
        "versions": provenance.versions(),
        "git_commit": provenance.git_commit(),
        "started": clock.started,
        "seconds": clock.total,
        "seconds_by_phase": clock.phases,
        **rest,
        "identity": dict(identity),
        **in_manifest(label, judged),
    }
    return AblationResults(
        label=label,
        tables=tables,
        manifest=manifest(
            label=label,
            name=name,
            seed=run.model_seed,
            group=group,
            model=model,
            data={
                "split": files.split,
                **inputs.hashes,
                "examples_total": inputs.examples_total,
                "limit": files.limit,
            },
            conditions=plan.conditions,
            rest=about,
        ),
        published=published,
    )


def _excluded_counts(plan: Plan) -> dict[str, int]:
    """By reason, examples that are excluded under some condition."""
    counts = {
        reason: int((plan.excluded == number).any(axis=1).sum())
        for number, reason in enumerate(plan.reasons)
    }
    return {reason: count for reason, count in counts.items() if count}
