"""LabelMatch: score region predictions against what the caption says is there.

First make the gold labels, from the nouns of every phrase and the detector's class
names (line 0 is the background, commas part alternatives):

    python -m experiments.labelmatch --nouns=phrase_nouns.json \\
        --class_names=objects_vocab.txt --gold_labels=gold_labels.json

or, without a file of nouns, with a tagger (pip install stanza, and its English model):

    python -m experiments.labelmatch --tagger=stanza --entities=flickr30k_entities \\
        --class_names=objects_vocab.txt --gold_labels=gold_labels.json

Then run experiments.ablate with --gold_labels=gold_labels.json, and write the tables
(losses on LabelMatch and LabelMatch-agree, agreement with the detector, rank and
probability of the gold class, confusion matrices) as CSV, Parquet and LaTeX:

    python -m experiments.labelmatch --results=results --output=labelmatch
"""

from pathlib import Path

from absl import flags

from xabl.errors import UserError
from xabl.support import binary

_NOUNS = flags.DEFINE_string(
    "nouns", None, "JSON: the nouns of every example, a list of lists of words."
)
_TAGGER = flags.DEFINE_enum(
    "tagger", None, ["stanza"], "Tag the captions instead of reading --nouns."
)
_ENTITIES = flags.DEFINE_string(
    "entities", None, "Flickr30k Entities: to tag, or to check the number of --nouns."
)
_SPLIT = flags.DEFINE_string("split", "val", "Split of Flickr30k Entities.")
_CLASS_NAMES = flags.DEFINE_string(
    "class_names", None, "The detector's classes, one a line, the background first."
)
_GOLD_LABELS = flags.DEFINE_string(
    "gold_labels", None, "JSON file to write: a class index or null for each example."
)
_RESULTS = flags.DEFINE_list(
    "results", None, "Results directories, or folders of them, with gold labels."
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder to write the tables to.")


def main() -> None:
    """Makes gold labels, or the tables of results that have them."""
    if (_GOLD_LABELS.value is None) == (_RESULTS.value is None):
        raise UserError(
            "give either --gold_labels (to make them) or --results (for the tables)"
        )
    if _RESULTS.value is not None:
        if _OUTPUT.value is None:
            raise UserError("--results needs --output, the folder for the tables")
        from xabl.analysis.labelmatch import write_tables

        print(write_tables(_RESULTS.value, Path(_OUTPUT.value)), end="")
        return
    if _CLASS_NAMES.value is None:
        raise UserError("--gold_labels needs --class_names, e.g. objects_vocab.txt")
    if (_NOUNS.value is None) == (_TAGGER.value is None):
        raise UserError("give either --nouns or --tagger")
    from xabl.analysis.labelmatch import make_gold_labels

    text = make_gold_labels(
        class_names=Path(_CLASS_NAMES.value),
        output=Path(_GOLD_LABELS.value),
        nouns=Path(_NOUNS.value) if _NOUNS.value else None,
        entities=Path(_ENTITIES.value) if _ENTITIES.value else None,
        split=_SPLIT.value,
    )
    print(text, end="")


if __name__ == "__main__":
    binary.run(main)
