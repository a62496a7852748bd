"""Results of any program as a results directory that the analysis reads."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xabl.errors import UserError, check_shows
from xabl.results.checking import table_problems
from xabl.results.columns import form_problems
from xabl.results.directory import ResultsDirectory
from xabl.results.format import (
    EXAMPLES,
    PREDICTIONS,
    SCORES,
    WORDS,
    File,
    manifest,
)
from xabl.results.losses import NATS_PER_BIT, STORED
from xabl.results.manifest_types import type_problems
from xabl.results.summary import by_condition, summarise, summary_tsv
from xabl.results.yardsticks import in_manifest, yardsticks
from xabl.support import provenance

_SHOWN_PROBLEMS = 5


def write(
    frame: Any,
    directory: Path | str,
    *,
    label: str,
    seed: int | None = None,
    unit: str = "nats",
    examples: Any = None,
    words: Any = None,
    predictions: Any = None,
    split: str | None = None,
    model: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Writes a results directory from scores of any model; returns its path.

    Frames are anything with named columns: of pandas, Polars or PyArrow, or a dict.
    The columns are those of `xabl.results.format`.

    Args:
        frame: a row per example and condition. Needed: example, image_id, phrase,
            phrase_type, direction, condition and one loss or more; NaN where an
            example is not scored, with the reason in `excluded`.
        label: what the model is called.
        seed: of its pretraining, where several are compared.
        unit: of the losses: nats or bits.
        examples: captions and boxes of the examples; without them the report shows
            phrases alone.
        words: losses of the word pieces, always in nats; their means are `mlm`.
        predictions: the most probable predictions, for the report.
        split: of the data.
        model: whatever else the manifest is to say of the model.

    Raises:
        UserError: a column, a row, the label or the seed is missing or wrong (nothing
            is written), or `directory` holds something already.
    """
    if unit not in ("nats", "bits"):
        raise UserError(f"unit {unit!r}: expected nats or bits")
    check_shows("label", label)
    results = ResultsDirectory(directory, overwrite=overwrite)
    scores = _table(frame, SCORES)
    if unit == "bits":
        for name in STORED:
            losses = scores[name].to_numpy() * np.float32(NATS_PER_BIT)
            place = SCORES.schema.get_field_index(name)
            array = pa.array(losses, pa.float32(), from_pandas=True)
            scores = scores.set_column(place, SCORES.schema.field(name), array)
    if examples is None:
        examples = _phrases(scores)
    tables = {SCORES.name: scores, EXAMPLES.name: _table(examples, EXAMPLES)}
    for file, given in ((WORDS, words), (PREDICTIONS, predictions)):
        if given is not None:
            tables[file.name] = _table(given, file)
    problems = table_problems(tables)
    if problems:
        more = len(problems) - _SHOWN_PROBLEMS
        raise UserError(
            f"{directory}: not written: "
            + "; ".join(problems[:_SHOWN_PROBLEMS])
            + (f"; and {more} more" if more > 0 else "")
        )
    rows = summarise(scores)
    judged = yardsticks(scores, tables[EXAMPLES.name], {})
    about = manifest(
        label=label,
        name=label,
        seed=seed,
        model=model or {},
        data={"examples_total": len(tables[EXAMPLES.name])}
        | ({} if split is None else {"split": split}),
        conditions=[condition for condition, _ in by_condition(scores)],
        rest={
            "scored": sum(row.scored for row in rows),
            "excluded": dict(Counter(scores["excluded"].drop_null().to_pylist())),
            "versions": provenance.versions(),
            "started": provenance.now(),
            **in_manifest(label, judged),
        },
    )
    for problem in type_problems(about):
        raise UserError(f"{directory}: not written: {problem}")
    results.write(tables, summary_tsv(label, rows), about)
    return results.path


def _table(frame: Any, file: File) -> pa.Table:
    """The file's columns of a frame; the others are left out."""
    names = list(
        getattr(frame, "column_names", None) or getattr(frame, "columns", frame)
    )
    arrays = {}
    for column in file.columns:
        if column.name in names:
            values = frame[column.name]
            if isinstance(values, pa.ChunkedArray):
                values = values.combine_chunks()
            array = pa.array(values, from_pandas=True)
            if pa.types.is_floating(array.type):  # Arrow's own keep their NaN
                array = pc.if_else(pc.is_nan(array), None, array)
            arrays[column.name] = array
    found = pa.table(arrays)
    if file is SCORES and "excluded" not in arrays:
        found = found.append_column("excluded", pa.nulls(len(found), pa.string()))
        arrays["excluded"] = found["excluded"].combine_chunks()
    problems = form_problems(found, file)
    if problems:
        raise UserError(f"{file.name}: not written: {'; '.join(problems)}")
    try:
        return file.table(arrays, len(found))
    except pa.ArrowException as error:
        raise UserError(f"{file.name}: not written: {error}") from error


def _phrases(scores: pa.Table) -> dict[str, Any]:
    """Examples of which nothing is known but their phrases."""
    _, first = np.unique(scores["example"].to_numpy(), return_index=True)
    known = scores.select(["example", "image_id", "phrase", "phrase_type"]).take(first)
    phrases = known["phrase"].to_pylist()
    return {name: known[name] for name in known.column_names} | {
        "sentence": phrases,
        "first_word": [0] * len(phrases),
        "num_words": [len((phrase or "").split()) for phrase in phrases],
        "boxes": ["[]"] * len(phrases),
    }
