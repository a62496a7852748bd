"""The paper's figures and tables, for results of xabl ablate.

    xabl figures --results=results --output=figures

--results takes results directories, or folders that hold them. Every figure is written
as PDF, SVG and PNG, with the table it was drawn from (TSV); figures.md has the
captions, and says which figures the results do not allow and why. Folder tables/ has
all numbers with their intervals as CSV, Parquet and LaTeX.

Figures: 1 both directions, 2 overlap threshold, 3 seeds, 4 initialisation, 5 overlap
threshold in pretraining, 6 pretraining loss, 7 LabelMatch, 8 LabelMatch-agree,
9 confusion matrix, 10 lost or misled, 11 classes of words. Figures 4 to 6 know variants
by the labels their runs were given (xabl ablate --label): BASE_rnd-vl, BASE_rnd-v-vl,
BASE_bert-v-vl; BASE-thr04, BASE-thr04iot; BASE-xent, where BASE is the label of the
model they are variants of.
"""

from pathlib import Path

from absl import flags

from xabl.commands import common_flags
from xabl.errors import check_choice

FLAGS = flags.FLAGS


def define_flags() -> None:
    common_flags.define_results()
    flags.DEFINE_string("output", None, "folder to write to", required=True)
    flags.DEFINE_list("figures", [], "numbers of figures to draw (default: all)")
    flags.DEFINE_bool("tables", True, "write the tables too")
    common_flags.define_resampling()


def main() -> None:
    """Draws the figures."""
    from xabl.analysis.figures import FIGURES, write_figures

    known = {str(number): number for number in FIGURES}
    for number in FLAGS.figures:
        check_choice("--figures", number, known)
    text = write_figures(
        FLAGS.results,
        Path(FLAGS.output),
        numbers=[known[number] for number in FLAGS.figures] or None,
        tables=FLAGS.tables,
        resamples=FLAGS.resamples,
        seed=FLAGS.seed,
    )
    print(text, end="")
