"""LabelMatch: the phrases whose noun is the name of a detector class.

For them the phrase itself gives a gold label, so a model can be scored against what
the caption says rather than against what the detector saw (Frank et al. 2021, section
5.3).
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Shaped

from xabl.analysis.files import write_text
from xabl.analysis.metrics import BASELINE
from xabl.analysis.study import Study
from xabl.errors import UserError

BACKGROUND = 0  # class of the 1601-way index that no phrase names
INTENDED, PUBLISHED = "intended", "published"
CATEGORY_MAPS = (INTENDED, PUBLISHED)
OTHER = "other"
_SCENE, _CLOTHING = "scene", "clothing"


def read_nouns(path: Path) -> list[tuple[str, ...]]:
    """Nouns of every example, in order: a JSON list of lists of words.

    Raises:
        UserError: missing, not JSON, or an entry that is not a list of words.
    """
    nouns = _read_json_list(path, "lists of nouns, one an example")
    for index, words in enumerate(nouns):
        if not isinstance(words, list) or not all(
            isinstance(word, str) for word in words
        ):
            raise UserError(
                f"{path}: entry {index} is {words!r}; expected a list of words"
            )
    return [tuple(words) for words in nouns]


def read_class_names(path: Path) -> list[tuple[str, ...]]:
    """The detector's classes: line 0 is the background, commas part alternatives.

    Raises:
        UserError: missing, or not text.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a readable list of classes ({error})") from error
    if len(lines) < 2:
        raise UserError(
            f"{path}: {len(lines)} lines; expected one class a line, the background "
            "first"
        )
    return [tuple(line.split(",")) for line in lines]


def gold_classes(
    nouns: Sequence[Sequence[str]], class_names: Sequence[Sequence[str]]
) -> list[int | None]:
    """The class each example names, in the index that counts the background as 0.

    A class matches when one of its alternatives, split at spaces, equals the whole
    list of nouns, lower-cased; an example that matches no class, or more than one, has
    no gold label.
    """
    matching: dict[tuple[str, ...], set[int]] = {}
    for index, alternatives in enumerate(class_names):
        if index != BACKGROUND:
            for name in alternatives:
                matching.setdefault(tuple(name.split()), set()).add(index)
    gold = []
    for words in nouns:
        classes = matching.get(tuple(word.lower() for word in words), set())
        gold.append(next(iter(classes)) if len(classes) == 1 else None)
    return gold


def write_gold_labels(gold: Sequence[int | None], path: Path) -> None:
    """Writes what `experiments.ablate --gold_labels` reads: one int or null each."""
    write_text(path, json.dumps(list(gold)) + "\n")


def categories(
    gold: Sequence[int | None], phrase_types: Sequence[str], category_map: str
) -> dict[int, str]:
    """The category of every gold class: the first type of the phrases that name it.

    Where two types occur, the intended map drops scene, else other. The published
    table took an arbitrary one of the two (the order of a set). The published map
    repeats its choices: scene over clothing, other over animals, else as intended.

    Raises:
        UserError: a category map of another name.
    """
    if category_map not in CATEGORY_MAPS:
        raise UserError(
            f"category map {category_map!r}: expected {' or '.join(CATEGORY_MAPS)}"
        )
    types: dict[int, Counter[str]] = {}
    for label, phrase_type in zip(gold, phrase_types, strict=True):
        if label is not None:
            types.setdefault(label, Counter())[phrase_type] += 1
    chosen = {label: _intended(counts) for label, counts in types.items()}
    if category_map == PUBLISHED:
        for label, counts in types.items():
            if set(counts) == {_CLOTHING, _SCENE}:
                chosen[label] = _SCENE
            elif set(counts) == {"animals", OTHER}:
                chosen[label] = OTHER
    return chosen


def _intended(counts: Mapping[str, int]) -> str:
    left = dict(counts)
    for weaker in (_SCENE, OTHER):
        if len(left) > 1:
            left.pop(weaker, None)
    # Published data leaves one; elsewhere the more frequent, then the alphabet decides.
    return min(left, key=lambda name: (-left[name], name))


def gold_and_silver(
    study: Study,
) -> tuple[Shaped[np.ndarray, " examples"], Shaped[np.ndarray, " examples"]]:
    """Gold class and detector's top class of each example's target region; NaN: none.

    Raises:
        UserError: the results have no gold labels.
    """
    gold = study.fact("gold_class", "lang4vis", BASELINE)
    silver = study.fact("silver_class", "lang4vis", BASELINE)
    if gold is None or silver is None:
        raise UserError(
            "no gold labels in these results; make them with experiments.labelmatch "
            "and run experiments.ablate with --gold_labels"
        )
    return gold, silver


def subsets(study: Study) -> dict[str, Bool[np.ndarray, " examples"]]:
    """LabelMatch, and of it the examples where the detector agrees.

    Raises:
        UserError: the results have no gold labels.
    """
    gold, silver = gold_and_silver(study)
    has_gold = ~np.isnan(gold)
    return {"LabelMatch": has_gold, "LabelMatch-agree": has_gold & (gold == silver)}


def _read_json_list(path: Path, what: str) -> list:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not readable JSON ({error})") from error
    if not isinstance(content, list):
        raise UserError(f"{path}: expected a JSON list: {what}")
    return content
