"""Says what a file or folder is, how much it holds and what is wrong with it."""

import dataclasses
import functools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from xabl.ablation.mismatch.annotations import MOST_IMAGES, annotation_findings
from xabl.ablation.mismatch.features import PUBLISHED_REGIONS, feature_findings
from xabl.ablation.mismatch.findings import Finding
from xabl.data.checkpoints.opening import SUFFIXES, open_checkpoint
from xabl.data.flickr30k_entities import (
    check_linked,
    mentions,
    read_image_ids,
    read_split,
)
from xabl.data.regions import RegionSource, RegionStore, open_regions
from xabl.data.regions.description import RegionDescription, describe, evenly
from xabl.data.regions.image_regions import combined_sha256
from xabl.data.regions.store import size_of
from xabl.data.tokenizer_files import TOKENIZER_FILES
from xabl.data.word_pieces import read_vocabulary
from xabl.errors import UserError, from_system
from xabl.kinds import Kind, kind_of
from xabl.results.checking import check
from xabl.results.finding import find_results
from xabl.results.format import SCORES
from xabl.results.losses import LOSSES
from xabl.results.reading import read

PUBLISHED_CAPTIONS = 5
_SHOWN_PROBLEMS = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inspection:
    """What was found out about a path.

    facts: in the order to be shown.
    problems: what would stop an evaluation.
    suspicions: what an evaluation would warn of.
    """

    path: Path
    kind: str
    facts: dict[str, str]
    problems: tuple[str, ...] = ()
    suspicions: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Lines for a terminal."""
        width = max(map(len, self.facts), default=0)
        lines = [f"{self.path}: {self.kind}"]
        lines += [f"  {name:{width}}  {fact}" for name, fact in self.facts.items()]
        lines += [f"  suspicious: {text}" for text in self.suspicions]
        lines += [f"  problem: {text}" for text in self.problems[:_SHOWN_PROBLEMS]]
        hidden = len(self.problems) - _SHOWN_PROBLEMS
        return "\n".join(lines + [f"  ... and {hidden} more"] * (hidden > 0))


def inspect_path(
    path: Path | str,
    split: str = "val",
    image_ids: Path | str | None = None,
    limit: int = 1000,
    entities: Path | str | None = None,
    model: Path | str | None = None,
) -> Inspection:
    """Recognises a path by its content and checks what it holds.

    Args:
        path: a Flickr30k Entities directory, image regions in any form, a vocabulary,
            a model directory, a published checkpoint or a results directory.
        split: of the entities directory.
        image_ids: file with the ids of the images whose regions are to be checked;
            absent, the first ones of the file are.
        limit: how many images' regions to check at most; 0 for all.
        entities: directory of Flickr30k Entities whose `split` the regions are to fit.
        model: directory of the model that is to read the regions.

    Raises:
        UserError: the path is missing, is none of these, or is too damaged to say
            more about it than that.
    """
    path = Path(path)
    if image_ids is None and entities is not None:
        image_ids = Path(entities) / f"{split}.txt"
    of_regions = functools.partial(
        _inspect_regions, path, image_ids, limit, entities, split, model
    )
    try:
        kind = kind_of(path)
    except FileNotFoundError as error:
        raise from_system(error, path) from error
    except OSError as error:
        raise from_system(error, path, "cannot be read") from error
    inspect = {
        Kind.REGIONS: of_regions,
        Kind.ENTITIES: functools.partial(_inspect_entities, path, split),
        Kind.MODEL: functools.partial(_inspect_model, path),
        Kind.CHECKPOINT: functools.partial(_inspect_checkpoint, path),
        Kind.RESULTS: functools.partial(_inspect_results, path),
        Kind.VOCABULARY: functools.partial(_inspect_vocabulary, path),
    }.get(kind)
    if inspect is not None:
        return inspect()
    if not path.is_dir():
        raise UserError(
            f"{path}: neither region features (LMDB, TSV, HDF5), nor a vocabulary (it "
            f"would start with [PAD]), nor a checkpoint ({', '.join(SUFFIXES)})"
        )
    try:
        inside, _ = find_results(path)
    except UserError:
        inside = []
    if inside:
        names = ", ".join(each.name for each in inside)
        raise UserError(f"{path}: a folder of results directories; give one: {names}")
    raise UserError(
        f"{path}: a folder with neither Flickr30k Entities (Sentences, Annotations), "
        "nor region features, nor a model (config.json), nor a checkpoint, nor results "
        f"({SCORES.name})"
    )


def _inspect_vocabulary(path: Path) -> Inspection:
    pieces = read_vocabulary(path)
    return Inspection(
        path=path,
        kind="vocabulary of word pieces",
        facts={"pieces": f"{len(pieces)} (30522 in the published models)"},
    )


def _inspect_entities(path: Path, split: str) -> Inspection:
    problems: list[str] = []
    images = read_split(path, split, lambda _, error: problems.append(str(error)))
    try:
        check_linked(images, path)
    except UserError as error:
        problems.append(str(error))
    examples = list(mentions(images))
    types = Counter(example.phrase.types[0] for example in examples)
    captions = Counter(len(image.captions) for image in images)
    unusual = sum(n for count, n in captions.items() if count != PUBLISHED_CAPTIONS)
    facts = {
        "splits": ", ".join(sorted(file.stem for file in path.glob("*.txt"))),
        "split read": split,
        "images": str(len(images)),
        "captions": str(sum(count * n for count, n in captions.items())),
        "examples": f"{len(examples)} phrases with a box (14433 in the published val)",
        "phrase types": ", ".join(f"{name} {n}" for name, n in types.most_common()),
    }
    if unusual:
        facts["note"] = f"{unusual} images do not have {PUBLISHED_CAPTIONS} captions"
    return Inspection(
        path=path,
        kind="Flickr30k Entities",
        facts=facts,
        problems=tuple(problems),
    )


def _inspect_regions(
    path: Path,
    image_ids: Path | str | None,
    limit: int,
    entities: Path | str | None,
    split: str,
    model: Path | str | None,
) -> Inspection:
    trained_on, knows_classes = _training(model)
    with open_regions(path) as source:
        if image_ids is None:
            ids = source.image_ids
        else:
            ids = read_image_ids(Path(image_ids))
        ids = ids[: limit or None]
        problems = list(source.problems)
        boxes: Counter[int] = Counter()
        seen: dict[str, set[object]] = {"feature size": set(), "cls_prob": set()}
        digests: dict[str, str] = {}
        images = source.read_many(ids, lambda _, error: problems.append(str(error)))

        def features() -> Iterator[np.ndarray]:
            for image in images:
                boxes[image.num_boxes] += 1
                seen["feature size"].add(image.features.shape[1])
                seen["cls_prob"].add("no" if image.cls_prob is None else "yes")
                digests[image.image_id] = image.sha256()
                yield image.features

        described = None
        try:
            described = describe(features())
        except UserError as error:  # of all images together
            problems.append(str(error))
        facts = {
            "size": _bytes(size_of(path)),
            "images": str(len(source.image_ids)),
            "images checked": str(len(ids)),
            "regions an image": ", ".join(
                f"{n} in {count} images" for n, count in sorted(boxes.items())
            ),
            **{name: ", ".join(map(str, values)) for name, values in seen.items()},
        }
        problems += [
            f"the images differ in {name}: {facts[name]}"
            for name, values in seen.items()
            if len(values) > 1
        ]
        if seen["cls_prob"] == {"no"}:
            facts["cls_prob"] = "no: MRC-KL cannot be computed, MRC-XE can"
        if set(boxes) - {PUBLISHED_REGIONS}:
            facts["note"] = (
                f"the published models expect {PUBLISHED_REGIONS} regions; other "
                "counts are padded and masked"
            )
        if isinstance(source, RegionStore):
            origin = source.manifest["source"]  # a synthetic world has no file name
            named = [str(origin[key]) for key in ("name", "form") if key in origin]
            facts["imported from"] = ", ".join(named) or "unknown"
            problems += _store_problems(source, digests)
        findings: list[Finding] = []
        if described is not None:
            facts["features"] = str(described)
            findings += feature_findings(
                described, trained_on, knows_classes=knows_classes
            )
        if entities is not None and not problems:
            findings += _against_annotations(source, Path(entities), split)
        return Inspection(
            path=path,
            kind=source.form,
            facts=facts,
            problems=(*problems, *(str(f) for f in findings if f.certain)),
            suspicions=tuple(str(f) for f in findings if not f.certain),
        )


def _training(model: Path | str | None) -> tuple[RegionDescription | None, bool]:
    """The regions that a model was trained with, and whether it predicts classes."""
    if model is None:
        return None, False
    from xabl.models import model_directory  # jax takes a second

    config = model_directory.load_config(model)
    return model_directory.trained_regions(model), bool(config.visual_targets)


def _against_annotations(
    source: RegionSource, entities: Path, split: str
) -> list[Finding]:
    images = read_split(entities, split)
    images = [images[place] for place in evenly(len(images), MOST_IMAGES)]
    sizes = {image.image_id: (image.width, image.height) for image in images}
    try:
        regions = source.read_all(list(sizes), sizes=sizes)
    except UserError as error:
        raise UserError(f"held against {entities}: {error}") from error
    return annotation_findings(regions, mentions(images))


def _store_problems(source: RegionStore, digests: dict[str, str]) -> list[str]:
    """Compares the content with what was imported, if all of it has been read."""
    if len(digests) < len(source.image_ids):
        return []
    content = combined_sha256([digests[image_id] for image_id in source.image_ids])
    if content == source.manifest["content_sha256"]:
        return []
    return ["the content is not what was imported (content_sha256): import it again"]


def _inspect_model(path: Path) -> Inspection:
    # Restoring is the only check that is not a second opinion; jax takes a second.
    import jax

    from checkpoints_conversion.conversion import captions
    from xabl.models import model_directory

    config, params = model_directory.load(path)
    report = model_directory.load_report(path)
    problems, vocabulary = [], model_directory.vocabulary_path(path)
    if vocabulary is not None:
        try:
            model_directory.vocabulary_of(path, config)
        except UserError as error:
            problems.append(str(error))
    trained = model_directory.trained_regions(path)
    leaves = jax.tree.leaves(params)
    if not all(np.isfinite(leaf).all() for leaf in leaves):
        problems.append("a parameter is not finite: convert or train the model again")
    return Inspection(
        path=path,
        kind="model directory",
        facts={
            "configuration": config.name,
            "parameters": str(sum(leaf.size for leaf in leaves)),
            "size": _bytes(size_of(path)),
            "visual targets": ", ".join(map(str, config.visual_targets)) or "none",
            "trained on regions": str(trained or "unknown"),
            "words": captions(config, vocabulary)
            + ("" if vocabulary else "; give it as --vocab"),
            "origin": ", ".join(
                f"{name} {value}"
                for name, value in report.items()
                if isinstance(value, (str, int))
            ),
        },
        problems=tuple(problems),
    )


def _inspect_results(path: Path) -> Inspection:
    problems, facts = check(path), {}
    try:
        run = read(path)
    except UserError:
        pass  # `problems` says why
    else:
        facts = {
            "model": run.title,
            "examples": f"{len(run.example_ids):,}",
            "conditions": ", ".join(f"{d} {c}" for d, c in run.excluded),
            "losses": ", ".join(
                loss.title for loss in LOSSES.values() if loss.column in run.columns
            ),
            "excluded": f"{sum(map(np.count_nonzero, run.excluded.values()))} rows",
        }
    return Inspection(
        path=path, kind="results of an ablation", facts=facts, problems=problems
    )


def _inspect_checkpoint(path: Path) -> Inspection:
    from checkpoints_conversion import conversion  # jax takes a second
    from checkpoints_conversion.matching import matched

    file, problems, about = open_checkpoint(path), [], {}
    try:
        found = conversion.recognised(file)
    except UserError as error:
        problems.append(str(error))
    else:
        sources, ignored, _ = matched(file, found.config, found.names)
        counts = conversion.tensor_counts(file, found.config, sources, ignored)
        about = {
            "what it is": f"{found.names.kind}: {found.what}",
            "parameters": f"{conversion.parameter_count(found.config):,} from "
            + conversion.counts_in_words(counts),
        }
        try:
            found, vocabulary = conversion.with_vocabulary(file, found)
        except UserError as error:
            problems.append(str(error))
        else:
            about["words"] = conversion.captions(found.config, vocabulary)
            about["assumed"] = "; ".join(found.assumed) or "nothing"
    types = Counter(str(tensor.dtype) for tensor in file.tensors.values())
    folder = file.path.parent
    beside = [name for name in TOKENIZER_FILES if (folder / name).is_file()]
    return Inspection(
        path=path,
        kind=f"checkpoint ({file.layout})",
        facts={
            **about,
            "beside it": ", ".join(beside) or "neither settings nor a tokenizer",
            "size": _bytes(size_of(path)),
            "tensors": str(len(file.tensors)),
            "types": ", ".join(f"{name} {n}" for name, n in types.items()),
            "first tensors": ", ".join(list(file.tensors)[:3]),
            "else in the file": ", ".join(file.skipped) or "nothing",
        },
        problems=tuple(problems),
    )


def _bytes(count: int) -> str:
    if count < 10_000_000:
        return f"{count} bytes"
    return f"{count / 1e9:.2f} GB"
