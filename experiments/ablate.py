r"""Removes one modality from the input and measures what a model loses on the other.

Scores a converted model on the phrases of Flickr30k Entities: the words of a phrase
with image regions ablated (vis4lang), and the class of the region that shows it with
words ablated (lang4vis), under every condition. Writes scores.parquet (a row per
example and condition), summary.tsv (means in bits) and manifest.json.

Example:

  python -m experiments.ablate --model=models/ctrl_uniter_base \
    --entities=flickr30k_entities --split=val --regions=regions.h5 \
    --output=results/ctrl_uniter_base
"""

from pathlib import Path

from absl import flags

from xabl.errors import UserError
from xabl.support import binary

_MODEL = flags.DEFINE_string(
    "model", None, "model directory (see checkpoints_conversion)", required=True
)
_ENTITIES = flags.DEFINE_string(
    "entities",
    None,
    "Flickr30k Entities: a directory with <split>.txt, Sentences, Annotations",
    required=True,
)
_SPLIT = flags.DEFINE_string("split", "val", "which list of images")
_REGIONS = flags.DEFINE_string(
    "regions",
    None,
    "image regions: LMDB, TSV, HDF5 or a store of experiments.import_regions; a "
    "text-only model needs none",
)
_VOCAB = flags.DEFINE_string(
    "vocab", None, "the model's vocab.txt (default: the one in its directory)"
)
_DIRECTIONS = flags.DEFINE_list(
    "directions", None, "vis4lang, lang4vis (default: all that the model can be asked)"
)
_THRESHOLDS = flags.DEFINE_list(
    "thresholds",
    [f"0.{digit}" for digit in range(10)],
    "overlap thresholds of vis4lang's object ablation",
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size",
    None,
    "inputs scored together on one device (default: what its memory holds)",
    lower_bound=1,
)
_PRECISION = flags.DEFINE_enum(
    "precision",
    "highest",
    ["highest", "default", "bfloat16"],
    "of matrix products: float32; the platform's fast float32; bfloat16 with softmax, "
    "LayerNorm and losses in float32",
)
_VLBERT_POSITIONS = flags.DEFINE_enum(
    "vlbert_positions",
    "reference_batch",
    ["reference_batch", "per_example"],
    "VL-BERT's word positions: as in the published evaluation, where they depend on "
    "batches of 16 consecutive examples, or by the caption alone",
)
_IMAGE_TOKEN = flags.DEFINE_enum(
    "image_token",
    "published",
    ["published", "recomputed"],
    "lang4vis: whether [IMG] is the mean of the whole image, as published, or of the "
    "regions that are not masked",
)
_LIMIT = flags.DEFINE_integer("limit", None, "score the first so many examples only")
_SKIP_BAD = flags.DEFINE_bool(
    "skip_bad_examples", False, "leave out images that cannot be read, and list them"
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "results directory (needed but for --explain)"
)
_EXPLAIN = flags.DEFINE_bool(
    "explain", False, "print what would be computed, and score nothing"
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "replace results that are there")
_RESUME = flags.DEFINE_bool("resume", False, "continue an interrupted run")
_LABEL = flags.DEFINE_string(
    "label", None, "name of the model in tables (default: its configuration's)"
)
_MODEL_SEED = flags.DEFINE_integer(
    "model_seed", None, "the seed it was pretrained with, for the manifest"
)
_SAVE_PREDICTIONS = flags.DEFINE_integer(
    "save_predictions",
    0,
    "keep so many of the most probable predictions of every target",
    lower_bound=0,
)
_GOLD_LABELS = flags.DEFINE_string(
    "gold_labels",
    None,
    "JSON list with a class or null for each example, from experiments.labelmatch",
)
_DEVICES = flags.DEFINE_integer("devices", None, "local devices to use (default: all)")


def main() -> None:
    from xabl.ablation import run
    from xabl.ablation.engine.device_loop import Options
    from xabl.ablation.engine.device_regions import ImageToken
    from xabl.ablation.engine.scorer import Precision
    from xabl.ablation.examples import VlBertPositions
    from xabl.ablation.inputs import InputFiles
    from xabl.results.conditions import Direction
    from xabl.support.compilation_cache import use_compilation_cache

    files = InputFiles(
        model=Path(_MODEL.value),
        entities=Path(_ENTITIES.value),
        split=_SPLIT.value,
        regions=_path(_REGIONS.value),
        vocabulary=_path(_VOCAB.value),
        directions=_parsed(Direction, _DIRECTIONS),
        thresholds=_parsed(float, _THRESHOLDS),
        vlbert_positions=VlBertPositions(_VLBERT_POSITIONS.value),
        limit=_LIMIT.value,
        skip_bad_examples=_SKIP_BAD.value,
        gold_labels=_path(_GOLD_LABELS.value),
    )
    evaluation = Options(
        precision=Precision(_PRECISION.value),
        image_token=ImageToken(_IMAGE_TOKEN.value),
        batch_size=_BATCH_SIZE.value,
        top=_SAVE_PREDICTIONS.value,
    )
    options = run.RunOptions(
        files=files,
        evaluation=evaluation,
        output=_path(_OUTPUT.value),
        overwrite=_OVERWRITE.value,
        resume=_RESUME.value,
        label=_LABEL.value,
        model_seed=_MODEL_SEED.value,
        devices=_DEVICES.value,
        flags={
            flag.name: flag.value
            for flag in globals().values()
            if isinstance(flag, flags.FlagHolder)
        },
    )
    if _EXPLAIN.value:
        run.explain_run(options)
        return
    if options.output is None:
        raise UserError("--output: give the results directory to write")
    use_compilation_cache()
    run.run(options)


def _path(value: str | None) -> Path | None:
    return None if value is None else Path(value)


def _parsed(kind: type, flag: flags.FlagHolder) -> tuple | None:
    """A list flag's values as `kind`: an enumeration, or float."""
    if flag.value is None:
        return None
    values = []
    for text in flag.value:
        try:
            values.append(kind(text))
        except ValueError as error:
            expected = "a number" if kind is float else " or ".join(kind)
            raise UserError(f"--{flag.name}: {text!r} is not {expected}") from error
    return tuple(values)


if __name__ == "__main__":
    binary.run(main)
