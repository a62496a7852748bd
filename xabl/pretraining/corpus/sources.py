"""Images with their regions and captions, from the files that hold them.

Either region features in any published form, with captions in a JSON file like
`caption_train.json` (Conceptual Captions, the synthetic world) or a Flickr30k Entities
directory; or an LMDB of msgpack lists, which holds both.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from xabl.data.box_forms import OnError
from xabl.data.flickr30k_entities import read_images, read_split
from xabl.data.regions import open_regions
from xabl.data.regions.image_regions import ImageRegions
from xabl.errors import UserError
from xabl.pretraining.corpus.msgpack_lmdb import is_msgpack_lmdb, read_msgpack_lmdb
from xabl.support.files import read_json
from xabl.support.image_ids import (
    by_canonical_id,
    by_loose_id,
    canonical_id,
    other_form,
)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class CaptionedImage:
    """An image's regions and all of its captions, as plain text."""

    regions: ImageRegions
    captions: tuple[str, ...]


def read_captioned_images(
    regions: Path,
    captions: Path | None,
    split: str,
    image_ids: Sequence[str] | None = None,
    on_error: OnError | None = None,
) -> Iterator[CaptionedImage]:
    """Reads images in the order of the region file, one in memory at a time.

    Args:
        regions: file or directory of region features.
        captions: JSON file {image id: caption, or list of captions}, or a Flickr30k
            Entities directory; None for a msgpack LMDB.
        split: of that directory: "train", "val" or another of its lists of ids.
        image_ids: images to take; None takes all that have a caption.
        on_error: called for an image that is missing or bad, which is left out;
            without it the first such image raises.

    Raises:
        UserError: a file cannot be read, or an image is missing or bad.
    """
    if captions is None:
        if not is_msgpack_lmdb(regions):
            raise UserError(
                f"{regions} holds no captions: name them with --captions (a file like "
                "caption_train.json, or a Flickr30k Entities directory); only an LMDB "
                "of msgpack lists has both"
            )
        for image, caption in read_msgpack_lmdb(regions, image_ids, on_error):
            yield CaptionedImage(regions=image, captions=(caption,))
        return
    texts = read_captions(captions, split, on_error, image_ids)
    wanted = list(texts) if image_ids is None else _known(image_ids, texts, captions)
    with open_regions(regions) as source:
        for image in source.read_many(wanted, on_error):
            yield CaptionedImage(
                regions=image, captions=texts[canonical_id(image.image_id)]
            )


def read_captions(
    path: Path,
    split: str,
    on_error: OnError | None = None,
    image_ids: Sequence[str] | None = None,
) -> dict[str, tuple[str, ...]]:
    """Captions by image id (`canonical_id`), in the order of the files.

    Raises:
        UserError: names the file and the image without a usable caption.
    """
    if path.is_dir():
        return {
            canonical_id(image.image_id): tuple(
                " ".join(caption.words) for caption in image.captions
            )
            for image in (
                read_split(path, split, on_error)
                if image_ids is None
                else read_images(path, image_ids, on_error)
            )
        }
    what = "image ids with their captions, as in caption_train.json"
    entries = read_json(path, what)
    if not entries:
        raise UserError(f"{path}: no image; expected {what}")
    by_canonical_id(entries, str(path))  # none of them twice
    captions = {}
    for image_id, value in entries.items():
        texts = tuple(value) if isinstance(value, list) else (value,)
        if texts and all(isinstance(text, str) and text.strip() for text in texts):
            captions[canonical_id(image_id)] = texts
            continue
        error = UserError(
            f"{path}: image {image_id}: its caption is {str(value)[:60]!r}, neither a "
            "text nor a list of texts; correct it or leave the image out"
        )
        if on_error is None:
            raise error
        on_error(image_id, error)
    return captions


def _known(
    image_ids: Sequence[str], captions: dict[str, tuple[str, ...]], path: Path
) -> list[str]:
    """The requested ids; checks that they have captions."""
    wanted = list(dict.fromkeys(canonical_id(image_id) for image_id in image_ids))
    missing = [image_id for image_id in wanted if image_id not in captions]
    if missing:
        cure = other_form(missing[0], by_loose_id(captions)) or (
            "take the captions of this split, or leave the images out"
        )
        raise UserError(
            f"{path} has no caption for {len(missing)} of the requested images: "
            f"{', '.join(missing[:5])}{' ...' if len(missing) > 5 else ''}; {cure}"
        )
    return wanted
