"""Scores are kept while they are made, so that an interrupted run can be continued."""

import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from xabl.ablation.engine.device_loop import Evaluation
from xabl.ablation.engine.pair_scores import AblationScores
from xabl.ablation.engine.unfinished import KeptScores, NotKept
from xabl.ablation.plan import Plan
from xabl.ablation.shares import Shares
from xabl.errors import DiskFails, UserError
from xabl.results.conditions import Direction
from xabl.results.directory import ResultsDirectory
from xabl.support import lease
from xabl.support.hosts import together
from xabl.support.progress import Progress


def keep_scores(
    score: Callable[..., AblationScores],
    plan: Plan,
    kept: KeptScores,
    identity: Mapping[str, Any],
    *,
    resume: bool,
    shares: Shares,
    first: str,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    evaluation: Evaluation | None = None,
) -> AblationScores | None:
    """Scores what was not scored before; None if another process puts all together.

    Interrupted, what was scored is on disk.

    Args:
        score: scores the rest of the plan; takes `found`, `on_scores` and `share`, as
            `device_loop.score` does.
        identity: all that scores depend on.
        resume: whether to go on from what was kept.
        first: what goes on until the first is scored.
        on_progress: called with the number of inputs scored, and of all.
        evaluation: which several processes divide alike; one process needs none.

    Raises:
        UserError: scores of another run are kept, or `score` raises it: then what was
            kept is discarded, for other files or flags are needed.
    """
    with together("beginning what is kept"):
        if shares.is_first:
            if not (resume and kept.exist):
                if resume:
                    say("nothing to resume: starting from the first example")
                kept.begin(identity)
            if evaluation is not None:
                shares.begin(evaluation)
    with together("reading what was kept"):
        if evaluation is not None:
            shares.agree(evaluation)
        found = kept.load(identity, plan)
    total, done = len(plan.mlm) + len(plan.mrc), found.num_scored
    own = -(-(total - done) // shares.count)
    with shares.at_work(kept), Progress(own, "inputs", first=first) as progress:

        def on_scores(
            direction: Direction, pairs: np.ndarray, values: Mapping[str, np.ndarray]
        ) -> None:
            nonlocal done
            kept.add(direction, pairs, values)
            progress.update(len(pairs))
            done += len(pairs)
            on_progress(done, total)

        try:
            scores = score(
                found=found, on_scores=on_scores, share=(shares.this, shares.count)
            )
        except (NotKept, lease.Lost, DiskFails):
            raise
        except UserError:
            if shares.count == 1:
                kept.discard()  # other files or flags are needed: another run
            raise
        finally:
            if kept.exist:
                kept.flush()
    if shares.count == 1:
        return scores
    if not shares.is_first:
        return None
    shares.wait()
    scores = kept.load(identity, plan)
    if scores.num_scored < total:
        raise UserError(
            f"{kept.folder}: {total - scores.num_scored} inputs have no scores; run "
            "again with --resume"
        )
    return scores


def in_memory(
    score: Callable[..., AblationScores], plan: Plan, *, first: str
) -> AblationScores:
    """Scores a plan, of which nothing is kept; `score` and `first` as `keep_scores`."""
    total = len(plan.mlm) + len(plan.mrc)
    with Progress(total, "inputs", first=first) as progress:
        return score(on_scores=lambda _, pairs, __: progress.update(len(pairs)))


def is_done(results: ResultsDirectory, identity: Mapping[str, Any]) -> bool:
    """Whether a run that is to be resumed was finished; says so.

    Raises:
        UserError: it was another one.
    """
    if not (results.is_finished and results.resume):
        return False
    results.check_same(identity)
    say(f"{results.path}: finished already, nothing to resume")
    return True


def say(line: str) -> None:
    """A line for the user beside the progress."""
    print(line, file=sys.stderr, flush=True)
