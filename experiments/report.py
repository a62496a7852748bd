"""One HTML file of a study: verdict, tables, figures, and a browser of the examples.

    python -m experiments.report --results=results --output=report.html

--results takes results directories of experiments.ablate, or folders that hold them.
The file needs no network and no other file: send it, or open it from disk. The browser
shows every example under every condition: the caption, the image, what was ablated,
the losses, and the most probable predictions (of runs with --save_predictions).

    python -m experiments.report --results=results --output=report.html \\
        --images=flickr30k-images --regions=regions.h5 \\
        --class_names=objects_vocab.txt

--images draws the images themselves, --regions the regions that were ablated (give the
file the results were made with), --class_names names the predicted classes.
"""

from pathlib import Path

from absl import flags

from xabl.errors import UserError
from xabl.support import binary

_RESULTS = flags.DEFINE_list(
    "results", None, "Results directories, or folders of them, comma-separated."
)
_OUTPUT = flags.DEFINE_string("output", None, "HTML file to write.")
_IMAGES = flags.DEFINE_string(
    "images", None, "Folder of images, <image id>.jpg or .png; default: outlines."
)
_REGIONS = flags.DEFINE_string(
    "regions", None, "Image regions the results were made with, in any format."
)
_CLASS_NAMES = flags.DEFINE_string(
    "class_names", None, "The detector's classes, one a line, the background first."
)
_MAX_EXAMPLES = flags.DEFINE_integer(
    "max_examples",
    None,
    "Most examples in the browser; default: all, or what fits into 29 MB.",
    lower_bound=1,
)
_RESAMPLES = flags.DEFINE_integer(
    "resamples", 2000, "Bootstrap resamples of the images.", lower_bound=100
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the resampling.", lower_bound=0)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace an existing file.")


def main() -> None:
    """Writes the report."""
    if not _RESULTS.value or not _OUTPUT.value:
        raise UserError("--results and --output are needed (--help says more)")
    from xabl.analysis.report import ReportOptions, write_report

    def path(flag: flags.FlagHolder) -> Path | None:
        return Path(flag.value) if flag.value else None

    text = write_report(
        _RESULTS.value,
        Path(_OUTPUT.value),
        ReportOptions(
            images=path(_IMAGES),
            regions=path(_REGIONS),
            class_names=path(_CLASS_NAMES),
            max_examples=_MAX_EXAMPLES.value,
            resamples=_RESAMPLES.value,
            seed=_SEED.value,
            overwrite=_OVERWRITE.value,
        ),
    )
    print(text, end="")


if __name__ == "__main__":
    binary.run(main)
