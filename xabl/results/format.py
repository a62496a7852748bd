"""The files of a results directory, column by column.

scores.parquet       a row per example and condition, losses in nats
examples.parquet     a row per example
words.parquet        a row per word piece that is predicted, example and condition
predictions.parquet  most probable predictions, if kept
summary.tsv          means in bits, a row per condition
manifest.json        which model, data, flags and versions
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from xabl.results.losses import LOSSES, STORED

VERSION = 1  # `format` in manifest.json
MANIFEST, SUMMARY = "manifest.json", "summary.tsv"
ANYTHING = "anything"  # `reads` of a model: it is told what to hide, and hides it
SUSPICIONS = "suspicions"  # in the manifest: lines on what may not belong together
YARDSTICKS = "yardsticks"  # in the manifest: what guessing loses, by loss
UNFINISHED = ".unfinished"  # ends the name of the folder of an interrupted run


@dataclasses.dataclass(frozen=True, kw_only=True)
class Column:
    """One column.

    meaning: for people.
    needed: whether every row has a value; other columns may be null, or absent.
    low, high: the smallest and largest value it can have.
    """

    name: str
    type: pa.DataType
    meaning: str
    needed: bool = False
    low: int | float | None = None
    high: int | float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class File:
    """A Parquet file: its name and columns, in order.

    absent: what to do where the file is missing; None: it may be.
    """

    name: str
    columns: tuple[Column, ...]
    absent: str | None = None

    @property
    def schema(self) -> pa.Schema:
        """Names and types."""
        return pa.schema([(column.name, column.type) for column in self.columns])

    @property
    def needed(self) -> tuple[str, ...]:
        """Columns without which the file says nothing."""
        return tuple(column.name for column in self.columns if column.needed)

    def table(self, values: Mapping[str, Any], rows: int) -> pa.Table:
        """Columns in order and of their types; those not given are null."""
        columns = []
        for field in self.schema:
            value = values.get(field.name)
            if value is None:
                columns.append(pa.nulls(rows, field.type))
            else:
                if not isinstance(value, pa.Array | pa.ChunkedArray):
                    value = pa.array(value)
                columns.append(value.cast(field.type))
        return pa.Table.from_arrays(columns, schema=self.schema)


def _text(name: str, meaning: str, needed: bool = False) -> Column:
    return Column(name=name, type=pa.string(), meaning=meaning, needed=needed)


def _int(name: str, size: int, meaning: str, low: int = 0, **rest: Any) -> Column:
    kind = {8: pa.int8(), 16: pa.int16(), 32: pa.int32()}[size]
    return Column(name=name, type=kind, meaning=meaning, low=float(low), **rest)


def _probability(name: str, meaning: str, needed: bool = False) -> Column:
    return Column(
        name=name,
        type=pa.float32(),
        meaning=meaning,
        needed=needed,
        low=0.0,
        high=1.0 + 1e-5,
    )


_EXAMPLE = (
    _int("example", 32, "number of the example in its split, from 0", needed=True),
    _text("image_id", "image", needed=True),
    _int("caption", 8, "which caption of the image, from 0"),
    _text("chain", "coreference chain of the phrase (Flickr30k Entities)"),
    _text("phrase", "words of the phrase", needed=True),
    _text("phrase_type", "first type of the phrase", needed=True),
)
_CONDITION = (
    _text("direction", "vis4lang or lang4vis", needed=True),
    _text("condition", "name of the condition", needed=True),
)
# A divergence computed in float32 may come out a little below 0.
_LOSSES = tuple(
    Column(
        name=loss.column,
        type=pa.float32(),
        meaning=f"{loss.title} in nats: {loss.meaning}",
        low=-1e-3,
    )
    for loss in map(LOSSES.get, STORED)
)
_GUESSES = tuple(
    Column(
        name=f"unigram_{loss.column}",
        type=pa.float32(),
        meaning=f"{loss.title} in nats of a guess by frequency in the split alone",
        low=-1e-3,
    )
    for loss in map(LOSSES.get, STORED)
    if loss.answers
)
SCORES = File(
    name="scores.parquet",
    columns=(
        *_EXAMPLE,
        *_CONDITION,
        _int("ablated_regions", 16, "vis4lang: how many regions are ablated"),
        _int("target_pieces", 16, "vis4lang: how many word pieces are predicted"),
        *_LOSSES,
        _int("target_region", 16, "lang4vis: number of the region to predict"),
        _text("predicted", "the most probable word pieces, or the number of a class"),
        _int("silver_class", 16, "lang4vis: the detector's class, of its 1601"),
        _int("gold_class", 16, "lang4vis: the class the phrase names, of the 1601"),
        _int("gold_rank", 16, "lang4vis: rank of the gold class, 1 the best", low=1),
        _probability("gold_probability", "lang4vis: what the gold class is given"),
        _text("excluded", "why there is no score; null where there is"),
    ),
    absent="the run has not finished (start xabl ablate again with the same flags)",
)
EXAMPLES = File(
    name="examples.parquet",
    columns=(
        *_EXAMPLE,
        _text("sentence", "the caption, words separated by spaces", needed=True),
        _int("first_word", 16, "place of the phrase's first word", needed=True),
        _int("num_words", 16, "how many words the phrase has", needed=True),
        _text("boxes", "boxes of the phrase, JSON [[x1, y1, x2, y2]]"),
        _int("img_w", 32, "width of the image in pixels", low=1),
        _int("img_h", 32, "height of the image in pixels", low=1),
        *_GUESSES,
    ),
    absent="the example browser needs it; write the results again with their examples",
)
WORDS = File(
    name="words.parquet",
    columns=(
        _int("example", 32, "number of the example in its split", needed=True),
        *_CONDITION,
        _int("position", 16, "place of the piece in the input", needed=True),
        _text("piece", "the word piece to predict", needed=True),
        _int("word", 16, "place of its word in the caption, from 0", needed=True),
        _int("start", 16, "first character of its word in the caption", needed=True),
        _int("end", 16, "first character after its word", needed=True),
        _text("word_class", "noun, adjective, number, verb, function or other"),
        Column(
            name="loss",
            type=pa.float32(),
            meaning="cross-entropy of the piece in nats; the mean over an example's "
            "pieces is its mlm",
            low=-1e-3,
            needed=True,
        ),
        _int("rank", 32, "rank of the right piece, 1 the best, if known", low=1),
        _probability("probability", "what the right piece is given", needed=True),
    ),
)
PREDICTIONS = File(
    name="predictions.parquet",
    columns=(
        _int("example", 32, "number of the example in its split", needed=True),
        *_CONDITION,
        _int("position", 16, "place of the piece, or the region", needed=True),
        _int("rank", 16, "1 the most probable", low=1, needed=True),
        _text("prediction", "word piece, or number of a class", needed=True),
        _probability("probability", "what the model gives it", needed=True),
    ),
)
FILES = (SCORES, EXAMPLES, WORDS, PREDICTIONS)
# Numbers of scores.parquet beside the losses that an analysis reads.
FACTS = tuple(
    column.name
    for column in SCORES.columns
    if column.name not in (*LOSSES, "example", "caption")
    and not pa.types.is_string(column.type)
)


def manifest(
    *,
    label: str,
    name: str,
    seed: int | None,
    model: Mapping[str, Any],
    data: Mapping[str, Any],
    conditions: Sequence[Any],
    rest: Mapping[str, Any],
    group: str | None = None,
) -> dict[str, Any]:
    """manifest.json: what every reader needs, then what else is known of the run.

    Args:
        label, name: what the model is called, and its configuration.
        seed: of its pretraining.
        model: more on the model.
        data: `split`, digests of files, `examples_total`, `limit`.
        conditions: those scored (`conditions.Condition`).
        group: of models that a study compares with other groups; a run without one
            belongs with the runs of its label.
    """
    directions = list(dict.fromkeys(c.direction.value for c in conditions))
    thresholds = [c.threshold for c in conditions if c.threshold is not None]
    thresholds = list(dict.fromkeys(thresholds))  # each in several ways
    return {
        "format": VERSION,
        "model": {
            "label": label,
            "name": name,
            "seed": seed,
            **({} if group is None else {"group": group}),
            **model,
        },
        "data": dict(data),
        "flags": {},
        "directions": directions,
        "thresholds": thresholds,
        **rest,
    }


def manifest_text(manifest: Mapping[str, Any]) -> str:
    """As it stands in its file."""
    return json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
