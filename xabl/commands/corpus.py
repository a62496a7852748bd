r"""Builds a pretraining corpus: image regions and captions in one TFDS data set.

--source is a file of region features in any published form (TSV, LMDB, HDF5), of any
size: it is read once, one image at a time. --captions is the JSON file that comes with
Conceptual Captions or a synthetic world, or a Flickr30k Entities directory (--split is
then the name of its list of ids). An LMDB of msgpack lists holds both: leave --captions
out.

A split is written whole or not at all; --overwrite replaces an existing one.

Conceptual Captions:
  xabl corpus --source=cc/training_feat_all.tsv \
      --captions=cc/caption_train.json --output=corpora/cc --split=train
Flickr30k Entities:
  xabl corpus --source=flickr30k.lmdb \
      --captions=flickr30k_entities --output=corpora/flickr30k --split=val
A synthetic world of xabl world, all five captions of each image:
  xabl corpus --source=world/regions.h5 \
      --captions=world/flickr30k_entities --output=corpora/world --split=train
"""

from pathlib import Path

from absl import flags

FLAGS = flags.FLAGS


def define_flags() -> None:
    flags.DEFINE_string(
        "source", None, "region features: file or directory", required=True
    )
    flags.DEFINE_string(
        "captions",
        None,
        "JSON {image id: caption(s)}, or a Flickr30k Entities directory",
    )
    flags.DEFINE_string(
        "output", None, "folder of the corpus, to be created", required=True
    )
    flags.DEFINE_string("split", "train", "name of the split, a folder in it")
    flags.DEFINE_string(
        "image_ids", None, "file with the ids of the images to take, one a line"
    )
    flags.DEFINE_integer("limit", None, "take the first so many images")
    flags.DEFINE_integer(
        "boxes", 36, "boxes in a record; images with fewer are padded", lower_bound=1
    )
    flags.DEFINE_bool(
        "skip_bad_rows",
        False,
        "leave out images that are missing or bad, and count them",
    )
    flags.DEFINE_bool("overwrite", False, "replace the split if it exists")


def main() -> None:
    from xabl.pretraining.corpus.writer import build_corpus

    said = build_corpus(
        Path(FLAGS.source),
        Path(FLAGS.captions) if FLAGS.captions else None,
        Path(FLAGS.output),
        FLAGS.split,
        image_ids=Path(FLAGS.image_ids) if FLAGS.image_ids else None,
        limit=FLAGS.limit,
        num_boxes=FLAGS.boxes,
        skip_bad_rows=FLAGS.skip_bad_rows,
        overwrite=FLAGS.overwrite,
    )
    print(said)
