"""Checks LabelMatch against published files (not a test: it needs those files).

    python tests/analysis/check_published.py --published=FOLDER

FOLDER holds phrase_nouns.json, phrase_types.json and objects_vocab.txt as released
with Frank et al. (EMNLP 2021).
"""

import argparse
import collections
import json
import sys
from pathlib import Path

from xabl.analysis.labelmatch.confusion import categories
from xabl.analysis.labelmatch.gold_labels import (
    gold_classes,
    read_class_names,
    read_nouns,
)
from xabl.results import published as results

EXAMPLES, LABELMATCH = 14_433, 10_159
TYPES = {
    "people": 5794,
    "other": 3284,
    "clothing": 2335,
    "scene": 1463,
    "bodyparts": 541,
    "animals": 523,
    "vehicles": 338,
    "instruments": 155,
}
GOLD_TOTALS = {
    "published": (443, 419, 1198, 1828, 4594, 1431, 245, 1),
    "intended": (456, 419, 1650, 1815, 4594, 979, 245, 1),
}
CATEGORIES = (*results.CATEGORIES, "instruments")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--published", type=Path, required=True)
    folder = parser.parse_args().published
    nouns = read_nouns(folder / "phrase_nouns.json")
    types = json.loads((folder / "phrase_types.json").read_text(encoding="utf-8"))
    gold = gold_classes(nouns, read_class_names(folder / "objects_vocab.txt"))
    found = [
        ("examples", len(nouns), EXAMPLES),
        ("LabelMatch examples", sum(g is not None for g in gold), LABELMATCH),
    ]
    counts = collections.Counter(types)
    found += [(f"type {name}", counts[name], TYPES[name]) for name in TYPES]
    for name, expected in GOLD_TOTALS.items():
        category_of = categories(gold, types, name)
        totals = collections.Counter(category_of[g] for g in gold if g is not None)
        found += [
            (f"gold {category}, {name} map", totals[category], number)
            for category, number in zip(CATEGORIES, expected, strict=True)
        ]
    for what, got, expected in found:
        verdict = "ok" if got == expected else f"WRONG, expected {expected:,}"
        print(f"{what}: {got:,} {verdict}")
    return int(any(got != expected for _, got, expected in found))


if __name__ == "__main__":
    sys.exit(main())
