"""Which way the influence is larger: vision on language, or language on vision.

Two measures, since the losses of the two directions differ: bits that ablating
everything adds, and that as a share of the loss without ablation. They may disagree.
"""

import itertools
from collections.abc import Sequence

import pandas as pd

from xabl.analysis.bootstrap import Draws, ImageBootstrap, over_seeds, paired
from xabl.analysis.effects import bits_of, stack
from xabl.analysis.study import Model, Study
from xabl.analysis.verdicts import HIGHER, asymmetry_evidence, effect_evidence
from xabl.results.conditions import (
    BASELINE,
    Condition,
    Direction,
    Level,
)
from xabl.results.losses import BY_WORD, PUBLISHED_MAIN

MEASURES = ("bits", "relative")


def asymmetry(study: Study, bootstrap: ImageBootstrap) -> pd.DataFrame:
    """What ablating everything adds to the loss of words, less that of regions.

    A row per model for the published ways of removing (first), and for every other
    pair of a way for regions and one for words that it was run with. The losses are
    those that answer (`losses.main_loss`): MLM and MRC-KL, by word where vocabularies
    differ, MRC-XE-corrected of a model without divergences. Positive: vision influences
    language more. Columns: model, seeds, regions and words (the ways), mlm, kl (the
    losses used), mlm_bits, kl_bits, mlm_relative, kl_relative (the increases); and for
    the two measures, bits and relative: <measure> (the difference), <measure>_low,
    <measure>_high, <measure>_evidence, <measure>_seeds_low, <measure>_seeds_high (see
    `effects`); guessing (the directions in which the model does no better than a guess,
    as words), images, gap.
    """
    rows = []
    pairs = list(itertools.product(*(_wholes(study, d) for d in Direction)))
    for model in study.models:
        for number, pair in enumerate(pairs):
            row = _row(study, model, pair, bootstrap)
            if number == 0 or row["gap"] is None:
                rows.append(row)
    return pd.DataFrame(rows)


def _wholes(study: Study, direction: Direction) -> list[Condition]:
    """Everything removed, in the published way and then in every other that was run."""
    published = Condition(direction=direction, level=Level.ALL)
    found = (Condition.parse(direction, n) for n in study.conditions(direction))
    others = [c for c in found if c.level is Level.ALL and c != published]
    return [published, *others]


def _row(
    study: Study,
    model: Model,
    pair: tuple[Condition, Condition],
    bootstrap: ImageBootstrap,
) -> dict[str, object]:
    regions, words = pair
    metrics = [
        model.main_loss(direction) or published
        for direction, published in zip(Direction, PUBLISHED_MAIN, strict=True)
    ]
    if study.word_loss == BY_WORD:
        metrics[0] = BY_WORD
    guesses = [direction for direction in Direction if model.guesses(direction)]
    # The mean over seeds, then every seed by itself.
    columns = (model, *model.by_seed())
    increases = [
        _increase(study, columns, metric, condition.name, bootstrap)
        for metric, condition in zip(metrics, pair, strict=True)
    ]
    used = tuple(
        effect_evidence(*(float(end[0]) for end in bits.interval()), bool(guesses))
        == HIGHER
        for bits, _ in increases
    )
    gaps = [
        model.cell(metric, name).gap
        for metric, condition in zip(metrics, pair, strict=True)
        for name in (condition.name, BASELINE)
    ]
    row = {
        "model": model.label,
        "seeds": len(model.runs),
        "regions": regions.way_name,
        "words": words.way_name,
        "mlm": metrics[0],
        "kl": metrics[1],
        "guessing": " and ".join(d.wording.title.lower() for d in guesses),
    }
    for measure, (mlm, kl) in zip(MEASURES, zip(*increases, strict=True), strict=True):
        difference = mlm - kl
        (low, *_), (high, *_) = difference.interval()
        spread = over_seeds(difference[1:])
        row |= {
            f"mlm_{measure}": mlm.estimate[0],
            f"kl_{measure}": kl.estimate[0],
            measure: difference.estimate[0],
            f"{measure}_low": low,
            f"{measure}_high": high,
            f"{measure}_evidence": asymmetry_evidence(low, high, used, bool(guesses)),
            "images": int(difference.images[0]),
            f"{measure}_seeds_low": spread.low,
            f"{measure}_seeds_high": spread.high,
        }
    return row | {"gap": next((gap for gap in gaps if gap), None)}


def _increase(
    study: Study,
    columns: Sequence[Model],
    metric: str,
    condition: str,
    bootstrap: ImageBootstrap,
) -> tuple[Draws, Draws]:
    """What a condition adds to a loss, in bits and as a share of the intact loss."""
    ablated, none = paired(
        *(
            stack(study, [bits_of(study, one, metric, name) for one in columns])
            for name in (condition, BASELINE)
        )
    )
    increase = bootstrap.means(ablated - none)
    return increase, increase / bootstrap.means(none)
