"""What can be asked of an ablation: every option, stated once.

The flags of `xabl ablate`, the arguments of `import xabl` and what the library is given
are these fields: `asked` makes one of the other. Nothing heavy is imported here.
"""

import dataclasses
import enum
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from xabl.data.tagger import TAGGERS
from xabl.errors import UserError, check_choice, check_range, check_shows
from xabl.results.conditions import THRESHOLDS, Direction, all_conditions
from xabl.results.ways import WAYS


class VlBertPositions(enum.StrEnum):
    """From where VL-BERT shifts word positions by the number of regions.

    The intended rule is a caption's own length. The published code used the shortest
    length in the batch, so that its numbers depend on who shared a batch.
    """

    REFERENCE_BATCH = "reference_batch"
    PER_EXAMPLE = "per_example"


class ImageToken(enum.StrEnum):
    """What the [IMG] row of a lang4vis input is the mean of.

    PUBLISHED: the whole image, as the reference has it: 1/36 of the [IMG] row is the
        region whose class is to be predicted.
    RECOMPUTED: the regions that are not masked, as in pretraining.
    """

    PUBLISHED = "published"
    RECOMPUTED = "recomputed"


class Precision(enum.StrEnum):
    """How matrix products are computed."""

    HIGHEST = "highest"  # float32: equals the published numbers
    DEFAULT = "default"  # the platform's fast way with float32 inputs, e.g. TF32
    BFLOAT16 = "bfloat16"  # softmax, LayerNorm and losses stay float32


class OnMismatch(enum.StrEnum):
    """What a run does about findings; all of them are said and kept in any case."""

    STOP_IF_CERTAIN = "stop_if_certain"
    STOP = "stop"
    WARN = "warn"


