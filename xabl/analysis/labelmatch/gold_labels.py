"""LabelMatch: the phrases whose noun is the name of a detector class.

For them the phrase itself gives a gold label, so a model can be scored against what
the caption says rather than against what the detector saw (Frank et al. 2021, section
5.3).
"""

import json
from collections.abc import Sequence
from pathlib import Path

from xabl.analysis.files import write_text
from xabl.analysis.labelmatch.nouns import stanza_tagger, tag_nouns
from xabl.data.class_names import read_class_names
from xabl.errors import UserError
from xabl.support.files import read_json

BACKGROUND = 0  # class of the 1601-way index that no phrase names


def make_gold_labels(
    *,
    class_names: Path,
    output: Path,
    nouns: Path | None = None,
    entities: Path | None = None,
    split: str = "val",
) -> str:
    """Writes what `--gold_labels` of the ablation reads; returns what was found.

    The file is a JSON list with a class of the detector's 1601 or null an example.

    Args:
        class_names: the detector's classes, one per line, the background first.
        output: the JSON file to write.
        nouns: the nouns of every example; without it they are tagged.
        entities: Flickr30k Entities; needed for tagging, otherwise only to check that
            there are as many nouns as examples.
        split: of Flickr30k Entities.

    Raises:
        UserError: a file that cannot be read, too few or too many nouns, none that is
            a class, no tagger.
    """
    if nouns is None and entities is None:
        raise UserError(
            "no nouns: give --nouns=FILE, or --tagger=stanza with --entities=DIRECTORY"
        )
    classes = read_class_names(class_names)
    found = None
    if entities is not None:
        from xabl.data.flickr30k_entities import mentions, read_split

        found = list(mentions(read_split(entities, split)))
    if nouns is not None:
        words = read_nouns(nouns)
        if found is not None and len(found) != len(words):
            raise UserError(
                f"{nouns}: nouns of {len(words):,} examples, but split {split} of "
                f"{entities} has {len(found):,}"
            )
    else:
        words = tag_nouns(found, stanza_tagger())
    gold = gold_classes(words, classes)
    matched = [label for label in gold if label is not None]
    if not matched:
        raise UserError(
            f"{class_names}: none of {len(gold):,} examples has a noun that is one of "
            f"these {len(classes):,} classes; give the classes of the detector, and "
            "the nouns of these examples"
        )
    write_text(output, json.dumps(gold) + "\n")
    return (
        f"{len(matched):,} of {len(gold):,} examples name one of the detector's "
        f"classes ({len(set(matched)):,} classes); gold labels written to {output}\n"
    )


def read_nouns(path: Path) -> list[tuple[str, ...]]:
    """Nouns of every example, in order: a JSON list of lists of words.

    Raises:
        UserError: missing, not JSON, or an entry that is not a list of words.
    """
    nouns = read_json(path, "lists of nouns, one per example", list)
    for index, words in enumerate(nouns):
        if not isinstance(words, list) or not all(
            isinstance(word, str) for word in words
        ):
            raise UserError(
                f"{path}: entry {index} is {words!r}; expected a list of words"
            )
    return [tuple(words) for words in nouns]


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
