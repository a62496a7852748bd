"""The ablation of a model that is a function of one's own, from files to results.

At two levels: `any_model`, a function from our words and regions to logits, and
`any_input`, a function from what an ablation is to log-probabilities. Both are asked
the plan's distinct inputs, in batches; scores are kept as those of our models are.
"""

import dataclasses
import functools
import hashlib
import json
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from xabl.ablation.ablation_results import AblationResults
from xabl.ablation.any_input import AnyInput
from xabl.ablation.any_model import Model
from xabl.ablation.definition import Definition
from xabl.ablation.distinct_inputs import NOT_SCORED
from xabl.ablation.engine.device_loop import OnScores
from xabl.ablation.engine.pair_scores import (
    AblationScores,
    put_scores,
    scored_pairs,
)
from xabl.ablation.engine.unfinished import KeptScores
from xabl.ablation.examples import PhraseExample
from xabl.ablation.inputs import Inputs, read_own_inputs
from xabl.ablation.interview import Interview
from xabl.ablation.keeping import in_memory, is_done, keep_scores, say
from xabl.ablation.mismatch.check import check
from xabl.ablation.mismatch.sample import Ask, asked
from xabl.ablation.options import OwnRun
from xabl.ablation.own.region_reader import RegionReader, giving_logits
from xabl.ablation.own.results import own_results
from xabl.ablation.plan import Plan
from xabl.ablation.record import Clock, identity_of
from xabl.ablation.run import told_of
from xabl.ablation.shares import Shares
from xabl.data.image_files import SUFFIXES, check_folder, file_like, image_file
from xabl.data.whole_words import Tokens, WholeWords
from xabl.data.word_pieces import WordPieces
from xabl.errors import UserError
from xabl.models.visual_targets import VISUAL_TARGETS, VisualTarget
from xabl.results.conditions import Condition, Direction
from xabl.results.directory import ResultsDirectory
from xabl.results.format import ANYTHING
from xabl.support.image_ids import canonical_id

_FIRST = "the model is asked for the first time"


def ablate_function(model: Model, run: OwnRun) -> AblationResults:
    """Ablates a function from words and regions to logits.

    Args:
        model: see `any_model`.
        run: its files name a vocabulary.

    Raises:
        UserError: bad input; logits of another shape, or not finite.
    """
    if run.files.vocabulary is None:
        raise UserError("--vocab: give the vocab.txt of the model's word pieces")
    target = _target(run)

    def asker(inputs: Inputs) -> Ask:
        definition = Definition(
            model=giving_logits(model),
            regions=inputs.regions,
            average=inputs.average,
            mask_id=inputs.word_pieces.mask_id,
            target=target,
            per_example_positions=True,
            donors=inputs.donors,
            batch_size=run.batch_size,
        )
        return RegionReader(
            definition=definition,
            pieces=word_pieces.size,
            widest=inputs.plan.mlm.positions.shape[1],
            top=run.top,
        ).losses

    word_pieces = WordPieces(run.files.vocabulary, lower_case=run.lower_case)
    return _ablate(model, run, word_pieces, asker, reads="words and regions")


def ablate_anything(model: AnyInput, run: OwnRun) -> AblationResults:
    """Ablates a function from what an ablation is to log-probabilities.

    Args:
        model: see `any_input`.

    Raises:
        UserError: bad input; an answer that is none.
    """
    words = WholeWords()

    def asker(inputs: Inputs) -> Ask:
        return Interview(
            model=model,
            words=words,
            regions=inputs.regions,
            images=_image_files(run.images, inputs.donors.examples),
            donors=inputs.donors,
            target=_target(run),
        ).losses

    return _ablate(model, run, words, asker, reads=ANYTHING)


def _ablate(
    model: Callable[..., Any],
    run: OwnRun,
    word_pieces: Tokens,
    asker: Callable[[Inputs], Ask],
    *,
    reads: str,
) -> AblationResults:
    """Reads, scores and writes, whatever the model reads."""
    if run.images is not None:
        check_folder(run.images)
    if run.output is None:
        if run.resume or run.overwrite:
            raise UserError(
                "--resume and --overwrite are of a results directory: give --output"
            )
        return _run(model, run, word_pieces, asker, reads, None)
    results = ResultsDirectory(run.output, overwrite=run.overwrite, resume=run.resume)
    with results.lock():
        return _run(model, run, word_pieces, asker, reads, results)


