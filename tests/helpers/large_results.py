"""Fake results of the size of the study, written column by column.

14,433 examples of 1,000 images under 15 conditions, with five predictions a target and
losses by word.
Losses and predictions are random and vary as real ones do: neighbouring thresholds
often ablate the same regions, and then score the same; a target's candidates are
few, but of a large vocabulary.
"""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.helpers.fake_results import LOSSES, SCHEMA, THRESHOLDS
from xabl.results.format import WORDS

EXAMPLES, IMAGES, PIECES, VOCABULARY, TOP = 14_433, 1_000, 2, 30_522, 5
CONDITIONS = {
    "vis4lang": ("none", *(f"object@{t}" for t in THRESHOLDS), "all"),
    "lang4vis": ("none", "phrase", "all"),
}
_TYPES = np.array(
    ["people", "clothing", "scene", "other", "animals", "bodyparts", "vehicles"]
)


def write_large_results(directory: Path, label: str, seed: int) -> Path:
    """One run; runs of other labels and seeds have the same examples."""
    directory.mkdir(parents=True)
    examples = _examples()
    pq.write_table(examples, directory / "examples.parquet")
    rng = np.random.default_rng(seed)
    scores, predictions, words = [], [], []
    for direction, conditions in CONDITIONS.items():
        same = np.cumsum(rng.random((EXAMPLES, len(conditions))) < 0.6, axis=1)
        same[:, -1] += 1  # `all` is never the same as a threshold
        level = rng.gamma(2, 2.3 if direction == "vis4lang" else 0.3, EXAMPLES)
        for place, condition in enumerate(conditions):
            spread = np.random.default_rng([seed, place]).standard_normal(EXAMPLES)
            bits = level + 0.1 * same[:, place] * (1 + spread * (place > 0))
            keys = (direction, condition)
            scores.append(_scores(examples, keys, abs(bits), rng))
            predictions.append(_predictions(keys, same[:, place], seed))
            if direction == "vis4lang":
                words.append(_words(examples, condition, abs(bits), seed))
    pq.write_table(pa.concat_tables(scores), directory / "scores.parquet")
    pq.write_table(pa.concat_tables(predictions), directory / "predictions.parquet")
    pq.write_table(pa.concat_tables(words), directory / WORDS.name)
    (directory / "manifest.json").write_text(json.dumps(_manifest(label, seed)))
    return directory


def _examples() -> pa.Table:
    rng = np.random.default_rng(0)
    image = np.sort(rng.integers(0, IMAGES, EXAMPLES))
    words = np.array([f"word{place}" for place in range(3000)])
    captions = [" ".join(words[rng.integers(0, 3000, 12)]) + " ." for _ in image]
    boxes = rng.integers(0, 200, (EXAMPLES, 4)) + [0, 0, 200, 200]
    return pa.table(
        {
            "example": pa.array(np.arange(EXAMPLES), pa.int32()),
            "image_id": pa.array((1_000_000_000 + image).astype(str)),
            "caption": pa.array(rng.integers(0, 5, EXAMPLES), pa.int8()),
            "chain": pa.array(rng.integers(0, 10**6, EXAMPLES).astype(str)),
            "phrase": pa.array([" ".join(text.split()[2:4]) for text in captions]),
            "phrase_type": pa.array(_TYPES[rng.integers(0, 7, EXAMPLES)]),
            "sentence": pa.array(captions),
            "first_word": pa.array(np.full(EXAMPLES, 2), pa.int16()),
            "num_words": pa.array(np.full(EXAMPLES, 2), pa.int16()),
            "boxes": pa.array([json.dumps([box]) for box in boxes.tolist()]),
            "img_w": pa.array(np.full(EXAMPLES, 500), pa.int32()),
            "img_h": pa.array(np.full(EXAMPLES, 400), pa.int32()),
        }
    )


