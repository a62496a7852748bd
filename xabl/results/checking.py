"""What is wrong with results, column by column."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from xabl.errors import UserError, told
from xabl.results.columns import missing_rows, rows_by_condition, value_problems
from xabl.results.conditions import Condition
from xabl.results.format import EXAMPLES, FILES, PREDICTIONS, SCORES, WORDS, File
from xabl.results.losses import LOSSES, columns_of
from xabl.results.reading import read_file, read_manifest
from xabl.results.word_classes import WordClass
from xabl.support.image_ids import by_canonical_id

_MOST_APART = 1e-4  # nats: what rounding can do to a mean


@told()
def check(directory: Path | str) -> tuple[str, ...]:
    """What is wrong with a results directory, in words; nothing when it is sound.

    A file that cannot be read at all is one problem, not an error.
    """
    directory = Path(directory)
    problems, tables = [], {}
    try:
        read_manifest(directory)
    except UserError as error:
        problems.append(str(error))
    if not directory.is_dir():
        return tuple(problems)
    for file in FILES:
        if file.absent is None and not (directory / file.name).is_file():
            continue
        try:
            tables[file.name] = read_file(directory, file)
        except UserError as error:
            problems.append(str(error))
    return (*problems, *table_problems(tables))


def table_problems(tables: Mapping[str, pa.Table]) -> list[str]:
    """What is wrong with the values of tables, by the name of their file."""
    problems = []
    for file, find in (
        (SCORES, _score_problems),
        (EXAMPLES, _example_problems),
        (WORDS, _word_problems),
        (PREDICTIONS, partial(_rows_problems, file=PREDICTIONS)),
    ):
        if file.name in tables:
            found = find(tables[file.name])
            if SCORES.name in tables and file is not SCORES:
                found += _other_examples(tables[file.name], tables[SCORES.name])
            if SCORES.name in tables and file is WORDS:
                found += _other_means(tables[file.name], tables[SCORES.name])
            problems += [f"{file.name}: {problem}" for problem in found]
    return problems


def _score_problems(scores: pa.Table) -> list[str]:
    problems = value_problems(scores, SCORES)
    numbers = scores["example"].to_numpy()
    ids, first = np.unique(numbers, return_index=True)
    for name in ("image_id", "phrase", "phrase_type"):
        texts = scores[name].to_numpy()
        differs = texts != texts[first][np.searchsorted(ids, numbers)]
        if differs.any():
            example = numbers[differs][0]
            problems.append(f"column {name}: differs between rows of example {example}")
    try:  # images of two names would be counted as two
        by_canonical_id(scores["image_id"].drop_null().unique().to_pylist(), "image_id")
    except UserError as error:
        problems.append(f"column {error}")
    scored = scores["excluded"].is_null().to_numpy()
    present = {
        name: scores[name].is_valid().to_numpy()
        for name in LOSSES
        if name in scores.column_names
    }
    for (direction, condition), rows in rows_by_condition(scores).items():
        where = f"{direction} {condition}"
        try:
            Condition.parse(direction, condition)
        except UserError as error:
            problems.append(str(error))
            continue
        problems += [f"{where}: {what}" for what in missing_rows(numbers[rows], ids)]
        own = columns_of(direction)
        any_loss = np.zeros(len(rows), bool)
        for name, there in present.items():
            if name in own:
                any_loss |= there[rows]
            elif there[rows].any():
                problems.append(
                    f"column {name}: has values under {where}, but is a loss of "
                    f"{LOSSES[name].direction}"
                )
        for wrong, what in (
            (scored[rows] & ~any_loss, "neither a loss nor a reason (excluded)"),
            (~scored[rows] & any_loss, "a loss, and a reason why there is none"),
        ):
            if wrong.any():
                example = numbers[rows][wrong].min()
                problems.append(
                    f"{where}: {wrong.sum()} rows have {what} (first: example "
                    f"{example})"
                )
    return problems


def _example_problems(examples: pa.Table) -> list[str]:
    numbers = examples["example"].to_numpy()
    return value_problems(examples, EXAMPLES) + missing_rows(numbers, numbers)


def _word_problems(words: pa.Table) -> list[str]:
    problems = _rows_problems(words, WORDS)
    if "word_class" in words.column_names:
        found = words["word_class"].drop_null().unique().to_pylist()
        unknown = sorted(set(found) - set(WordClass))
        if unknown:
            problems.append(
                f"column word_class: {unknown[0]!r} is none of {', '.join(WordClass)}"
            )
    return problems


def _other_means(words: pa.Table, scores: pa.Table) -> list[str]:
    """Losses by word that are not those of the phrases."""
    if "mlm" not in scores.column_names:
        return [f"there is no mlm in {SCORES.name}"]
    keys = ["example", "direction", "condition"]
    means = words.select([*keys, "loss"]).group_by(keys).aggregate([("loss", "mean")])
    both = means.join(scores.select([*keys, "mlm"]), keys, join_type="inner")
    mean, mlm = both["loss_mean"].to_numpy(), both["mlm"].to_numpy()
    wrong = np.flatnonzero(~(np.abs(mean - mlm) <= _MOST_APART))
    if not len(wrong):
        return []
    row = both.slice(int(wrong[0]), 1).to_pylist()[0]
    return [
        f"{len(wrong)} means over an example's pieces are not its mlm (first: example "
        f"{row['example']} under {row['condition']}: {row['loss_mean']:g} against "
        f"{row['mlm']:g})"
    ]


def _rows_problems(table: pa.Table, file: File) -> list[str]:
    """Of a file with any number of rows for an example and condition."""
    problems = value_problems(table, file)
    for direction, condition in rows_by_condition(table):
        try:
            Condition.parse(direction, condition)
        except UserError as error:
            problems.append(str(error))
    return problems


def _other_examples(table: pa.Table, scores: pa.Table) -> list[str]:
    numbers = table["example"].to_numpy()
    unknown = np.setdiff1d(numbers, scores["example"].to_numpy())
    if len(unknown):
        return [
            f"{len(unknown)} examples have no scores in {SCORES.name} (first: example "
            f"{unknown[0]})"
        ]
    if "image_id" not in table.column_names:
        return []
    ids, first = np.unique(scores["example"].to_numpy(), return_index=True)
    scored = scores["image_id"].take(first).to_numpy()[np.searchsorted(ids, numbers)]
    images = table["image_id"].to_numpy()
    differs = np.flatnonzero(images != scored)
    if not len(differs):
        return []
    place = differs[0]
    return [
        f"column image_id: example {numbers[place]} is of image {images[place]!r}, in "
        f"{SCORES.name} of {scored[place]!r}"
    ]
