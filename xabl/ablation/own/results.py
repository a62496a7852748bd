"""What a function of one's own answered, as results."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from xabl.ablation.ablation_results import AblationResults
from xabl.ablation.distinct_inputs import NOT_SCORED
from xabl.ablation.engine.pair_scores import AblationScores, scored_pairs
from xabl.ablation.inputs import Inputs
from xabl.ablation.keeping import say
from xabl.ablation.options import OwnRun
from xabl.ablation.record import Clock, results_of
from xabl.errors import UserError
from xabl.results.conditions import Direction

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
    """The results of a run.

    Args:
        identity: all that its scores depend on.

    Raises:
        UserError: the model answered nothing.
    """
    asked = scores.plan.conditions
    scores = _answered(scores)
    clock.phase_ends("score")
    cannot = [
        f"{condition.direction} {condition.name}"
        for condition in asked
        if condition not in scores.plan.conditions
    ]
    if cannot:
        say(f"{run.label}: left out, since {_SILENT}: {', '.join(cannot)}")
    about = {
        "reads": identity["reads"],
        "hides": run.hides,
        "about": dict(run.about),
        "cannot": cannot,
        **_token_counts(scores),
    }
    return results_of(
        run, inputs, identity, scores, clock, name=run.label, model=about, rest={}
    )


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