def _scores(
    examples: pa.Table, keys: tuple[str, str], bits: np.ndarray, rng
) -> pa.Table:
    direction, condition = keys
    nats = bits * np.log(2)
    columns = {
        name: examples[name]
        for name in ("example", "image_id", "caption", "chain", "phrase", "phrase_type")
    }
    columns["direction"] = pa.array([direction] * EXAMPLES)
    columns["condition"] = pa.array([condition] * EXAMPLES)
    if direction == "vis4lang":
        place = CONDITIONS[direction].index(condition)
        some = 3 * place + rng.integers(0, 3, EXAMPLES) * (place > 0)
        columns["ablated_regions"] = some if condition != "all" else [36] * EXAMPLES
        columns["target_pieces"] = np.full(EXAMPLES, PIECES)
        columns["mlm"] = nats
    else:
        columns["target_region"] = rng.integers(0, 36, EXAMPLES)
        columns["silver_class"] = rng.integers(0, 1601, EXAMPLES)
        for name in LOSSES[1:]:
            columns[name] = nats + rng.gamma(1, 1, EXAMPLES) * (name != "mrc_kl")
    arrays = []
    for field in SCHEMA:
        values = columns.get(field.name)
        if values is None:
            arrays.append(pa.nulls(EXAMPLES, field.type))
        else:
            chunked = isinstance(values, pa.ChunkedArray)
            array = values if chunked else pa.array(values)
            arrays.append(array.cast(field.type))
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def _predictions(keys: tuple[str, str], same: np.ndarray, seed: int) -> pa.Table:
    """Equal inputs (`same`) get equal predictions."""
    direction, condition = keys
    vision = direction == "vis4lang"
    targets = PIECES if vision else 1
    shape = (EXAMPLES, targets, TOP)
    pool = np.random.default_rng([seed, vision]).zipf(1.2, (EXAMPLES, targets, 8))
    pool = pool % (VOCABULARY if vision else 1601)
    classes, shares = np.empty(shape, np.int64), np.empty(shape)
    for value in np.unique(same):
        rng = np.random.default_rng([seed, vision, int(value)])
        order = np.argsort(rng.random((EXAMPLES, targets, 8)), axis=2)[..., :TOP]
        drawn = -np.sort(-rng.dirichlet(np.full(TOP + 5, 0.5), shape[:2]), axis=2)
        use = same == value
        classes[use] = np.take_along_axis(pool, order, axis=2)[use]
        shares[use] = drawn[use][..., :TOP]
    count = classes.size
    texts = classes.ravel().astype(str)
    positions = np.arange(targets) + 3
    return pa.table(
        {
            "example": pa.array(np.repeat(np.arange(EXAMPLES), targets * TOP), "int32"),
            "direction": pa.array([direction] * count),
            "condition": pa.array([condition] * count),
            "position": pa.array(
                np.tile(np.repeat(positions, TOP), EXAMPLES), pa.int16()
            ),
            "rank": pa.array(
                np.tile(np.arange(1, TOP + 1), EXAMPLES * targets), pa.int16()
            ),
            "prediction": pa.array(np.char.add("t", texts) if vision else texts),
            "probability": pa.array(shares.ravel(), pa.float32()),
        }
    )


def _words(examples: pa.Table, condition: str, bits: np.ndarray, seed: int) -> pa.Table:
    """Losses of both pieces, whose mean is the example's."""
    share = np.random.default_rng([seed, 7]).beta(2, 2, EXAMPLES)
    losses = np.stack([share, 1 - share], axis=1) * 2 * bits[:, None] * np.log(2)
    first = np.array(
        [len(" ".join(t.split()[:2])) + 1 for t in examples["sentence"].to_pylist()]
    )
    phrases = [phrase.split() for phrase in examples["phrase"].to_pylist()]
    lengths = np.array([[len(word) for word in phrase] for phrase in phrases])
    start = np.stack([first, first + lengths[:, 0] + 1], axis=1)
    count = losses.size
    columns = {
        "example": np.repeat(np.arange(EXAMPLES), PIECES),
        "direction": ["vis4lang"] * count,
        "condition": [condition] * count,
        "position": np.tile(np.arange(PIECES) + 3, EXAMPLES),
        "piece": [word for phrase in phrases for word in phrase],
        "word": np.tile(np.arange(PIECES) + 2, EXAMPLES),
        "start": start.ravel(),
        "end": (start + lengths).ravel(),
        "word_class": ["function", "noun"] * EXAMPLES,
        "loss": losses.ravel(),
        "rank": 1 + np.minimum(np.exp(losses), VOCABULARY - 1).astype(int).ravel(),
        "probability": np.exp(-losses).ravel(),
    }
    return WORDS.table(columns, count)


def _manifest(label: str, seed: int) -> dict:
    return {
        "format": 1,
        "model": {"label": label, "name": label.lower(), "seed": seed, "config": {}},
        "data": {"split": "val", "examples_total": EXAMPLES, "limit": None},
        "thresholds": list(THRESHOLDS),
    }
