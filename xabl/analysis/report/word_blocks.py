"""Losses of single words of one run, as the browser reads them."""

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from xabl.analysis.report.blocks import Block, pack
from xabl.analysis.report.example_blocks import places, starts
from xabl.results.columns import rows_by_condition
from xabl.results.conditions import Direction
from xabl.results.format import WORDS
from xabl.results.losses import NATS_PER_BIT
from xabl.results.reading import Run, read_file

# Losses travel as whole numbers of this many to a bit; the largest says "or more".
WORD_STEPS = 1000
_MOST = 2**16 - 1
UNKNOWN_RANK = 2**16 - 1  # of a model with tokens of its own


def words_block(
    run: Run,
    name: str,
    rows: Int64[np.ndarray, " rows"],
    conditions: dict[str, tuple[str, ...]],
) -> Block | None:
    """Where each row's pieces start; of a piece its text, its place in the input, its
    word's place in the caption and class; losses and ranks [pieces conditions].

    A rank of 0: no score; `UNKNOWN_RANK`: not known. Probabilities follow from losses.
    None when the run has no losses by word.

    Raises:
        UserError: the file cannot be read or is not of the run's examples.
    """
    if not (run.directory / WORDS.name).is_file():
        return None
    table = read_file(run.directory, WORDS)
    place = places(run, WORDS, table, rows)
    table, place = table.filter(pa.array(place >= 0)), place[place >= 0]
    # Pieces: the distinct pairs of row and position, in order.
    key = place * 2**16 + table["position"].to_numpy()
    pieces, first = np.unique(key, return_index=True)
    names = conditions[Direction.VIS4LANG]
    losses = np.zeros((len(pieces), len(names)), "<u2")
    ranks = np.zeros_like(losses)
    found = rows_by_condition(table)
    steps = table["loss"].to_numpy() * (WORD_STEPS / NATS_PER_BIT)
    steps = np.clip(np.nan_to_num(np.rint(steps)), 0, _MOST)
    rank = np.minimum(table["rank"].fill_null(UNKNOWN_RANK).to_numpy(), UNKNOWN_RANK)
    for number, condition in enumerate(names):
        here = found.get((Direction.VIS4LANG.value, condition))
        if here is not None:
            at = np.searchsorted(pieces, key[here])
            losses[at, number], ranks[at, number] = steps[here], rank[here]
    one = table.take(first)
    counts = np.bincount(pieces // 2**16, minlength=len(rows))
    arrays = {
        "starts": starts(counts.tolist()),
        "positions": (pieces % 2**16).astype("<u2"),
        "places": one["word"].to_numpy().astype("<u2"),
        "losses": losses,
        "ranks": ranks,
    }
    texts = {}
    for key_name, column in (("pieces", "piece"), ("kinds", "word_class")):
        values = one[column].combine_chunks().fill_null("").dictionary_encode()
        texts[key_name] = values.dictionary.to_pylist()
        kind = np.min_scalar_type(len(values.dictionary))
        arrays[key_name] = values.indices.to_numpy().astype(kind)
    return pack(name, arrays, texts)
