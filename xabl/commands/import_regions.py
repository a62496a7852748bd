r"""Copies the region features of a list of images into one region store.

The published files hold up to a terabyte for far more images than an evaluation
needs. The source is an LMDB directory, a TSV or an HDF5 file of region features, told
apart by content; it is read one image at a time and never written to. The store is
checked image by image and appears only when it is complete.

Example:

  xabl import \
    --source=downloads/flickr30k_resnet101_faster_rcnn_genome.lmdb \
    --image_ids=downloads/flickr30k_entities/val.txt --output=regions.h5
"""

from pathlib import Path

from absl import flags

FLAGS = flags.FLAGS


def define_flags() -> None:
    flags.DEFINE_string(
        "source",
        None,
        "LMDB directory, TSV or HDF5 file with region features",
        required=True,
    )
    flags.DEFINE_string(
        "image_ids",
        None,
        "file with the ids of the images to import, one a line, e.g. val.txt",
        required=True,
    )
    flags.DEFINE_string("output", None, "region store to write (.h5)", required=True)
    flags.DEFINE_bool("overwrite", False, "replace an existing output")


def main() -> None:
    from xabl.data.flickr30k_entities import read_image_ids
    from xabl.data.regions import open_regions
    from xabl.data.regions.store import import_regions
    from xabl.support.progress import Progress

    image_ids = read_image_ids(Path(FLAGS.image_ids))
    with (
        open_regions(FLAGS.source) as source,
        Progress(len(image_ids), "images", first="looking for the first") as progress,
    ):
        import_regions(
            source,
            image_ids,
            Path(FLAGS.output),
            overwrite=FLAGS.overwrite,
            on_image=progress.update,
        )
    print(f"{len(image_ids)} images written to {FLAGS.output}")
