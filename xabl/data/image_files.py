"""Files of images, by image id."""

from pathlib import Path

from xabl.errors import UserError
from xabl.support.image_ids import by_loose_id, other_form

SUFFIXES = (".jpg", ".jpeg", ".png")


def check_folder(folder: Path) -> None:
    """Whether it is a folder.

    Raises:
        UserError: it is not.
    """
    if not folder.is_dir():
        raise UserError(f"--images: {folder}: no such folder")


def image_file(folder: Path, image_id: str) -> Path | None:
    """<image id>.jpg, .jpeg or .png; None if there is none.

    An id that is not a plain name has none.
    """
    if Path(image_id).name != image_id:
        return None
    paths = (folder / (image_id + suffix) for suffix in SUFFIXES)
    return next((path for path in paths if path.is_file()), None)


def file_like(folder: Path, image_id: str) -> str:
    """A clause for a message: the file that may be meant, if there is one."""
    return other_form(image_id, by_loose_id(file.name for file in folder.iterdir()))