def _run(
    model: Callable[..., Any],
    run: OwnRun,
    word_pieces: Tokens,
    asker: Callable[[Inputs], Ask],
    reads: str,
    results: ResultsDirectory | None,
) -> AblationResults:
    clock = Clock()
    inputs = read_own_inputs(run.files, word_pieces, _target(run), say)
    plan, ask = inputs.plan, asker(inputs)
    score = functools.partial(_score, plan, ask, run.batch_size)
    identity = _identity(model, run, inputs, reads)
    clock.phase_ends("load")
    if results is not None and is_done(results, identity):
        return AblationResults.read(results)
    findings = check(
        inputs,
        lambda: asked(plan, ask, run.batch_size, sees_regions=bool(run.files.regions)),
        run.on_mismatch,
        say,
    )
    inputs = dataclasses.replace(inputs, findings=findings)
    if results is None:
        scores = in_memory(score, plan, first=_FIRST)
        return own_results(run, inputs, identity, scores, clock)
    shares = Shares(results.unfinished)
    if shares.count > 1:
        raise UserError("a function of one's own is ablated by one process: start one")
    kept = KeptScores(results.unfinished)
    scores = keep_scores(
        score,
        plan,
        kept,
        identity,
        resume=run.resume,
        shares=shares,
        first=_FIRST,
    )
    found = own_results(run, inputs, identity, scores, clock)
    found.put_in_place(results, kept)
    print(told_of(results))
    return found


def _score(
    plan: Plan,
    ask: Ask,
    batch_size: int,
    *,
    found: AblationScores | None = None,
    on_scores: OnScores,
    share: tuple[int, int] = (0, 1),
) -> AblationScores:
    """Asks every distinct pair of a plan; see `device_loop.score`.

    A loss that is NaN is of a pair that the model cannot be asked.
    """
    del share  # of one process
    scores = {d: dict(found.pairs.get(d, {})) if found else {} for d in Direction}
    for direction in Direction:
        left = ~scored_pairs(plan, scores[direction], direction)
        for condition, rows, pairs in _by_condition(plan, direction):
            rows, pairs = rows[left[pairs]], pairs[left[pairs]]
            for start in range(0, len(pairs), batch_size):
                step = pairs[start : start + batch_size]
                examples = [
                    plan.examples[row] for row in rows[start : start + batch_size]
                ]
                values = ask(examples, condition)
                put_scores(scores[direction], plan, direction, step, values)
                on_scores(direction, step, values)
    return AblationScores(plan=plan, pairs=scores)


def _by_condition(
    plan: Plan, direction: Direction
) -> Iterator[tuple[Condition, Int[np.ndarray, " _"], Int[np.ndarray, " _"]]]:
    """For each distinct pair the first example that asks it, condition by condition."""
    columns = plan.columns(direction)
    numbers = plan.pair[:, columns].T
    pairs, first = np.unique(numbers, return_index=True)
    first, pairs = first[pairs != NOT_SCORED], pairs[pairs != NOT_SCORED]
    which, row = np.divmod(first, len(plan.examples))
    for place, column in enumerate(columns):
        here = which == place
        yield plan.conditions[column], row[here], pairs[here]


def _identity(
    model: Callable[..., Any], run: OwnRun, inputs: Inputs, reads: str
) -> dict[str, Any]:
    """All that scores depend on, as far as it can be known of a function."""
    identity = identity_of(
        run,
        inputs,
        reads=reads,
        code_sha256=_code_sha256(model),
        about=run.about,
        hides=run.hides,
        target=run.target,
        save_predictions=run.top,
    )
    try:
        return json.loads(json.dumps(identity))
    except (TypeError, ValueError) as error:
        raise UserError(f"--about: not what JSON can hold ({error})") from error


def _code_sha256(model: Callable[..., Any]) -> str | None:
    """Of what a function does, not of where it stands; None: it cannot be known."""
    function = model if hasattr(model, "__code__") else type(model).__call__
    if not hasattr(function, "__code__"):
        return None  # not written in Python

    def text(constant: Any) -> str:
        if isinstance(constant, frozenset):  # in another order in every process
            return f"frozenset({sorted(map(repr, constant))})"
        if not isinstance(constant, types.CodeType):
            return repr(constant)
        constants = [text(each) for each in constant.co_consts]
        return f"{constant.co_code.hex()} {constant.co_names} {constants}"

    return hashlib.sha256(text(function.__code__).encode()).hexdigest()


def _target(run: OwnRun) -> VisualTarget:
    scored = {n: t for n, t in VISUAL_TARGETS.items() if t.is_scored}
    if run.target not in scored:
        raise UserError(f"--target={run.target!r}: give {' or '.join(scored)}")
    return scored[run.target]


def _image_files(
    folder: Path | None, examples: Sequence[PhraseExample]
) -> dict[str, Path]:
    """The file of each image, by its id.

    Raises:
        UserError: some images are not there.
    """
    if folder is None:
        return {}
    ids = dict.fromkeys(example.image_id for example in examples)
    files = {image_id: image_file(folder, image_id) for image_id in ids}
    missing = [image_id for image_id, path in files.items() if path is None]
    if missing:
        cure = file_like(folder, missing[0]) or (
            "put them there, or leave those images out of the split"
        )
        raise UserError(
            f"{folder}: {len(missing)} of {len(ids)} images are not there (first: "
            f"{missing[0]}{SUFFIXES[0]}); {cure}"
        )
    return {canonical_id(image_id): path for image_id, path in files.items()}
