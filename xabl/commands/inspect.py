r"""Says what a file or folder is, how much it holds, and what is wrong with it.

Knows a Flickr30k Entities directory, image regions in any form (LMDB, TSV, HDF5, an
imported store), a vocabulary, a model directory and a published checkpoint, told apart
by content. Nothing is written and nothing in the files is executed. Ends with status
1 if there are problems.

Examples:

  xabl inspect --path=downloads/flickr30k_entities --split=val
  xabl inspect --path=regions.h5
  xabl inspect --path=features.lmdb --image_ids=val.txt
"""

from absl import flags

from xabl.errors import UserError

FLAGS = flags.FLAGS


def define_flags() -> None:
    flags.DEFINE_string("path", None, "file or folder to inspect", required=True)
    flags.DEFINE_string("split", "val", "split of a Flickr30k Entities directory")
    flags.DEFINE_string(
        "image_ids",
        None,
        "file with the ids of the images whose regions to check, one a line; without "
        "it the first ones are checked",
    )
    flags.DEFINE_integer(
        "limit", 1000, "images whose regions to check at most; 0 for all", lower_bound=0
    )


def main() -> None:
    from xabl.inspection import inspect_path

    inspection = inspect_path(
        FLAGS.path, FLAGS.split, image_ids=FLAGS.image_ids, limit=FLAGS.limit
    )
    print(inspection)
    if inspection.problems:
        raise UserError(f"problems found in {FLAGS.path}: {len(inspection.problems)}")
