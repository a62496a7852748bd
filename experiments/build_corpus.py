"""Builds a pretraining corpus: image regions and captions in one TFDS data set.

--source is a file of region features in any published form (TSV, LMDB, HDF5), of any
size: it is read once, one image at a time. --captions is the JSON file that comes with
Conceptual Captions or a synthetic world, or a Flickr30k Entities directory (--split is
then the name of its list of ids). An LMDB of msgpack lists holds both: leave --captions
out.

A split is written whole or not at all. An existing one is refused.

Conceptual Captions:
  python -m experiments.build_corpus --source=cc/training_feat_all.tsv
      --captions=cc/caption_train.json --output=corpora/cc --split=train
Flickr30k Entities:
  python -m experiments.build_corpus --source=flickr30k.lmdb
      --captions=flickr30k_entities --output=corpora/flickr30k --split=val
A synthetic world of experiments.make_world, all five captions of each image:
  python -m experiments.build_corpus --source=world/regions.h5
      --captions=world/flickr30k_entities --output=corpora/world --split=train
"""

from pathlib import Path

from absl import flags

from xabl.support import binary

_SOURCE = flags.DEFINE_string("source", None, "Region features: file or directory.")
_CAPTIONS = flags.DEFINE_string(
    "captions", None, "JSON {image id: caption(s)}, or a Flickr30k Entities directory."
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder of the corpus, to be created.")
_SPLIT = flags.DEFINE_string("split", "train", "Name of the split, a folder in it.")
_IMAGE_IDS = flags.DEFINE_string(
    "image_ids", None, "File with the ids of the images to take, one a line."
)
_LIMIT = flags.DEFINE_integer("limit", None, "Take the first so many images.")
_BOXES = flags.DEFINE_integer(
    "boxes", 36, "Boxes in a record; images with fewer are padded.", lower_bound=1
)
_SKIP_BAD_ROWS = flags.DEFINE_bool(
    "skip_bad_rows", False, "Leave out images that are missing or bad, and count them."
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace the split if it exists.")
flags.mark_flags_as_required(["source", "output"])


def main() -> None:
    from xabl.pretraining.corpus.writer import build_corpus

    said = build_corpus(
        Path(_SOURCE.value),
        Path(_CAPTIONS.value) if _CAPTIONS.value else None,
        Path(_OUTPUT.value),
        _SPLIT.value,
        image_ids=Path(_IMAGE_IDS.value) if _IMAGE_IDS.value else None,
        limit=_LIMIT.value,
        num_boxes=_BOXES.value,
        skip_bad_rows=_SKIP_BAD_ROWS.value,
        overwrite=_OVERWRITE.value,
    )
    print(said)


if __name__ == "__main__":
    binary.run(main)
