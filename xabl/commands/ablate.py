r"""Removes one modality from the input and measures what a model loses on the other.

Scores a converted model on the phrases of Flickr30k Entities: the words of a phrase
with image regions ablated (vis4lang), and the class of the region that shows it with
words ablated (lang4vis), under every condition. Writes scores.parquet (a row per
example and condition), words.parquet, predictions.parquet, summary.tsv (means in bits)
and manifest.json: all that xabl report shows.

Example:

  xabl ablate --model=models/ctrl_uniter_base \
    --entities=flickr30k_entities --split=val --regions=regions.h5 \
    --output=results/ctrl_uniter_base
"""

from absl import flags

from xabl.commands import common_flags
from xabl.errors import UserError
from xabl.results.ways import WAYS

FLAGS = flags.FLAGS


def define_flags() -> None:
    common_flags.define_model()
    flags.DEFINE_string(
        "entities",
        None,
        "Flickr30k Entities: a directory with <split>.txt, Sentences, Annotations",
        required=True,
    )
    flags.DEFINE_string("split", "val", "which list of images")
    flags.DEFINE_string(
        "regions",
        None,
        "image regions: LMDB, TSV, HDF5 or a store of xabl import; a text-only model "
        "needs none",
    )
    flags.DEFINE_list(
        "directions",
        None,
        "vis4lang, lang4vis (default: all that the model can be asked)",
    )
    flags.DEFINE_list(
        "thresholds",
        [f"0.{digit}" for digit in range(10)],
        "overlap thresholds of vis4lang's object ablation",
    )
    flags.DEFINE_list(
        "replace",
        [],
        "further ways of removing, beside the published ones, which are always run: "
        + "; ".join(
            f"for {direction.wording.ablated} "
            + ", ".join(f"{name} ({way.meaning})" for name, way in ways.items())
            for direction, ways in WAYS.items()
        ),
    )
    flags.DEFINE_integer(
        "replace_seed",
        0,
        "of the images and captions that stand in for others",
        lower_bound=0,
    )
    flags.DEFINE_integer(
        "batch_size",
        None,
        "inputs scored together on one device (default: what its memory holds)",
        lower_bound=1,
    )
    flags.DEFINE_enum(
        "precision",
        "highest",
        ["highest", "default", "bfloat16"],
        "of matrix products: float32; the platform's fast float32; bfloat16 with "
        "softmax, LayerNorm and losses in float32",
    )
    flags.DEFINE_enum(
        "vlbert_positions",
        "reference_batch",
        ["reference_batch", "per_example"],
        "VL-BERT's word positions: as in the published evaluation, where they depend "
        "on batches of 16 consecutive examples, or by the caption alone",
    )
    flags.DEFINE_enum(
        "image_token",
        "published",
        ["published", "recomputed"],
        "lang4vis: whether [IMG] is the mean of the whole image, as published, or of "
        "the regions that are not masked",
    )
    flags.DEFINE_enum(
        "mismatch",
        "stop_if_certain",
        ["stop_if_certain", "stop", "warn"],
        "what to do when features, boxes, captions and model do not belong together, "
        "or do not seem to",
    )
    flags.DEFINE_integer(
        "limit", None, "score so many examples only, spread evenly over the split"
    )
    flags.DEFINE_bool(
        "skip_bad_examples",
        False,
        "leave out images that cannot be read, and list them",
    )
    flags.DEFINE_string("output", None, "results directory (needed but for --explain)")
    flags.DEFINE_bool(
        "explain",
        False,
        "print what would be computed and how many minutes it takes, by a measurement "
        "of some seconds on this machine; score nothing",
    )
    flags.DEFINE_bool("overwrite", False, "replace results that are there")
    flags.DEFINE_bool("resume", False, "continue an interrupted run")
    flags.DEFINE_integer(
        "model_seed", None, "the seed it was pretrained with, for the manifest"
    )
    flags.DEFINE_integer(
        "save_predictions",
        5,
        "keep so many of the most probable predictions of every target, which the "
        "report shows; 5 take up to 16 MB for the 14,433 published examples",
        lower_bound=0,
    )
    flags.DEFINE_string(
        "images",
        None,
        "folder of the pictures, <image id>.jpg or .png: nothing reads them but xabl "
        "report, which finds them by this",
    )
    flags.DEFINE_string(
        "gold_labels",
        None,
        "JSON list with a class or null for each example, from xabl labelmatch",
    )
    flags.DEFINE_string(
        "class_names",
        None,
        "the detector's classes, one a line, which tell nouns from other words "
        "(default: objects_vocab.txt beside the regions)",
    )
    flags.DEFINE_string(
        "attribute_names",
        None,
        "the detector's attributes, which tell adjectives (default: "
        "attributes_vocab.txt beside the regions)",
    )
    flags.DEFINE_enum(
        "tagger",
        None,
        ["stanza"],
        "a part-of-speech tagger tells the classes of words, not lists of words",
    )
    common_flags.define_hosts("each of which scores its share")


def main() -> None:
    from xabl.ablation import run
    from xabl.ablation.asked import run_options
    from xabl.support.compilation_cache import use_compilation_cache
    from xabl.support.hosts import connect

    asked = {flag.name: flag.value for flag in FLAGS.get_flags_for_module(__name__)}
    options = run_options(asked, flags=asked)
    if FLAGS.explain:
        run.explain_run(options)
        return
    if options.output is None:
        raise UserError("--output: give the results directory to write")
    use_compilation_cache()
    connect(FLAGS.coordinator, FLAGS.hosts, FLAGS.host, survive=True)
    run.run(options)
