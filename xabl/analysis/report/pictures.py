"""Images for the browser, small enough to travel inside the page."""

import base64
import dataclasses
import io
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from xabl.data.image_files import check_folder, file_like, image_file
from xabl.errors import UserError
from xabl.support.image_ids import with_hint

# What all images together may take of the page, as base64.
BUDGET_BYTES = 10_000_000
# Longer side in pixels and JPEG quality, best first.
_SIZES = ((480, 75), (360, 70), (280, 62), (220, 55), (160, 50), (112, 45))
_TRIED = 24  # images that a size is estimated from


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pictures:
    """JPEG files as base64 by image id.

    notes: images that are not there or cannot be read, in words.
    """

    base64: dict[str, str]
    notes: tuple[str, ...]


def embed(folder: Path, image_ids: Iterable[str]) -> Pictures:
    """Reads <image id>.jpg, .jpeg or .png of every image and shrinks them.

    Raises:
        UserError: no such folder, or it has none of the images.
    """
    check_folder(folder)
    wanted = list(image_ids)
    paths = {image_id: image_file(folder, image_id) for image_id in wanted}
    there = {image_id: path for image_id, path in paths.items() if path is not None}
    if wanted and not there:
        error = UserError(
            f"--images: {folder}: none of the images of these results is there "
            f"(expected files like {wanted[0]}.jpg)"
        )
        raise with_hint(error, file_like(folder, wanted[0]))
    size = _size_for(list(there.values()))
    encoded, unreadable = {}, []
    for image_id, path in there.items():
        content = _shrunk(path, *size)
        if content is None:
            unreadable.append(image_id)
        else:
            encoded[image_id] = content
    missing = [image_id for image_id in wanted if image_id not in there]
    notes = []
    for ids, what in ((missing, "missing from"), (unreadable, "unreadable in")):
        if ids:
            count = "1 image is" if len(ids) == 1 else f"{len(ids):,} images are"
            like = ids is missing and file_like(folder, ids[0])
            notes.append(
                f"{count} {what} the --images folder (first: {ids[0]}); outlines are "
                "drawn instead" + (f"; {like}" if like else "")
            )
    return Pictures(base64=encoded, notes=tuple(notes))


def _size_for(paths: list[Path]) -> tuple[int, int]:
    """The best size at which the images fit the budget, judged by a few of them."""
    tried = paths[:: max(1, len(paths) // _TRIED)]
    for size in _SIZES:
        lengths = [len(_shrunk(path, *size) or "") for path in tried]
        if sum(lengths) / max(1, len(lengths)) * len(paths) <= BUDGET_BYTES:
            return size
    return _SIZES[-1]


def _shrunk(path: Path, side: int, quality: int) -> str | None:
    """Base64 of a JPEG; None if the file is no image."""
    try:
        with Image.open(path) as image:
            image.draft("RGB", (side, side))  # decodes large JPEG files smaller
            small = image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, format="JPEG", quality=quality, optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
