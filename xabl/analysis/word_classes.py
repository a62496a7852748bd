"""The change of every class of words: nouns, adjectives, numbers, function words.

The loss of a phrase is a mean over its pieces, in which articles hide what happens to
nouns. Here a word's loss is the sum over its pieces, and a mean is one over words.
"""

import numpy as np
import pandas as pd

from xabl.analysis import effects
from xabl.analysis.bootstrap import Draws, ImageBootstrap
from xabl.analysis.by_word import CLASSES, bits_by_class, has_words
from xabl.analysis.study import Model, Study
from xabl.analysis.verdicts import effect_evidence
from xabl.results.conditions import BASELINE, Direction
from xabl.results.losses import BY_WORD
from xabl.results.word_classes import WordClass

PHRASE = "phrase"  # beside the classes: the mean over tokens, as published
PHRASE_BY_WORD = "phrase_by_word"  # in its place where vocabularies differ
_TITLES = {
    PHRASE: "phrases (mean over tokens, as published)",
    PHRASE_BY_WORD: "phrases (mean over words)",
}


def title(name: str) -> str:
    """Of a word class or of phrases, for tables and figures."""
    return _TITLES.get(name) or WordClass(name).title


def axis_title(name: str) -> str:
    """The title on the axis of a figure, a word a line."""
    return title(name).split(" (")[0].replace(" ", "\n")


def by_word_class(study: Study, bootstrap: ImageBootstrap) -> pd.DataFrame:
    """How much each ablation of regions changes the loss of words, class by class.

    Columns: model, seeds (those with losses by word), condition, word_class (of
    `WordClass`; and for phrases `PHRASE`, the published mean over tokens, or
    `PHRASE_BY_WORD` in a study of several vocabularies), none (the loss unablated, bits
    a word), difference, low, high (95%, images resampled), evidence
    (`verdicts.effect_evidence`), n (words, or phrases), images, guessing (see
    `effects`). Empty without losses by word.
    """
    tables = []
    metric = study.word_loss
    phrases = effects.differences(study, bootstrap, metrics=(metric,))
    name = PHRASE_BY_WORD if metric == BY_WORD else PHRASE
    for model in study.models:
        runs = [run for run in model.runs if has_words(run)]
        if not runs or model.text_only():
            continue
        words = _of_model(model, [bits_by_class(run) for run in runs], bootstrap)
        if words.empty:  # every example is excluded
            continue
        own = phrases[phrases["model"] == model.label]
        names = [column for column in words.columns if column in own.columns]
        tables += [words, own[names].assign(word_class=name)]
    if not tables:
        return pd.DataFrame()
    table = pd.concat(tables, ignore_index=True)
    order = {name: place for place, name in enumerate((*CLASSES, *_TITLES))}
    models = {model.label: place for place, model in enumerate(study.models)}
    names = study.conditions(Direction.VIS4LANG)
    return table.sort_values(
        by=["model", "condition", "word_class"],
        key=lambda column: column.map(
            {"model": models, "word_class": order}.get(
                column.name, {name: place for place, name in enumerate(names)}
            )
        ),
        ignore_index=True,
    )


def _of_model(
    model: Model, runs: list[dict[str, np.ndarray]], bootstrap: ImageBootstrap
) -> pd.DataFrame:
    rows = []
    guessing = model.guesses(Direction.VIS4LANG)
    conditions = [name for name in runs[0] if name != BASELINE]
    for condition in conditions if BASELINE in runs[0] else ():
        both = [run for run in runs if {condition, BASELINE} <= run.keys()]
        sums, counts = np.mean([run[condition] for run in both], axis=0)
        intact, words = np.mean([run[BASELINE] for run in both], axis=0)
        # Without a word of a class a phrase adds nothing, and its image does not count.
        missing = np.isnan(sums) | np.isnan(intact) | (counts == 0)
        counts, words = (np.where(missing, np.nan, of) for of in (counts, words))
        # A ratio of means over examples is a mean over words.
        added = np.where(missing, np.nan, sums - intact)
        change = _ratio(bootstrap.means(added), bootstrap.means(counts))
        none = _ratio(
            bootstrap.means(np.where(missing, np.nan, intact)), bootstrap.means(words)
        )
        low, high = change.interval()
        for place, kind in enumerate(CLASSES):
            n = int(np.nansum(counts[:, place]))
            if n:
                rows.append(
                    {
                        "model": model.label,
                        "seeds": len(both),
                        "condition": condition,
                        "word_class": kind.value,
                        "none": none.estimate[place],
                        "difference": change.estimate[place],
                        "low": low[place],
                        "high": high[place],
                        "evidence": effect_evidence(low[place], high[place], guessing),
                        "n": n,
                        "images": int(change.images[place]),
                        "guessing": guessing,
                    }
                )
    return pd.DataFrame(rows)


def _ratio(sums: Draws, counts: Draws) -> Draws:
    with np.errstate(invalid="ignore", divide="ignore"):  # 0 / 0: no such words
        return sums / counts
