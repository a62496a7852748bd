"""LabelMatch: score region predictions against what the caption says is there.

First make the gold labels, from the nouns of every phrase and the detector's class
names (the background first, commas part alternatives):

    xabl labelmatch --nouns=phrase_nouns.json \\
        --class_names=objects_vocab.txt --gold_labels=gold_labels.json

or, without a file of nouns, with a tagger (it needs stanza and its English model):

    xabl labelmatch --tagger=stanza --entities=flickr30k_entities \\
        --class_names=objects_vocab.txt --gold_labels=gold_labels.json

Then run xabl ablate with --gold_labels=gold_labels.json, and write the tables
(losses on LabelMatch and LabelMatch-agree, agreement with the detector, rank and
probability of the gold class, confusion matrices) as CSV, Parquet and LaTeX:

    xabl labelmatch --results=results --output=labelmatch
"""

from pathlib import Path

from absl import flags

from xabl.errors import UserError

FLAGS = flags.FLAGS


def define_flags() -> None:
    flags.DEFINE_string(
        "nouns", None, "JSON: the nouns of every example, a list of lists of words"
    )
    flags.DEFINE_enum(
        "tagger", None, ["stanza"], "tag the captions instead of reading --nouns"
    )
    flags.DEFINE_string(
        "entities",
        None,
        "Flickr30k Entities: to tag, or to check the number of --nouns",
    )
    flags.DEFINE_string("split", "val", "split of Flickr30k Entities")
    flags.DEFINE_string(
        "class_names", None, "the detector's classes, one a line, the background first"
    )
    flags.DEFINE_string(
        "gold_labels",
        None,
        "JSON file to write: a class index or null for each example",
    )
    flags.DEFINE_list(
        "results", None, "results directories, or folders of them, with gold labels"
    )
    flags.DEFINE_string("output", None, "folder to write the tables to")


def main() -> None:
    """Makes gold labels, or the tables of results that have them."""
    if (FLAGS.gold_labels is None) == (FLAGS.results is None):
        raise UserError(
            "give either --gold_labels (to make them) or --results (for the tables)"
        )
    if FLAGS.results is not None:
        if FLAGS.output is None:
            raise UserError("--results needs --output, the folder for the tables")
        from xabl.analysis.labelmatch import write_tables

        print(write_tables(FLAGS.results, Path(FLAGS.output)), end="")
        return
    if FLAGS.class_names is None:
        raise UserError("--gold_labels needs --class_names, e.g. objects_vocab.txt")
    if (FLAGS.nouns is None) == (FLAGS.tagger is None):
        raise UserError("give either --nouns or --tagger")
    from xabl.analysis.labelmatch import make_gold_labels

    text = make_gold_labels(
        class_names=Path(FLAGS.class_names),
        output=Path(FLAGS.gold_labels),
        nouns=Path(FLAGS.nouns) if FLAGS.nouns else None,
        entities=Path(FLAGS.entities) if FLAGS.entities else None,
        split=FLAGS.split,
    )
    print(text, end="")
