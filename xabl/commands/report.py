"""One HTML file of a study: verdict, tables, figures, and a browser of the examples.

    xabl report --results=results --output=report.html

--results takes results directories of xabl ablate, or folders that hold them.
The file needs no network and no other file: send it, or open it from disk. The browser
shows every example under every condition: the caption with its words tinted by their
change in bits, the image, what was ablated, the losses, and the most probable
predictions (of runs with --save_predictions); of two models side by side if you choose.
Its address holds what is chosen, so that an example under a condition is a link.

    xabl report --results=results --output=report.html \\
        --images=flickr30k-images --regions=regions.h5 \\
        --class_names=objects_vocab.txt

--images draws the images themselves, --regions the regions that were ablated (give the
file the results were made with), --class_names names the predicted classes.
"""

from pathlib import Path

from absl import flags

FLAGS = flags.FLAGS


def define_flags() -> None:
    flags.DEFINE_list(
        "results",
        None,
        "Results directories, or folders of them, comma-separated.",
        required=True,
    )
    flags.DEFINE_string("output", None, "HTML file to write.", required=True)
    flags.DEFINE_string(
        "images", None, "Folder of images, <image id>.jpg or .png; default: outlines."
    )
    flags.DEFINE_string(
        "regions", None, "Image regions the results were made with, in any format."
    )
    flags.DEFINE_string(
        "class_names", None, "The detector's classes, one a line, the background first."
    )
    flags.DEFINE_integer(
        "max_examples",
        None,
        "Most examples in the browser; default: all, or what fits into 29 MB.",
        lower_bound=1,
    )
    flags.DEFINE_integer(
        "resamples", 2000, "Bootstrap resamples of the images.", lower_bound=100
    )
    flags.DEFINE_integer("seed", 0, "Seed of the resampling.", lower_bound=0)
    flags.DEFINE_bool("overwrite", False, "Replace an existing file.")


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
            max_examples=FLAGS.max_examples,
            resamples=FLAGS.resamples,
            seed=FLAGS.seed,
            overwrite=FLAGS.overwrite,
        ),
    )
    print(text, end="")


def _path(value: str | None) -> Path | None:
    return Path(value) if value else None
