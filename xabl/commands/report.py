"""One HTML file of a study: verdict, tables, figures, and a browser of the examples.

    xabl report --results=results --output=report.html

--results takes results directories of xabl ablate, or folders that hold them.
The file needs no network and no other file: send it, or open it from disk. The browser
shows every example under every condition: the caption with its words tinted by their
change in bits, the image, what was ablated, the losses, and the most probable
predictions (unless a run had --save_predictions=0); of two models side by side if you
choose.
Its address holds what is chosen, so that an example under a condition is a link.

    xabl report --results=results --output=report.html \\
        --images=flickr30k-images --regions=regions.h5 \\
        --class_names=objects_vocab.txt

--images draws the images themselves, --regions the regions that were ablated (give the
file the results were made with), --class_names names the predicted classes. All three
are by default what xabl ablate was given under these names (--noas_ablated: nothing).
"""

from pathlib import Path

from absl import flags

from xabl.commands import common_flags

FLAGS = flags.FLAGS


def define_flags() -> None:
    common_flags.define_results()
    flags.DEFINE_string("output", None, "HTML file to write", required=True)
    flags.DEFINE_string(
        "images",
        None,
        "folder of <image id>.jpg or .png (default: as ablated, else outlines)",
    )
    flags.DEFINE_string(
        "regions",
        None,
        "image regions the results were made with (default: as ablated)",
    )
    flags.DEFINE_string(
        "class_names",
        None,
        "the detector's classes, one a line, the background first (default: as "
        "ablated, else objects_vocab.txt beside the regions)",
    )
    flags.DEFINE_bool(
        "as_ablated",
        True,
        "take images, regions and class names from what xabl ablate was given",
    )
    flags.DEFINE_integer(
        "max_examples",
        None,
        "most examples in the browser (default: all, or what fits into 29 MB)",
        lower_bound=1,
    )
    common_flags.define_resampling()
    flags.DEFINE_bool("overwrite", False, "replace an existing file")


def main() -> None:
    """Writes the report."""
    from xabl.analysis.report import ReportOptions, write_report

    text = write_report(
        FLAGS.results,
        Path(FLAGS.output),
        ReportOptions(
            images=_path(FLAGS.images),
            regions=_path(FLAGS.regions),
            class_names=_path(FLAGS.class_names),
            as_ablated=FLAGS.as_ablated,
            max_examples=FLAGS.max_examples,
            resamples=FLAGS.resamples,
            seed=FLAGS.seed,
            overwrite=FLAGS.overwrite,
        ),
    )
    print(text, end="")


def _path(value: str | None) -> Path | None:
    return Path(value) if value else None
