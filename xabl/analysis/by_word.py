"""Losses by word: all that models of different vocabularies can be compared by.

A mean over tokens is lower the more tokens a word has, whatever the model knows. The
loss of a word, the sum over its tokens, does not depend on them. Where the runs of a
study differ in vocabulary, each therefore gets a loss more (`losses.BY_WORD`), and that
one answers: tables, sentences and figures ask `losses.main_loss` and find it.
"""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float

from xabl.results.conditions import Direction
from xabl.results.format import WORDS
from xabl.results.losses import BY_WORD, NATS_PER_BIT
from xabl.results.reading import Run, read_file
from xabl.results.word_classes import WordClass

CLASSES = tuple(WordClass)
_OF_TOKENS = "mlm"


def vocabulary(run: Run) -> str | None:
    """What tells a run's vocabulary from others; None: not known."""
    if run.tokens_a_word is not None:
        return f"tokens of {run.label}"
    digest = run.manifest["data"].get("vocab_sha256")
    return digest if isinstance(digest, str) else None


def differ(runs: Iterable[Run]) -> bool:
    """Whether runs that predict words have different vocabularies.

    Where nothing is known they are taken for one, but tokens of a model's own are like
    no others.
    """
    runs = [run for run in runs if _OF_TOKENS in run.columns]
    found = {vocabulary(run) for run in runs}
    own = any(run.tokens_a_word is not None for run in runs)
    return len(found if own else found - {None}) > 1


def with_losses_by_word(runs: Sequence[Run]) -> list[Run]:
    """The runs; where they differ in vocabulary, with losses by word.

    For each phrase the mean over its words, NaN where a run does not have all words
    that another has. A run without words.parquet gets none: its `cell` says so.

    Raises:
        UserError: words.parquet cannot be read.
    """
    if not differ(runs):
        return list(runs)
    read = [bits_by_class(run) if has_words(run) else {} for run in runs]
    by_phrase = [
        {condition: found.sum(axis=2) for condition, found in one.items()}
        for one in read
    ]
    counts = [count for one in by_phrase for _, count in one.values()]
    if not counts:
        return list(runs)
    most = np.fmax.reduce(counts)
    direction, made = Direction.VIS4LANG.value, []
    for run, one in zip(runs, by_phrase, strict=True):
        arrays, not_finite = dict(run.arrays), dict(run.not_finite)
        for condition, (bits, count) in one.items():
            key = direction, condition, BY_WORD
            mean = np.where(count == most, bits / np.maximum(count, 1), np.nan)
            arrays[key] = mean.astype(np.float32)
            if (direction, condition, _OF_TOKENS) in not_finite:
                not_finite[key] = not_finite[direction, condition, _OF_TOKENS]
        made.append(dataclasses.replace(run, arrays=arrays, not_finite=not_finite))
    return made


def has_words(run: Run) -> bool:
    """Whether the run has losses by word."""
    return (run.directory / WORDS.name).is_file()


def notes(runs: Sequence[Run]) -> list[str]:
    """What the reader is told of models of different vocabularies."""
    if not differ(runs):
        return []
    several = {run.label: None for run in runs if _OF_TOKENS in run.columns}
    found = [
        f"models of different vocabularies ({'; '.join(several)}): their words are "
        "compared by word, the sum over its tokens, never by token"
    ]
    without = {run.label: None for run in runs if not has_words(run)}
    without = [label for label in without if label in several]
    if without:
        found.append(
            f"not compared at words: {'; '.join(without)} (no {WORDS.name}, and "
            "another vocabulary than others)"
        )
    return found


def bits_by_class(run: Run) -> dict[str, Float[np.ndarray, "2 examples classes"]]:
    """By condition: sums of the words' losses in bits, and how many words there are.

    NaN in examples that have no losses by word.
    """
    table = read_file(run.directory, WORDS).to_pandas()
    place = np.searchsorted(run.example_ids, table["example"])
    place = np.minimum(place, len(run.example_ids) - 1)
    known = run.example_ids[place] == table["example"]
    kinds = table["word_class"].map({name: n for n, name in enumerate(CLASSES)})
    table = table.assign(
        place=place, kind=kinds.fillna(CLASSES.index(WordClass.OTHER)).astype(int)
    )[known]
    found = {}
    shape = (len(run.example_ids), len(CLASSES))
    for condition, rows in table.groupby("condition", sort=False):
        sums, counts = np.zeros(shape), np.zeros(shape)
        at = (rows["place"].to_numpy(), rows["kind"].to_numpy())
        np.add.at(sums, at, rows["loss"].to_numpy(np.float64) / NATS_PER_BIT)
        words = rows.drop_duplicates(["place", "word"])
        np.add.at(counts, (words["place"].to_numpy(), words["kind"].to_numpy()), 1)
        absent = np.ones(len(run.example_ids), bool)
        absent[at[0]] = False
        sums[absent], counts[absent] = np.nan, np.nan
        found[condition] = np.stack([sums, counts])
    return found
