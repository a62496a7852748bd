"""The change of every class of words: nouns, adjectives, numbers, function words.

The loss of a phrase is a mean over its pieces, in which articles hide what happens to
nouns. Here a word's loss is the sum over its pieces, and a mean is one over words.
"""

import numpy as np
import pandas as pd
from jaxtyping import Float

from xabl.analysis import effects
from xabl.analysis.bootstrap import Draws, ImageBootstrap
from xabl.analysis.study import Model, Study
from xabl.analysis.verdicts import effect_evidence
from xabl.results.conditions import BASELINE, Direction
from xabl.results.format import WORDS
from xabl.results.losses import NATS_PER_BIT, columns_of
from xabl.results.reading import Run, read_file
from xabl.results.word_classes import WordClass

PHRASE = "phrase"  # beside the classes: the mean over pieces, as published
PHRASE_TITLE = "phrases (published)"
_CLASSES = tuple(WordClass)


def title(name: str) -> str:
    """Of a word class or `PHRASE`, for tables and figures."""
    return PHRASE_TITLE if name == PHRASE else WordClass(name).title


def by_word_class(study: Study, bootstrap: ImageBootstrap) -> pd.DataFrame:
    """How much each ablation of regions changes the loss of words, class by class.

    Columns: model, seeds (those with losses by word), condition, word_class (of
    `WordClass`, and `PHRASE`: the published mean over phrases), none (the loss
    unablated, bits a word), difference, low, high (95%, images resampled), evidence
    (`verdicts.effect_evidence`), n (words; of `PHRASE` phrases). Empty without losses
    by word.
    """
    tables = []
    phrases = effects.differences(
        study, bootstrap, metrics=columns_of(Direction.VIS4LANG)[:1]
    )
    for model in study.models:
        runs = [run for run in model.runs if (run.directory / WORDS.name).is_file()]
        if not runs or model.text_only():
            continue
        tables.append(
            _of_model(model, [_bits_by_class(run) for run in runs], bootstrap)
        )
        own = phrases[phrases["model"] == model.label]
        names = [name for name in tables[-1].columns if name in own.columns]
        tables.append(own[names].assign(word_class=PHRASE))
    if not tables:
        return pd.DataFrame()
    table = pd.concat(tables, ignore_index=True)
    order = {name: place for place, name in enumerate((*_CLASSES, PHRASE))}
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
    conditions = [name for name in runs[0] if name != BASELINE]
    for condition in conditions if BASELINE in runs[0] else ():
        both = [run for run in runs if {condition, BASELINE} <= run.keys()]
        sums, counts = np.mean([run[condition] for run in both], axis=0)
        intact, words = np.mean([run[BASELINE] for run in both], axis=0)
        missing = np.isnan(sums) | np.isnan(intact)
        counts, words = (np.where(missing, np.nan, of) for of in (counts, words))
        # A ratio of means over examples is a mean over words.
        change = _ratio(bootstrap.means(sums - intact), bootstrap.means(counts))
        none = _ratio(
            bootstrap.means(np.where(missing, np.nan, intact)), bootstrap.means(words)
        )
        low, high = change.interval()
        for place, kind in enumerate(_CLASSES):
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
                        "evidence": effect_evidence(low[place], high[place]),
                        "n": n,
                    }
                )
    return pd.DataFrame(rows)


def _ratio(sums: Draws, counts: Draws) -> Draws:
    with np.errstate(invalid="ignore", divide="ignore"):  # 0 / 0: no such words
        return sums / counts


def _bits_by_class(run: Run) -> dict[str, Float[np.ndarray, "2 examples classes"]]:
    """By condition: sums of the words' losses in bits, and how many words there are.

    NaN in examples that have no losses by word.
    """
    table = read_file(run.directory, WORDS).to_pandas()
    place = np.searchsorted(run.example_ids, table["example"])
    place = np.minimum(place, len(run.example_ids) - 1)
    known = run.example_ids[place] == table["example"]
    kinds = table["word_class"].map({name: n for n, name in enumerate(_CLASSES)})
    table = table.assign(
        place=place, kind=kinds.fillna(_CLASSES.index(WordClass.OTHER)).astype(int)
    )[known]
    found = {}
    shape = (len(run.example_ids), len(_CLASSES))
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
