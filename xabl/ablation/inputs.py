"""From files to a plan: everything an ablation reads, but for the parameters."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from xabl.ablation import yardsticks
from xabl.ablation.average import average_features
from xabl.ablation.digests import entities_sha256
from xabl.ablation.engine.device_loop import Request
from xabl.ablation.engine.device_regions import (
    HostStore,
    check_feature_size,
    host_store,
)
from xabl.ablation.engine.scorer import Params
from xabl.ablation.examples import (
    PhraseExample,
    mentions_by_image,
    prepare_examples,
)
from xabl.ablation.input_files import (
    Say,
    check_small_files,
    conditions_of,
    model_conditions,
    read_gold_labels,
    regions_of,
    word_lists,
)
from xabl.ablation.mismatch.annotations import annotation_findings
from xabl.ablation.mismatch.findings import Finding
from xabl.ablation.options import InputFiles, Options
from xabl.ablation.plan import Plan, build_plan, check_scorable
from xabl.ablation.replacement import NEEDS_REGIONS, Donors, drops_all_regions
from xabl.ablation.word_classes import WordClasses, by_lists, by_tagger
from xabl.ablation.yardsticks import Guesses
from xabl.data.flickr30k_entities import (
    AnnotatedImage,
    check_linked,
    mentions,
    read_split,
)
from xabl.data.regions import open_regions
from xabl.data.regions.description import RegionDescription, describe_part, evenly
from xabl.data.regions.image_regions import StackedRegions
from xabl.data.whole_words import Tokens
from xabl.data.word_pieces import WordPieces
from xabl.errors import UserError
from xabl.models import model_directory
from xabl.models.config import ModelConfig
from xabl.models.visual_targets import VisualTarget
from xabl.results.conditions import Condition, Direction
from xabl.support.checksums import file_sha256


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Inputs:
    """What was found there.

    config: None for a model that is a function of one's own.
    donors: images and captions that stand in for others.
    regions: of all images of the split; None for a model that sees none.
    average: their average features, over the whole split.
    examples_total: in the whole split.
    skipped: bad images, and why.
    refused: conditions that make no sense for the model, and why.
    hashes: of the files, by what they hold; None: there is none.
    described: what the regions look like; None for a text-only model.
    findings: what does not seem to belong together.
    """

    config: ModelConfig | None
    word_pieces: Tokens
    plan: Plan
    donors: Donors
    word_classes: WordClasses
    guesses: Guesses
    regions: StackedRegions | None
    average: Float32[np.ndarray, " features"] | None
    examples_total: int
    skipped: dict[str, str]
    refused: dict[str, str]
    hashes: dict[str, str | None]
    described: RegionDescription | None
    findings: tuple[Finding, ...]

    @property
    def store(self) -> HostStore | None:
        """The regions as the engine takes them."""
        if self.regions is None:
            return None
        return host_store(self.config, self.regions, self.average)

    def request(self, params: Params, options: Options | None = None) -> Request:
        """What the engine is asked of a model with these parameters."""
        return Request(
            config=self.config,
            params=params,
            plan=self.plan,
            store=self.store,
            options=options or Options(),
        )


def read_inputs(
    files: InputFiles, say: Say = print, *, config: ModelConfig | None = None
) -> Inputs:
    """Reads and checks all files, and builds the plan.

    Args:
        say: called with each line that the user should read.
        config: of a model that is not on disk; then the vocabulary has to be given.

    Raises:
        UserError: a file is missing, damaged or not for this model; nothing is left
            to score.
    """
    if config is None:
        config = model_directory.load_config(files.model)
    conditions = model_conditions(config, files, say)
    vocabulary = model_directory.vocabulary_of(files.model, config, files.vocabulary)
    word_pieces = WordPieces(vocabulary, lower_case=config.do_lower_case)
    if not config.do_lower_case and not model_directory.is_cased(vocabulary):
        say(
            f"{vocabulary}: no piece has a capital, but the model does not lower-case "
            "text (do_lower_case): every word with a capital becomes [UNK]"
        )
    asks_classes = any(c.direction is Direction.LANG4VIS for c in conditions)
    return _read(
        files,
        say,
        conditions,
        word_pieces,
        vocabulary=vocabulary,
        target=config.scored_target() if asks_classes else None,
        config=config,
    )


def read_own_inputs(
    files: InputFiles, word_pieces: Tokens, target: VisualTarget, say: Say = print
) -> Inputs:
    """As `read_inputs`, for a model that is a function of one's own.

    It may be asked everything; without regions there is one condition, as for a
    text-only model.

    Args:
        target: what it predicts of regions.

    Raises:
        UserError: as `read_inputs`.
    """
    directions = tuple(Direction) if files.directions is None else files.directions
    sees_regions = files.regions is not None
    conditions = conditions_of(directions, files, sees_regions=sees_regions)
    inputs = _read(
        files,
        say,
        conditions,
        word_pieces,
        vocabulary=files.vocabulary,
        target=target,
        config=None,
    )
    # What a model does not read is no difference between it and others.
    known = {name: digest for name, digest in inputs.hashes.items() if digest}
    return dataclasses.replace(inputs, hashes=known)


def _read(
    files: InputFiles,
    say: Say,
    conditions: Sequence[Condition],
    word_pieces: Tokens,
    *,
    vocabulary: Path | None,
    target: VisualTarget | None,
    config: ModelConfig | None,
) -> Inputs:
    """Reads what is left, and plans.

    Args:
        target: what is predicted of regions; None: they are not asked for.
        config: None for a function of one's own.
    """
    check_small_files(files)
    needs_regions = config is not None and config.needs_regions
    refused = [c for c in conditions if needs_regions and drops_all_regions(c)]
    for condition in refused:
        say(f"{condition.direction} {condition.name} is not scored: {NEEDS_REGIONS}")
    skipped: dict[str, str] = {}

    def skip(image_id: str, error: UserError) -> None:
        skipped[image_id] = str(error)
        say(f"skipped: {error}")

    on_error = skip if files.skip_bad_examples else None
    images = read_split(files.entities, files.split, on_error)
    check_linked(images, files.entities)
    examples = prepare_examples(images, word_pieces)
    regions = average = None
    sees_regions = files.regions is not None if config is None else not config.text_only
    if sees_regions:
        regions = _regions(config, files, images, say, on_error)
        if regions.cls_prob is None and target is not None and target.has_kl:
            say(
                f"{files.regions}: has no class distributions (cls_prob), so there is "
                "no MRC-KL; MRC-XE is given"
            )
    shifted = config is not None and config.image_embeddings.positions_follow_words
    # Of the whole split, whatever part of it is scored.
    donors = Donors(
        image_ids=() if regions is None else regions.image_ids,
        examples=examples,
        seed=files.replace_seed,
    )
    plan = build_plan(
        # Over the whole split: the first so many would be of a few images.
        [examples[row] for row in evenly(len(examples), files.limit or len(examples))],
        regions,
        [condition for condition in conditions if condition not in refused],
        mask_id=word_pieces.mask_id,
        vlbert_positions=files.vlbert_positions if shifted else None,
        gold_labels=_gold_labels(files.gold_labels, len(examples)),
        donors=donors,
        needs_regions=needs_regions,
    )
    check_scorable(plan)
    word_classes = _word_classes(files, plan.examples)
    described, findings = None, []
    guesses = Guesses(unigram={}, uniform={})
    if isinstance(word_pieces, WordPieces):  # of a model's own tokens nothing is known
        guesses = yardsticks.of_words(plan.examples, images, word_pieces)
    if regions is not None:
        described = describe_part(len(regions), regions.image)
        findings = annotation_findings(regions, mentions(images))
        if plan.columns(Direction.LANG4VIS):
            guesses |= yardsticks.of_classes(plan, regions, target)
        # Likewise of the whole split.
        average = average_features(regions, mentions_by_image(examples))
    return Inputs(
        config=config,
        word_pieces=word_pieces,
        plan=plan,
        donors=donors,
        word_classes=word_classes,
        guesses=guesses,
        # Of classes a plan has what it needs; a function's losses are found one by one.
        regions=regions
        if regions is None or config is None
        else dataclasses.replace(regions, cls_prob=None),
        average=average,
        examples_total=len(examples),
        skipped=skipped,
        refused={f"{c.direction} {c.name}": NEEDS_REGIONS for c in refused},
        hashes={
            "entities_sha256": entities_sha256(
                files.entities, files.split, [image.image_id for image in images]
            ),
            "regions_sha256": None if regions is None else regions.sha256(),
            **{
                f"{name}_sha256": path and file_sha256(path)
                for name, path in {
                    "vocab": vocabulary,
                    "gold_labels": files.gold_labels,
                    **word_lists(files),
                }.items()
            },
        },
        described=described,
        findings=tuple(findings),
    )


def _regions(
    config: ModelConfig | None,
    files: InputFiles,
    images: Sequence[AnnotatedImage],
    say: Say,
    on_error: Callable[[str, UserError], None] | None,
) -> StackedRegions:
    """Regions of all images of the split: the average features need every one."""
    path = regions_of(config, files)
    with open_regions(path) as source:
        if config is not None:
            check_feature_size(config, source.feature_size, str(path))
        sizes = {image.image_id: (image.width, image.height) for image in images}
        regions = source.read_all(list(sizes), on_error, sizes)
        if source.notice:
            say(source.notice)
        return regions


def _word_classes(files: InputFiles, examples: Sequence[PhraseExample]) -> WordClasses:
    """By a tagger if one is wished, else by the detector's names and other lists."""
    if files.tagger is not None:
        return by_tagger(examples)
    return by_lists(examples, **word_lists(files))


def _gold_labels(path: Path | None, count: int) -> list[int | None] | None:
    if path is None:
        return None
    labels = read_gold_labels(path)
    if len(labels) != count:
        raise UserError(
            f"--gold_labels={path}: expected a list with one class or null for each of "
            f"the split's {count} examples, found {len(labels)} of them"
        )
    return labels
