"""Builds a corpus from files: what `experiments.build_corpus` runs."""

import dataclasses
import itertools
from pathlib import Path

from tqdm import tqdm

from xabl.data.flickr30k_entities import read_image_ids
from xabl.errors import UserError
from xabl.pretraining.corpus.reader import Corpus
from xabl.pretraining.corpus.sources import read_captioned_images
from xabl.pretraining.corpus.writer import write_corpus


@dataclasses.dataclass(frozen=True, kw_only=True)
class CorpusRequest:
    """What to build a corpus of.

    source, captions: see `read_captioned_images`.
    image_ids: file with the ids of the images to take, one a line; None takes all.
    limit: number of images to take, the first ones of the source; None takes all.
    num_boxes: boxes in a record.
    skip_bad_rows: leave out what cannot be read, and count it.
    """

    source: Path
    captions: Path | None
    output: Path
    split: str
    image_ids: Path | None = None
    limit: int | None = None
    num_boxes: int = 36
    skip_bad_rows: bool = False
    overwrite: bool = False


def build_corpus(request: CorpusRequest) -> str:
    """Builds the corpus and says in a few lines what is in it.

    Raises:
        UserError: a file that cannot be read, the first image that is missing or bad
            unless `skip_bad_rows`, or an output that exists or cannot be written.
    """
    if request.limit is not None and request.limit < 1:
        raise UserError(f"limit is {request.limit}, expected 1 image at least")
    skipped: dict[str, UserError] | None = {} if request.skip_bad_rows else None
    images = read_captioned_images(
        request.source,
        request.captions,
        request.split,
        read_image_ids(request.image_ids) if request.image_ids else None,
        None if skipped is None else skipped.__setitem__,
    )
    # The bar is drawn only where there is a terminal.
    progress = tqdm(
        itertools.islice(images, request.limit), unit=" images", disable=None
    )
    write_corpus(
        iter(progress),
        request.output,
        request.split,
        num_boxes=request.num_boxes,
        overwrite=request.overwrite,
        skipped=skipped,
    )
    return _summary(Corpus(request.output, request.split), skipped or {})


def _summary(corpus: Corpus, skipped: dict[str, UserError]) -> str:
    detector = [
        "class distributions" if corpus.has_cls_prob else "no class distributions",
        "attributes" if corpus.has_attributes else "no attributes",
    ]
    lines = [
        f"{corpus.directory / corpus.split}: {corpus.num_images} images, "
        f"{len(corpus)} captions; {corpus.num_boxes} boxes of {corpus.feature_size} "
        f"features, {', '.join(detector)}"
    ]
    if skipped:
        lines.append(f"skipped {len(skipped)}:")
        lines += [f"  {error}" for error in itertools.islice(skipped.values(), 10)]
        if len(skipped) > 10:
            lines.append("  ... (all are in metadata.json)")
    return "\n".join(lines)
