"""What the ablation of a function of one's own found, as results."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from xabl.ablation.ablation_results import AblationResults
from xabl.ablation.distinct_inputs import NOT_SCORED
from xabl.ablation.engine.pair_scores import AblationScores, scored_pairs
from xabl.ablation.inputs import Inputs
from xabl.ablation.keeping import say
from xabl.ablation.own.options import OwnRun
from xabl.ablation.run import Clock, excluded_counts
from xabl.ablation.tables import (
    examples_table,
    predictions_table,
    scores_table,
    word_columns,
    words_table,
)
from xabl.ablation.word_classes import WordClasses
from xabl.data.whole_words import WholeWords
from xabl.errors import UserError
from xabl.results.conditions import Direction
from xabl.results.format import (
    EXAMPLES,
    PREDICTIONS,
    SCORES,
    SUSPICIONS,
    WORDS,
    manifest,
)
from xabl.results.yardsticks import in_manifest, yardsticks
from xabl.support import provenance

# As far as is known here.
_SILENT = "every answer was None, or had no token of the words asked for"
NOT_ANSWERED = "not answered by the model"


def own_results(
    run: OwnRun,
    inputs: Inputs,
    identity: Mapping[str, Any],
    scores: AblationScores,
    clock: Clock,
) -> AblationResults:
    """The tables and the manifest of a run.

    Args:
        run: an `OwnRun`.
        identity: all that its scores depend on.

    Raises:
        UserError: the model answered nothing.
    """
    asked = scores.plan
    scores = _answered(scores)
    clock.phase_ends("score")
    plan = scores.plan
    cannot = [
        f"{condition.direction} {condition.name}"
        for condition in asked.conditions
        if condition not in plan.conditions
    ]
    if cannot:
        say(f"{run.label}: left out, since {_SILENT}: {', '.join(cannot)}")
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
    if run.top and "top_classes" in scores.pairs[Direction.VIS4LANG]:
        tables[PREDICTIONS.name] = predictions_table(scores, inputs.word_pieces)
    judged = yardsticks(
        tables[SCORES.name], tables[EXAMPLES.name], inputs.guesses.uniform
    )
    clock.phase_ends("write")
    known = {f"{name}_sha256": v for name, v in inputs.hashes.items() if v is not None}
    return AblationResults(
        label=run.label,
        tables=tables,
        manifest=manifest(
            label=run.label,
            name=run.label,
            seed=run.seed,
            model={
                "reads": identity["reads"],
                "hides": run.hides,
                "about": dict(run.about),
                "cannot": cannot,
                **_token_counts(scores),
            },
            data={
                "split": run.files.split,
                **known,
                "examples_total": inputs.examples_total,
                "limit": run.files.limit,
            },
            conditions=plan.conditions,
            rest={
                "scored": plan.num_scored,
                "distinct": scores.num_scored,
                "excluded": excluded_counts(plan),
                "skipped": inputs.skipped,
                SUSPICIONS: [str(finding) for finding in inputs.findings],
                "replace_seed": run.files.replace_seed,
                "versions": provenance.versions(),
                "git_commit": provenance.git_commit(),
                "started": clock.started,
                "seconds": clock.total,
                "seconds_by_phase": clock.phases,
                "word_classes": dict(inputs.word_classes.source),
                "identity": dict(identity),
            },
        )
        | in_manifest(run.label, judged),
        published=None,
    )


def own_words_table(scores: AblationScores, classes: WordClasses) -> pa.Table:
    """words.parquet of a model with tokens of its own: a row for each of them.

    What the tokens are is not known: each has the word it is of. Nor is their rank.
    """
    plan, found = scores.plan, scores.pairs[Direction.VIS4LANG]
    parts = [WORDS.schema.empty_table()]
    for column in plan.columns(Direction.VIS4LANG):
        condition, pair = plan.conditions[column], plan.pair[:, column]
        (scored,) = np.nonzero(pair != NOT_SCORED)
        row, token = np.nonzero(found["piece_word"][pair[scored]] >= 0)
        row, pair = scored[row], pair[scored[row]]
        words = found["piece_word"][pair, token]
        loss = found["piece_loss"][pair, token]
        told = [plan.examples[number] for number in row]
        values = word_columns(told, words, classes) | {
            "direction": [condition.direction.value] * len(row),
            "condition": [condition.name] * len(row),
            "position": token,
            "loss": loss,
            "probability": np.exp(-loss),
        }
        values["piece"] = [
            example.sentence[start:end]
            for example, start, end in zip(
                told, values["start"], values["end"], strict=True
            )
        ]
        parts.append(WORDS.table(values, len(row)))
    return pa.concat_tables(parts)


def _answered(scores: AblationScores) -> AblationScores:
    """Without the conditions under which the model cannot be asked anything.

    Raises:
        UserError: there is none under which it can.
    """
    plan = scores.plan
    pair, excluded, kept = plan.pair.copy(), plan.excluded.copy(), []
    for column, condition in enumerate(plan.conditions):
        direction = condition.direction
        answered = scored_pairs(plan, scores.pairs[direction], direction)
        was_asked = pair[:, column] != NOT_SCORED
        silent = was_asked & ~np.append(answered, False)[pair[:, column]]
        pair[silent, column] = NOT_SCORED
        excluded[silent, column] = len(plan.reasons)
        if not was_asked.any() or not np.array_equal(silent, was_asked):
            kept.append(column)
    conditions = tuple(plan.conditions[column] for column in kept)
    if not (pair[:, kept] != NOT_SCORED).any():
        raise UserError(f"the model answers nothing: {_SILENT}")
    plan = dataclasses.replace(
        plan,
        conditions=conditions,
        reasons=(*plan.reasons, NOT_ANSWERED),
        pair=pair[:, kept],
        excluded=excluded[:, kept],
        ablated_regions=plan.ablated_regions[:, kept],
    )
    return AblationScores(plan=plan, pairs=scores.pairs)


def _token_counts(scores: AblationScores) -> dict[str, Any]:
    """How many tokens of its own the model has for the words of the phrases."""
    found = scores.pairs[Direction.VIS4LANG].get("piece_word")
    if found is None:
        return {}
    plan = scores.plan
    columns = plan.columns(Direction.VIS4LANG)
    pair = plan.pair[:, columns[:1]].ravel()
    pair = pair[pair != NOT_SCORED]
    words = plan.mlm.num_targets[pair].sum()
    return {
        "tokens": {
            "words": int(words),
            "own_tokens": int((found[pair] >= 0).sum()),
        }
    }
