"""One image in the fields the published files share, whatever wraps them.

LMDB values, TSV rows and HDF5 groups name the same fields, as base64 text of raw
little-endian numbers or as arrays; here is the one place that knows their names.
"""

import binascii
from collections.abc import Mapping

import numpy as np

from xabl.data.regions.image_regions import ImageRegions
from xabl.errors import UserError
from xabl.support.image_ids import canonical_id

# Field, its number type, whether it may be missing.
ARRAYS: dict[str, tuple[str, bool]] = {
    "features": ("<f4", False),
    "boxes": ("<f4", False),
    "objects_id": ("<i8", False),
    "objects_conf": ("<f4", False),
    "cls_prob": ("<f4", True),
    "attrs_id": ("<i8", True),
    "attrs_conf": ("<f4", True),
    "attrs": ("<f4", True),
}
_TABLES = ("features", "boxes", "cls_prob", "attrs")  # a row of numbers a region
# The names in the HDF5 files and in the newer LMDB.
SHORT_NAMES = {
    "objects_id": "obj_id",
    "objects_conf": "obj_conf",
    "attrs_id": "attr_id",
    "attrs_conf": "attr_conf",
}
_IMAGE_IDS = ("img_id", "image_id")
_ENOUGH = 64  # different numbers that tell float16 from float32
FIELD_NAMES = (*ARRAYS, *SHORT_NAMES.values(), "num_boxes", "img_w", "img_h")


@np.errstate(over="ignore", invalid="ignore")  # what becomes infinite is refused
def regions_of_record(
    record: Mapping[str, object], image_id: str, source: str
) -> ImageRegions:
    """Reads and validates one image.

    Args:
        record: fields by published name; arrays as numpy arrays or as base64 text
            (str or bytes), numbers as numbers or as text.
        source: file (and line), for messages.

    Raises:
        UserError: names source, image and field of what is missing, cut or wrong; the
            record says that it is another image's, or has a field under both of its
            names with different values.
    """
    place = f"{source}: image {image_id}"
    _check_id(record, image_id, place)
    _check_names(record, place)
    if _value(record, "num_boxes") is None:
        num_boxes = None  # the newer files have arrays, which know their length
    else:
        num_boxes = _integer(record, "num_boxes", place)
    arrays = {}
    for name, (number_type, optional) in ARRAYS.items():
        value = _value(record, name)
        if value is None and optional:
            arrays[name] = None
        elif value is None:
            raise UserError(f"{place}: no field {name}; the record is incomplete")
        else:
            if name == "features":
                _check_measured(value, place)
            array = _array(value, number_type, f"{place}: {name}")
            arrays[name] = _shaped(array, name, num_boxes, place)
    return ImageRegions(
        image_id=canonical_id(image_id),
        img_w=_integer(record, "img_w", place),
        img_h=_integer(record, "img_h", place),
        **arrays,
    ).validated(source, num_boxes)


def record_of_regions(image: ImageRegions, short_names: bool) -> dict[str, object]:
    """The opposite of `regions_of_record`, arrays as numpy arrays.

    short_names: use the names of the HDF5 files, which have no `cls_prob`, no `attrs`
        and no `num_boxes`.
    """
    record: dict[str, object] = {"img_h": image.img_h, "img_w": image.img_w}
    if not short_names:
        record["num_boxes"] = image.num_boxes
    for name, (number_type, _) in ARRAYS.items():
        array = getattr(image, name)
        if array is None or (short_names and name in ("cls_prob", "attrs")):
            continue
        published = SHORT_NAMES.get(name, name) if short_names else name
        record[published] = np.ascontiguousarray(array, number_type)
    return record


def in_base64(record: Mapping[str, object]) -> dict[str, object]:
    """A record with base64 text, without line ends, in place of arrays."""
    return {
        name: binascii.b2a_base64(value.tobytes(), newline=False)
        if isinstance(value, np.ndarray)
        else value
        for name, value in record.items()
    }


def _check_id(record: Mapping[str, object], image_id: str, place: str) -> None:
    """Refuses a record that says it is another image's than it is found under."""
    named = [record[name] for name in _IMAGE_IDS if name in record]
    for value in named:
        if isinstance(value, np.ndarray) and value.size == 1:
            value = value.item()
        text = value.decode(errors="replace") if isinstance(value, bytes) else value
        if not (str(text).isdecimal() and image_id.isdecimal()):
            continue  # a file's name, or an array: other ids than these
        if canonical_id(str(text)) != canonical_id(image_id):
            raise UserError(
                f"{place}: the record says that it is of image {text}; records and "
                "their keys do not belong together: make the file again"
            )


