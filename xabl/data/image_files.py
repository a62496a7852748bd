"""Files of images, by image id."""

from pathlib import Path

SUFFIXES = (".jpg", ".jpeg", ".png")


def image_file(folder: Path, image_id: str) -> Path | None:
    """<image id>.jpg, .jpeg or .png; None if there is none.

    An id that is not a plain name has none.
    """
    if Path(image_id).name != image_id:
        return None
    paths = (folder / (image_id + suffix) for suffix in SUFFIXES)
    return next((path for path in paths if path.is_file()), None)
