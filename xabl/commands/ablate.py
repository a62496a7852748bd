r"""Removes one modality from the input and measures what a model loses on the other.

Scores a converted model on the phrases of Flickr30k Entities: the words of a phrase
with image regions ablated (vis4lang), and the class of the region that shows it with
words ablated (lang4vis), under every condition. Writes scores.parquet (a row per
example and condition), examples.parquet, words.parquet, predictions.parquet,
summary.tsv (means in bits) and manifest.json, which xabl figures and xabl report read.

Example:

  xabl ablate --model=models/ctrl_uniter_base \
    --entities=flickr30k_entities --split=val --regions=regions.h5 \
    --output=results/ctrl_uniter_base
"""

from absl import flags

from xabl.commands import common_flags
from xabl.errors import UserError

FLAGS = flags.FLAGS


def define_flags() -> None:
    common_flags.define_options()
    flags.DEFINE_bool(
        "explain",
        False,
        "print what would be computed and how many minutes it takes, by a measurement "
        "of some seconds on this machine; score nothing",
    )
    common_flags.define_hosts("each of which scores its share")


def main() -> None:
    from xabl.ablation import run
    from xabl.ablation.asked import made_of
    from xabl.ablation.options import RunOptions
    from xabl.support.compilation_cache import use_compilation_cache
    from xabl.support.hosts import connect

    asked = {flag.name: flag.value for flag in FLAGS.get_flags_for_module(__name__)}
    options = made_of(RunOptions, asked, flags=asked)
    if FLAGS.explain:
        run.explain_run(options)
        return
    if options.output is None:
        raise UserError("--output: give the results directory to write")
    use_compilation_cache()
    connect(FLAGS.coordinator, FLAGS.hosts, FLAGS.host, survive=True)
    run.run(options)
