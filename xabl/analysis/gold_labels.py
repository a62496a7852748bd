"""From nouns and class names to the gold labels that `experiments.ablate` scores."""

from pathlib import Path

from xabl.analysis.labelmatch import (
    gold_classes,
    read_class_names,
    read_nouns,
    write_gold_labels,
)
from xabl.errors import UserError


def make_gold_labels(
    *,
    class_names: Path,
    output: Path,
    nouns: Path | None = None,
    entities: Path | None = None,
    split: str = "val",
) -> str:
    """Writes the gold label of every example; returns what was found, in words.

    Args:
        class_names: the detector's classes, one a line, the background first.
        output: the JSON file to write.
        nouns: the nouns of every example; without it they are tagged.
        entities: Flickr30k Entities; needed for tagging, otherwise only to check that
            there are as many nouns as examples.
        split: of Flickr30k Entities.

    Raises:
        UserError: a file that cannot be read, too few or too many nouns, no tagger.
    """
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
    elif found is not None:
        from xabl.analysis.nouns import stanza_tagger, tag_nouns

        words = tag_nouns(found, stanza_tagger())
    else:
        raise UserError(
            "no nouns: give --nouns=FILE, or --tagger=stanza with --entities=DIRECTORY"
        )
    gold = gold_classes(words, read_class_names(class_names))
    write_gold_labels(gold, output)
    matched = [label for label in gold if label is not None]
    return (
        f"{len(matched):,} of {len(gold):,} examples name one of the detector's "
        f"classes ({len(set(matched)):,} classes); gold labels written to {output}\n"
    )
