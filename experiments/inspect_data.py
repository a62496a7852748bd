r"""Says what a file or folder is, how much it holds, and what is wrong with it.

Knows a Flickr30k Entities directory, image regions in any form (LMDB, TSV, HDF5, an
imported store), a vocabulary, a model directory and a published checkpoint, told apart
by content. Nothing is written and nothing in the files is executed. Ends with status
1 if there are problems.

Examples:

  python -m experiments.inspect_data --path=downloads/flickr30k_entities --split=val
  python -m experiments.inspect_data --path=regions.h5
  python -m experiments.inspect_data --path=features.lmdb --image_ids=val.txt
"""

from absl import flags

from xabl.errors import UserError
from xabl.support import binary

_PATH = flags.DEFINE_string("path", None, "file or folder to inspect", required=True)
_SPLIT = flags.DEFINE_string("split", "val", "split of a Flickr30k Entities directory")
_IMAGE_IDS = flags.DEFINE_string(
    "image_ids",
    None,
    "file with the ids of the images whose regions to check, one a line; without it "
    "the first ones are checked",
)
_LIMIT = flags.DEFINE_integer(
    "limit", 1000, "images whose regions to check at most; 0 for all", lower_bound=0
)


def main() -> None:
    from xabl.inspection import inspect_path

    inspection = inspect_path(
        _PATH.value, _SPLIT.value, image_ids=_IMAGE_IDS.value, limit=_LIMIT.value
    )
    print(inspection)
    if inspection.problems:
        raise UserError(f"problems found in {_PATH.value}: {len(inspection.problems)}")


if __name__ == "__main__":
    binary.run(main)