def option(
    meaning: str,
    default: Any = dataclasses.MISSING,
    *,
    factory: Any = dataclasses.MISSING,
    name: str | None = None,
    asked: Any = None,
    low: int | None = None,
    choices: Sequence[str] = (),
) -> Any:
    """A field that people can ask for.

    Args:
        meaning: for people; what --help says.
        factory: makes the default, where it is a mapping.
        name: of the flag and the argument; the field's by default.
        asked: the default of flag and argument, where the library's is another.
        low: the least that a number may be.
        choices: what a text may be.
    """
    about = {"meaning": meaning, "name": name, "low": low, "choices": choices}
    return dataclasses.field(
        default=default, default_factory=factory, metadata={**about, "asked": asked}
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class InputFiles:
    """What to evaluate on.

    Raises:
        UserError: a value is none that there can be.
    """

    model: Path | None = option(
        "model directory, written by xabl convert or xabl pretrain", None
    )
    vocabulary: Path | None = option(
        "the model's vocab.txt (default: the one in its directory)", None, name="vocab"
    )
    entities: Path = option(
        "Flickr30k Entities: a directory with <split>.txt, Sentences, Annotations"
    )
    split: str = option("which list of images", "val")
    regions: Path | None = option(
        "image regions: LMDB, TSV, HDF5 or a store of xabl import; a text-only model "
        "needs none",
        None,
    )
    directions: tuple[Direction, ...] | None = option(
        "vis4lang, lang4vis (default: all that the model can be asked)", None
    )
    thresholds: tuple[float, ...] = option(
        "overlap thresholds of vis4lang's object ablation", THRESHOLDS
    )
    replace: tuple[str, ...] = option(
        "further ways of removing, beside the published ones, which are always run: "
        + "; ".join(
            f"for {direction.wording.ablated} "
            + ", ".join(f"{name} ({way.meaning})" for name, way in ways.items())
            for direction, ways in WAYS.items()
        ),
        (),
    )
    replace_seed: int = option(
        "of the images and captions that stand in for others", 0, low=0
    )
    vlbert_positions: VlBertPositions = option(
        "VL-BERT's word positions: as in the published evaluation, where they depend "
        "on batches of 16 consecutive examples, or by the caption alone",
        VlBertPositions.REFERENCE_BATCH,
    )
    limit: int | None = option(
        "score so many examples only, spread evenly over the split", None
    )
    skip_bad_examples: bool = option(
        "leave out images that cannot be read, and list them", False
    )
    gold_labels: Path | None = option(
        "JSON list with a class or null for each example, from xabl labelmatch", None
    )
    class_names: Path | None = option(
        "the detector's classes, one a line, which tell nouns from other words "
        "(default: objects_vocab.txt beside the regions)",
        None,
    )
    attribute_names: Path | None = option(
        "the detector's attributes, which tell adjectives (default: "
        "attributes_vocab.txt beside the regions)",
        None,
    )
    tagger: str | None = option(
        "a part-of-speech tagger tells the classes of words, not lists of words",
        None,
        choices=TAGGERS,
    )

    def __post_init__(self):
        if self.directions == ():
            raise UserError("--directions: give vis4lang, lang4vis or both")
        all_conditions(Direction, self.thresholds, self.replace)
        for way in self.replace:
            if not any(way in WAYS[one] for one in self.directions or Direction):
                raise UserError(
                    f"--replace={way}: removes nothing that --directions="
                    f"{','.join(self.directions or ())} removes; leave out one of them"
                )
        if self.replace_seed < 0:
            raise UserError(f"--replace_seed={self.replace_seed}: give 0 or more")
        if self.limit is not None and self.limit < 1:
            raise UserError(
                f"--limit={self.limit}: give the number of examples to score"
            )
        if self.tagger is not None:
            check_choice("--tagger", self.tagger, TAGGERS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """How to compute, none of which changes what is computed (but `image_token`).

    few_programs: see `engine.programs`; spares the memory of the host.

    Raises:
        UserError: a number is too small.
    """

    precision: Precision = option(
        "of matrix products: float32; the platform's fast float32; bfloat16 with "
        "softmax, LayerNorm and losses in float32",
        Precision.HIGHEST,
    )
    image_token: ImageToken = option(
        "lang4vis: whether [IMG] is the mean of the whole image, as published, or of "
        "the regions that are not masked",
        ImageToken.PUBLISHED,
    )
    batch_size: int | None = option(
        "inputs scored together on one device (default: what its memory holds)",
        None,
        low=1,
    )
    top: int = option(
        "keep so many of the most probable predictions of every target, which the "
        "report shows; 5 take up to 16 MB for the 14,433 published examples",
        0,
        name="save_predictions",
        asked=5,
        low=0,
    )
    few_programs: bool = False

    def __post_init__(self):
        if self.batch_size is not None:
            check_range("--batch_size", self.batch_size, 1)
        check_range("--save_predictions", self.top, 0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnyRun:
    """One ablation of any model: what is scored, and where the results go.

    Raises:
        UserError: the label is no name, the seed no whole number of 64 bits.
    """

    files: InputFiles
    label: str | None = option(
        "name of the model in tables (default: its configuration's)", None
    )
    output: Path | None = option("results directory (needed but for --explain)", None)
    overwrite: bool = option("replace results that are there", False)
    resume: bool = option("continue an interrupted run", False)
    images: Path | None = option(
        "folder of the pictures, <image id>.jpg or .png: nothing reads them but xabl "
        "report, which finds them by this",
        None,
    )
    model_seed: int | None = option(
        "the seed it was pretrained with, for the manifest", None
    )
    on_mismatch: OnMismatch = option(
        "what to do when features, boxes, captions and model do not belong together, "
        "or do not seem to",
        OnMismatch.STOP_IF_CERTAIN,
        name="mismatch",
    )

    def __post_init__(self):
        if self.label is not None:
            check_shows("--label", self.label)
        if self.model_seed is not None:
            check_range("--model_seed", self.model_seed, 0, 2**63 - 1)


def _nobody_looks(done: int, total: int) -> None:
    del done, total


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions(AnyRun):
    """The ablation of one of our models; a study hands it to other processes.

    flags: as the user gave them, for the manifest.
    group: of a study's models that this one belongs to.
    study_key: what a study knows this run by.
    patience: seconds to wait for another run that writes to the same output.
    on_progress: called with the number of inputs scored, and of all.
    """

    evaluation: Options = Options()
    devices: int | None = option("devices of this host to use (default: all)", None)
    flags: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    group: str | None = None
    study_key: str | None = None
    patience: float = 0.0
    on_progress: Callable[[int, int], None] = _nobody_looks


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnRun(AnyRun):
    """The ablation of a function of one's own.

    Raises:
        UserError: as any run, or a number is too small.
    """

    label: str = option("what the model is called")
    hides: str = option("in a sentence, how the model hides what it must not see")
    about: Mapping[str, Any] = option(
        "what else determines its scores (a checkpoint, say); anything JSON can hold",
        factory=dict,
    )
    target: str = option("the visual target of the classes it gives", "0")
    lower_case: bool = option("whether its pieces are of text in lower case", True)
    batch_size: int = option("how many inputs it is given at once, at most", 16, low=1)
    top: int = option(
        "most probable predictions to keep for each target, where it gives logits",
        5,
        name="save_predictions",
        low=0,
    )

    def __post_init__(self):
        super().__post_init__()
        check_range("--batch_size", self.batch_size, 1)
        check_range("--save_predictions", self.top, 0)