def _check_names(record: Mapping[str, object], place: str) -> None:
    """Refuses two values of one field: which of them is meant cannot be known."""
    for name, short in SHORT_NAMES.items():
        both = [record[each] for each in (name, short) if each in record]
        if len(both) == 2 and not np.array_equal(*both):
            raise UserError(
                f"{place}: {name} and {short} are one field, and hold different "
                "values; write the file again with one of them"
            )


def _check_measured(features: object, place: str) -> None:
    """Refuses whole numbers, which hold something else than features."""
    if isinstance(features, np.ndarray) and features.dtype.kind in "iu":
        raise UserError(
            f"{place}: features holds whole numbers ({features.dtype}), perhaps those "
            "of half precision bit by bit, or levels; write the file again with float32"
        )


def _value(record: Mapping[str, object], name: str) -> object | None:
    """A field under either of its names; empty text counts as missing."""
    value = record.get(name, record.get(SHORT_NAMES.get(name, name)))
    if isinstance(value, (str, bytes)) and not value:
        return None
    return value


def _integer(record: Mapping[str, object], name: str, place: str) -> int:
    """A whole number, given as a number, as text, or as an array of one."""
    value = _value(record, name)
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    if isinstance(value, bytes):
        value = value.decode("ascii", errors="replace")
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number) or number != int(number):
        shown = repr(value)[:60]
        raise UserError(f"{place}: {name} is {shown}, not a whole number")
    return int(number)


def _array(value: object, number_type: str, place: str) -> np.ndarray:
    """The numbers of a field, flat if they come as text, in the machine's order."""
    expected = np.dtype(number_type)
    if isinstance(value, (str, bytes)):
        try:
            raw = binascii.a2b_base64(value, strict_mode=True)
        except (binascii.Error, ValueError) as error:
            raise UserError(
                f"{place} is not base64 text ({error}); the record is cut or damaged"
            ) from error
        if len(raw) % expected.itemsize:
            raise UserError(f"{place} is cut: {len(raw)} bytes")
        if number_type == "<f4" and _are_halves(raw):
            raise UserError(
                f"{place} holds numbers of half precision (float16), of which two "
                "would be read as one; write the file again with float32"
            )
        array = np.frombuffer(raw, expected)
    elif isinstance(value, np.ndarray) and value.dtype.kind == expected.kind:
        array = value
    elif isinstance(value, np.ndarray) and value.dtype.kind in "iuf":
        array = value.astype(expected)
        if not np.array_equal(array, value):
            raise UserError(f"{place} holds numbers that are not {expected.name}")
    elif isinstance(value, np.ndarray):
        raise UserError(f"{place} is an array of {value.dtype}, not of numbers")
    else:
        raise UserError(
            f"{place} is {type(value).__name__}, neither an array nor base64 text"
        )
    return np.ascontiguousarray(array, expected.newbyteorder("="))


def _are_halves(raw: bytes) -> bool:
    """Whether no number of half precision in them would be negative.

    The low half of a float32 is as good as random, so that a half of all have its
    first bit set, unless the numbers were rounded to what the high half holds.
    """
    low = np.frombuffer(raw, "<u2")[::2]
    return not (low & 0x8000).any() and len(np.unique(low)) >= _ENOUGH


def _shaped(
    array: np.ndarray, name: str, num_boxes: int | None, place: str
) -> np.ndarray:
    """A field with one row, or one number, a region."""
    expected_axes = 2 if name in _TABLES else 1
    if num_boxes is None:
        num_boxes = len(array) if array.ndim else 0
    if num_boxes < 1:
        raise UserError(f"{place}: no regions")
    if array.ndim != 1 or expected_axes == 1:
        fits = array.ndim == expected_axes and len(array) == num_boxes
    else:
        fits = array.size > 0 and array.size % num_boxes == 0
        array = array.reshape(num_boxes, -1) if fits else array
    if name == "boxes":
        fits = fits and array.shape[-1] == 4
    if not fits:
        raise UserError(
            f"{place}: {name} has shape {array.shape}, which is not "
            f"{'a row' if expected_axes == 2 else 'a number'} for each of {num_boxes} "
            "regions; the record is cut or damaged"
        )
    return array
