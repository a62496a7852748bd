r"""Asks whether a model tells captions from foils, intact and ablated.

A foil is a caption made wrong in one place (VALSE, Parcalabescu et al., ACL 2022). The
matching head scores image and text of both: intact, with all regions ablated, with the
words masked in which the two differ, and with all words masked. Prints how often the
caption wins and how far that falls; writes foils.parquet (scores of each pair),
foils.tsv (the table) and manifest.json.

Example:

  xabl foils --model=models/lxmert --foils=VALSE/data --regions=coco.h5 \
    --output=results/lxmert_foils
"""

from pathlib import Path

from absl import flags

from xabl.commands import common_flags

FLAGS = flags.FLAGS


def define_flags() -> None:
    common_flags.define_options("model", "vocab", "label")
    flags.DEFINE_string(
        "foils", None, "a JSON file as published, or a folder of them", required=True
    )
    flags.DEFINE_string(
        "regions",
        None,
        "image regions: LMDB, TSV, HDF5 or a store of xabl import",
        required=True,
    )
    flags.DEFINE_string("output", None, "folder for the results", required=True)
    flags.DEFINE_bool("overwrite", False, "replace results that are there")


def main() -> None:
    from xabl.ablation.foils import run_foils

    run_foils(
        Path(FLAGS.model),
        Path(FLAGS.foils),
        Path(FLAGS.regions),
        Path(FLAGS.output),
        vocabulary=FLAGS.vocab and Path(FLAGS.vocab),
        label=FLAGS.label,
        overwrite=FLAGS.overwrite,
    )
    print(f"wrote {FLAGS.output}")
