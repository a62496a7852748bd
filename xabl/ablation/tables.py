"""What an ablation found, as the tables of a results directory."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import SupportsIndex

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Int, Shaped

from xabl.ablation.distinct_inputs import NOT_SCORED
from xabl.ablation.engine.pair_scores import AblationScores, pairs_of
from xabl.ablation.examples import PhraseExample
from xabl.ablation.word_classes import WordClasses
from xabl.data.whole_words import Tokens
from xabl.data.word_pieces import WordPieces
from xabl.results.conditions import Condition, Direction
from xabl.results.format import EXAMPLES, PREDICTIONS, SCORES, WORDS
from xabl.results.losses import STORED
from xabl.results.yardsticks import unigram_column

_PIECE_COLUMNS = (
    "example",
    "position",
    "piece",
    "word",
    "start",
    "end",
    "word_class",
)


def scores_table(scores: AblationScores, word_pieces: Tokens) -> pa.Table:
    """scores.parquet: all examples under the first condition, then the next.

    Losses are null where they do not apply or the example is excluded.
    """
    plan = scores.plan
    same = _example_columns(plan.examples)
    predicted = {d: _predicted(scores, d, word_pieces) for d in Direction}
    losses = {name: scores.loss(name) for name in STORED}
    parts = []
    for column, condition in enumerate(plan.conditions):
        pair = plan.pair[:, column]
        values = same | _condition_columns(scores, column, condition)
        values |= {
            name: None if loss is None else _not_nan(loss[:, column])
            for name, loss in losses.items()
        }
        values["predicted"] = pa.array(predicted[condition.direction][pair])
        parts.append(SCORES.table(values, len(pair)))
    return pa.concat_tables(parts)


def examples_table(
    examples: tuple[PhraseExample, ...],
    unigram: Mapping[str, Shaped[np.ndarray, " examples"]] | None = None,
) -> pa.Table:
    """examples.parquet: what an example is, one row each; boxes as JSON.

    Args:
        unigram: by loss, what a guess by frequency loses (`yardsticks.Guesses`).
    """
    values = _example_columns(examples) | {
        "sentence": [example.sentence for example in examples],
        "first_word": [example.phrase.first_word for example in examples],
        "num_words": [example.phrase.num_words for example in examples],
        "boxes": [json.dumps(example.boxes.tolist()) for example in examples],
        "img_w": [example.img_w for example in examples],
        "img_h": [example.img_h for example in examples],
        **{unigram_column(n): _not_nan(v) for n, v in (unigram or {}).items()},
    }
    return EXAMPLES.table(values, len(examples))


def words_table(
    scores: AblationScores, word_pieces: WordPieces, classes: WordClasses
) -> pa.Table:
    """words.parquet: the pieces of all examples under the first condition, and so on.

    Excluded examples have no rows.
    """
    plan, found = scores.plan, scores.pairs[Direction.VIS4LANG]
    if "piece_loss" not in found:  # every example is excluded
        return WORDS.schema.empty_table()
    pieces = pieces_table(plan.examples, word_pieces, classes)
    which, target = _targets(np.array([len(e.pieces) for e in plan.examples]))
    parts = [WORDS.schema.empty_table()]
    for column in plan.columns(Direction.VIS4LANG):
        pair = plan.pair[which, column]
        loss = np.where(
            pair == NOT_SCORED, np.nan, found["piece_loss"][pair, target]
        ).astype(np.float32)
        rank = found["piece_rank"][pair, target]
        parts.append(words_of(pieces, plan.conditions[column], loss, rank))
    return pa.concat_tables(parts)


def own_words_table(scores: AblationScores, classes: WordClasses) -> pa.Table:
    """words.parquet of a model with tokens of its own: a row for each of them.

    What the tokens are is not known: each has the word it is of. Nor is their rank.
    """
    plan, found = scores.plan, scores.pairs[Direction.VIS4LANG]
    if "piece_loss" not in found:  # every example is excluded
        return WORDS.schema.empty_table()
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


def pieces_table(
    examples: Sequence[PhraseExample], word_pieces: WordPieces, classes: WordClasses
) -> pa.Table:
    """The pieces that are predicted, example by example: what `words_of` starts from.

    Columns: those of words.parquet that are the same under every condition.
    """
    which = [example for example in examples for _ in example.pieces]
    places = [place for example in examples for place in example.pieces]
    words = [
        example.word_index[place] for example, place in zip(which, places, strict=True)
    ]
    pieces = [
        example.token_ids[place] for example, place in zip(which, places, strict=True)
    ]
    rows = word_columns(which, words, classes) | {
        "position": places,
        "piece": word_pieces.tokens(pieces),
    }
    schema = pa.schema([WORDS.schema.field(name) for name in _PIECE_COLUMNS])
    return pa.table({name: rows[name] for name in _PIECE_COLUMNS}, schema=schema)


def word_columns(
    examples: Sequence[PhraseExample],
    words: Iterable[SupportsIndex],
    classes: WordClasses,
) -> dict[str, list]:
    """What words.parquet says of words, by the number of each in its caption."""
    rows: dict[str, list] = {
        name: [] for name in ("example", "word", "start", "end", "word_class")
    }
    for example, word in zip(examples, words, strict=True):
        start, end = example.spans[word].tolist()
        rows["example"].append(example.number)
        rows["word"].append(int(word))
        rows["start"].append(start)
        rows["end"].append(end)
        rows["word_class"].append(classes.by_sentence[example.sentence][word].value)
    return rows


def words_of(
    pieces: pa.Table,
    condition: Condition,
    loss: Float32[np.ndarray, " pieces"],
    rank: Int[np.ndarray, " pieces"],
) -> pa.Table:
    """The rows of words.parquet under one condition.

    Args:
        pieces: all that may be predicted.
        loss: of the right piece, in nats; NaN where the example is not scored.
        rank: of the right piece, 1 the best.
    """
    scored = np.flatnonzero(~np.isnan(loss))
    kept = pieces.take(scored)
    values = {name: kept[name] for name in kept.column_names} | {
        "direction": pa.repeat(condition.direction.value, len(scored)),
        "condition": pa.repeat(condition.name, len(scored)),
        "loss": loss[scored],
        "rank": rank[scored],
        "probability": np.exp(-loss[scored]),
    }
    return WORDS.table(values, len(scored))


def predictions_table(scores: AblationScores, word_pieces: Tokens) -> pa.Table:
    """predictions.parquet: the most probable predictions of every target.

    position: of the piece in the input, or the number of the region.
    """
    plan, parts = scores.plan, []
    for column, condition in enumerate(plan.conditions):
        found = scores.pairs[condition.direction]
        if "top_classes" not in found:
            continue
        rows = np.flatnonzero(plan.pair[:, column] != NOT_SCORED)
        pair = plan.pair[rows, column]
        classes, probabilities = found["top_classes"], found["top_probabilities"]
        if condition.direction is Direction.VIS4LANG:
            which, target = _targets(plan.mlm.num_targets[pair])
            rows, pair = rows[which], pair[which]
            position = plan.mlm.positions[pair, target]
            classes, probabilities = classes[pair, target], probabilities[pair, target]
            names = word_pieces.tokens(classes.ravel().tolist())
        else:
            position = plan.mrc.target[pair]
            classes, probabilities = classes[pair], probabilities[pair]
            names = classes.ravel().astype(str)
        count = classes.shape[1]
        numbers = np.array([example.number for example in plan.examples])
        values = {
            "example": np.repeat(numbers[rows], count),
            "direction": [condition.direction.value] * classes.size,
            "condition": [condition.name] * classes.size,
            "position": np.repeat(position, count),
            "rank": np.tile(np.arange(1, count + 1), len(pair)),
            "prediction": names,
            "probability": probabilities.ravel(),
        }
        parts.append(PREDICTIONS.table(values, classes.size))
    return pa.concat_tables(parts)


def _example_columns(examples: tuple[PhraseExample, ...]) -> dict[str, list]:
    return {
        "example": [example.number for example in examples],
        "image_id": [example.image_id for example in examples],
        "caption": [example.caption for example in examples],
        "chain": [example.phrase.chain for example in examples],
        "phrase": [example.text for example in examples],
        "phrase_type": [example.phrase.types[0] for example in examples],
    }


def _condition_columns(
    scores: AblationScores, column: int, condition: Condition
) -> dict[str, pa.Array | list]:
    """What is known beside losses and predictions; most of it by direction."""
    plan = scores.plan
    reasons = np.array([*plan.reasons, None], object)
    values = {
        "direction": [condition.direction.value] * len(plan.examples),
        "condition": [condition.name] * len(plan.examples),
        "excluded": pa.array(reasons[plan.excluded[:, column]]),
    }
    if condition.direction is Direction.VIS4LANG:
        ablated = plan.ablated_regions[:, column]
        values["ablated_regions"] = pa.array(ablated, mask=ablated < 0)
        values["target_pieces"] = _target_pieces(scores, column)
        return values
    none = plan.target < 0
    targets = plan.targets
    for name, known in (
        ("target_region", targets.region),
        ("silver_class", targets.silver),
    ):
        values[name] = pa.array(np.append(known, 0)[plan.target], mask=none)
    found = scores.pairs[condition.direction]
    pair = plan.pair[:, column]
    gold = np.append(plan.mrc.gold, -1)[pair]
    values["gold_class"] = pa.array(gold, mask=gold < 0)
    if "gold_rank" in found:
        rank = np.append(found["gold_rank"], 0)[pair]
        values["gold_rank"] = pa.array(rank, mask=gold < 0)
        values["gold_probability"] = _not_nan(
            np.append(found["gold_probability"], np.nan)[pair]
        )
    return values


def _target_pieces(scores: AblationScores, column: int) -> pa.Array:
    """How many pieces a mean is taken over; a model's own tokens if it has others."""
    plan = scores.plan
    own = scores.pairs[Direction.VIS4LANG].get("piece_word")
    if own is None:
        return pa.array([len(example.pieces) for example in plan.examples])
    pair = plan.pair[:, column]
    counts = np.append((own >= 0).sum(axis=1), 0)[pair]
    return pa.array(counts, mask=pair == NOT_SCORED)


def _predicted(
    scores: AblationScores, direction: Direction, word_pieces: Tokens
) -> Shaped[np.ndarray, " _"]:
    """The best prediction of each pair as text; the last entry, None, is of none."""
    found = scores.pairs[direction].get("predicted")
    if found is None:
        return np.full(1 + len(pairs_of(scores.plan, direction)), None, object)
    if direction is Direction.LANG4VIS:
        texts = found.astype(str).tolist()
    else:
        texts = [
            " ".join(word_pieces.tokens(ids[:count].tolist()))
            for ids, count in zip(found, scores.plan.mlm.num_targets, strict=True)
        ]
    return np.array([*texts, None], object)


def _targets(
    num_targets: Int[np.ndarray, " rows"],
) -> tuple[Int[np.ndarray, " targets"], Int[np.ndarray, " targets"]]:
    """Row and number within the row of every target."""
    which = np.repeat(np.arange(len(num_targets)), num_targets)
    first = np.repeat(np.cumsum(num_targets) - num_targets, num_targets)
    return which, np.arange(len(which)) - first


def _not_nan(values: Shaped[np.ndarray, " rows"]) -> pa.Array:
    values = values.astype(np.float32)
    return pa.array(values, mask=np.isnan(values))
