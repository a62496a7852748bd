"""Conceptual Captions as published in LMDB files: one msgpack list an image.

The lists have 13 fields or, from one released preprocessor, 8. Nothing in them is
executed: msgpack has no code, and arrays are rebuilt here from their type, shape and
bytes (the layout of msgpack_numpy, whose own decoder would unpickle objects).
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgpack
import numpy as np

from xabl.data.box_forms import BoxForms, OnError
from xabl.data.lmdb_reader import LmdbFile
from xabl.data.regions.image_regions import ImageRegions
from xabl.data.regions.records import regions_of_record
from xabl.errors import UserError
from xabl.support.image_ids import canonical_id

FIELDS = (
    "features",
    "cls_prob",
    "objects_id",
    "objects_conf",
    "attrs_id",
    "attrs_conf",
    "attrs",
    "boxes",
    "num_boxes",
    "img_h",
    "img_w",
    "image_id",
    "caption",
)
SHORT_FIELDS = (
    "features",
    "cls_prob",
    "boxes",
    "num_boxes",
    "img_h",
    "img_w",
    "image_id",
    "caption",
)
_KEYS = b"__keys__"  # the entry that lists the others
_LONGEST_RECORD = 64 * 2**20  # real records have about 1 MB
_LONGEST_NUMBER = 2**10  # entries of a map or list inside a record
# Types of arrays: no objects, no text, no structures. numpy would parse more.
_NUMBERS = re.compile(r"[<>|=]?[fiu][1248]")


def is_msgpack_lmdb(path: Path) -> bool:
    """Whether this is an LMDB whose entries are msgpack, not pickles."""
    if path.is_dir() and not (path / "data.mdb").is_file():
        return False
    try:
        with LmdbFile(path) as entries:
            if entries.get(_KEYS) is not None:
                return True
            first = next(entries.items(), None)
    except UserError:
        if path.is_dir():  # nothing else has a data.mdb
            raise
        return False
    # A msgpack list of 8 or 13 begins with this byte; a pickle of a dict never does.
    return first is not None and first[1][:1] in (b"\x98", b"\x9d")


def read_msgpack_lmdb(
    path: Path,
    image_ids: Sequence[str] | None = None,
    on_error: OnError | None = None,
) -> Iterator[tuple[ImageRegions, str]]:
    """Reads every image and its caption, in the order of the keys.

    Args:
        image_ids: images to take; None takes all.
        on_error: called with the key of an entry that cannot be read, and with the
            id of an image that is not there, which are then left out; without it the
            first such raises.

    Raises:
        UserError: not such a file, or names the entry that cannot be read; or, at the
            end, that all boxes are in another form (`BoxForms`).
    """
    wanted, forms = None, BoxForms()
    on_error = forms.watching(on_error)
    if image_ids is not None:
        wanted = set(map(canonical_id, image_ids))
    with LmdbFile(path) as entries:
        for key, value in entries.items():
            if key == _KEYS:
                continue
            if wanted is not None and not wanted:
                break
            name = key.decode(errors="replace")
            place = f"{path}: entry {name}"
            try:
                record = unpack_record(value, place)
                image_id = canonical_id(_text(record["image_id"]))
                if wanted is not None:
                    if image_id not in wanted:
                        continue
                    wanted.remove(image_id)
                image = _regions(record, image_id, place)
                caption = _text(record["caption"])
                if not caption.strip():
                    raise UserError(
                        f"{place}: image {image_id} has an empty caption; leave the "
                        "image out"
                    )
            except UserError as error:
                on_error(name, error)
                continue
            forms.add(image.boxes, (image.img_w, image.img_h))
            yield image, caption
    for image_id in sorted(wanted or ()):
        error = UserError(
            f"{path} has no image {image_id}; take the file of this split, or leave "
            "the image out"
        )
        on_error(image_id, error)
    if forms.problem:
        raise UserError(f"{path}: {forms.problem}")


def unpack_record(value: bytes, place: str) -> dict[str, object]:
    """The fields of one entry by name; arrays are numpy arrays.

    Raises:
        UserError: names the place of what is no msgpack list of 8 or 13 fields, is too
            long, or holds an array of anything but numbers.
    """
    if len(value) > _LONGEST_RECORD:
        raise UserError(
            f"{place}: {len(value)} bytes, more than the {_LONGEST_RECORD} that a "
            "record of regions can need; the file is damaged or of another kind"
        )
    try:
        fields = msgpack.unpackb(
            value,
            raw=True,  # old writers stored bytes as text that is not UTF-8
            strict_map_key=False,
            max_array_len=_LONGEST_NUMBER,
            max_map_len=_LONGEST_NUMBER,
            max_ext_len=0,
        )
    except (
        ValueError,
        TypeError,  # a list as the key of a map
        RecursionError,
        msgpack.exceptions.UnpackException,
    ) as error:
        raise UserError(
            f"{place}: not a msgpack record ({error}); the entry is cut or damaged"
        ) from error
    names = {len(FIELDS): FIELDS, len(SHORT_FIELDS): SHORT_FIELDS}
    if not isinstance(fields, list) or len(fields) not in names:
        found = f"{len(fields)} fields" if isinstance(fields, list) else "no list"
        raise UserError(
            f"{place}: {found}; expected a list of {len(FIELDS)} or {len(SHORT_FIELDS)}"
        )
    return {
        name: _array(field, f"{place}: {name}") if isinstance(field, dict) else field
        for name, field in zip(names[len(fields)], fields, strict=True)
    }


def _array(field: dict, place: str) -> np.ndarray:
    """An array, or a number, as msgpack_numpy lays it out."""
    try:
        name = _text(field[b"type"])
        shape = tuple(field[b"shape"]) if field[b"nd"] else ()
        if not _NUMBERS.fullmatch(name):
            raise UserError(
                f"{place}: an array of {name!r:.50}, not of numbers; refused"
            )
        number_type = np.dtype(name)
        return np.frombuffer(field[b"data"], number_type).reshape(shape)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{place}: not an array ({error}); the entry is damaged") from (
            error
        )


def _regions(record: dict[str, object], image_id: str, place: str) -> ImageRegions:
    """The regions; the short form's classes are the arg max of its distributions."""
    if "objects_id" not in record:
        probabilities = record["cls_prob"]
        if not isinstance(probabilities, np.ndarray) or probabilities.ndim != 2:
            raise UserError(f"{place}: image {image_id}: cls_prob is no table")
        objects = probabilities[:, 1:]  # column 0 is background
        record = record | {
            "objects_id": objects.argmax(axis=1),
            "objects_conf": objects.max(axis=1),
        }
    return regions_of_record(record, image_id, place)


def _text(value: object) -> str:
    """Text given as bytes, as text, or as a number."""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    return str(value)
