r"""Says what a file or folder is, how much it holds, and what is wrong with it.

Knows a Flickr30k Entities directory, image regions in any form (LMDB, TSV, HDF5, an
imported store), a vocabulary, a model directory, a published checkpoint and results of
xabl ablate, told apart by content. Regions are held against the annotations of the same
images (--entities) and against what a model reads and was trained with (--model).
Nothing is written and nothing in the files is executed. Ends with status 1 if there are
problems.

Examples:

  xabl inspect downloads/flickr30k_entities --split=val
  xabl inspect features.lmdb --image_ids=val.txt
  xabl inspect regions.h5 --entities=flickr30k_entities --model=models/my_uniter
"""

from absl import flags

from xabl.errors import UserError

FLAGS = flags.FLAGS

POSITIONAL = "path"


def define_flags() -> None:
    flags.DEFINE_string("path", None, "file or folder to inspect")
    flags.DEFINE_string("split", "val", "split of a Flickr30k Entities directory")
    flags.DEFINE_string(
        "image_ids",
        None,
        "file with the ids of the images whose regions to check, one a line; without "
        "it the first ones are checked",
    )
    flags.DEFINE_string(
        "entities",
        None,
        "of regions: the Flickr30k Entities directory that they are to belong to",
    )
    flags.DEFINE_string(
        "model", None, "of regions: the model directory that is to read them"
    )
    flags.DEFINE_integer(
        "limit", 1000, "images whose regions to check at most; 0 for all", lower_bound=0
    )


def main() -> None:
    from xabl.inspection import inspect_path

    if FLAGS.path is None:
        raise UserError("give the file or folder: xabl inspect PATH")
    inspection = inspect_path(
        FLAGS.path,
        FLAGS.split,
        image_ids=FLAGS.image_ids,
        limit=FLAGS.limit,
        entities=FLAGS.entities,
        model=FLAGS.model,
    )
    print(inspection)
    if inspection.problems:
        raise UserError(f"problems found in {FLAGS.path}: {len(inspection.problems)}")
