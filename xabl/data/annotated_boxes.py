"""Boxes of Flickr30k Entities: `Annotations/<id>.xml`, in the PASCAL VOC style."""

import math
from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np
from jaxtyping import Float32

from xabl.data.box_forms import BadBoxes, are_fractions, other_form
from xabl.errors import UserError, from_system
from xabl.support.files import read_bytes
from xabl.support.image_ids import canonical_id, loosely

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def read_boxes(path: Path) -> tuple[int, int, dict[str, Float32[np.ndarray, "_ 4"]]]:
    """Width and height of an image, and the boxes of each chain that has any.

    Args:
        path: `Annotations/<id>.xml`, in the PASCAL VOC style, pixels counted from 1.

    Raises:
        UserError: the file is missing, is not XML, declares a document type (which
            no annotation needs and attacks do), says that it is another image's, has
            no size, has an object without name or place, a number twice, or a box that
            is inverted or outside the image (`BadBoxes`).
    """
    root = _parse_xml(path)
    named = loosely(root.findtext("filename", ""))
    if named.isdecimal() and path.stem.isdecimal() and named != canonical_id(path.stem):
        raise UserError(
            f"{path}: says that it is of image {named}: annotations and their names do "
            "not belong together; unpack annotations.zip again"
        )
    width = _number(path, root, "size/width")
    height = _number(path, root, "size/height")
    if width < 1 or height < 1:
        raise UserError(f"{path}: an image of {width:g} x {height:g} pixels")
    boxes: dict[str, list[list[float]]] = {}
    placed: list[tuple[ElementTree.Element, list[float]]] = []
    for element in root.findall("object"):
        chains = [(name.text or "").strip() for name in element.findall("name")]
        if not all(chains) or not chains:
            raise UserError(f"{_at(path, element)}: an object without name")
        located = element.findall("bndbox")
        if not located and not _is_flagged(element):
            raise UserError(
                f"{_at(path, element)}: an object with neither bndbox nor nobndbox "
                "nor scene"
            )
        for bndbox in located:
            box = [_number(path, bndbox, name) - 1 for name in _CORNERS]
            placed.append((bndbox, box))
            for chain in chains:
                boxes.setdefault(chain, []).append(box)
    _check_boxes(path, placed, width, height)
    arrays = {chain: np.array(rows, np.float32) for chain, rows in boxes.items()}
    return int(width), int(height), arrays


def _check_boxes(
    path: Path,
    placed: list[tuple[ElementTree.Element, list[float]]],
    width: float,
    height: float,
) -> None:
    """Refuses boxes that are inverted or wholly outside."""
    size = int(width), int(height)
    every = np.array([box for _, box in placed], np.float64).reshape(-1, 4)
    if len(every) and are_fractions(every + 1, size):
        raise BadBoxes(
            f"{path}: all its boxes lie within a pixel: they are fractions of the "
            "image; boxes are given in pixels",
            every,
            size,
        )
    x1, y1, x2, y2 = every.T
    inverted = (x2 < x1) | (y2 < y1)
    wrong = inverted | (x2 < 0) | (y2 < 0) | (x1 >= width) | (y1 >= height)
    if not wrong.any():
        return
    first = int(wrong.argmax())
    problem = "is inverted"
    if not inverted[first]:
        problem = f"lies outside the image of {width:g} x {height:g} pixels"
    form = other_form(every, size)
    if form is not None:
        problem += f", and all boxes of the image are possible as {form}"
    raise BadBoxes(
        f"{_at(path, placed[first][0])}: the box {problem}; boxes are given as "
        f"{', '.join(_CORNERS)}",
        every,
        size,
    )


def _parse_xml(path: Path) -> ElementTree.Element:
    """The root element; every element carries its line as attribute "line".

    The parser is driven by hand because that gives the lines, and because it lets a
    document type be refused: without one there are no entities that could expand to
    gigabytes or name other files.
    """
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()

    def start(name: str, attributes: dict[str, str]) -> None:
        builder.start(name, attributes | {"line": str(parser.CurrentLineNumber)})

    def refuse_document_type(*_) -> None:
        raise UserError(
            f"{path}, line {parser.CurrentLineNumber}: declares a document type; "
            "annotations have none, so this file is refused"
        )

    parser.StartElementHandler = start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse_document_type
    try:
        parser.Parse(read_bytes(path), True)
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing") from error
    except OSError as error:
        raise from_system(error, path, "cannot be read") from error
    except (expat.ExpatError, ValueError, LookupError) as error:
        line = getattr(error, "lineno", parser.CurrentLineNumber)
        raise UserError(f"{path}, line {line}: malformed XML: {error}") from error
    return builder.close()


def _is_flagged(element: ElementTree.Element) -> bool:
    """Whether an object says that it has no box, or is the whole scene."""
    return "1" in (element.findtext(n, "0").strip() for n in ("nobndbox", "scene"))


def _number(path: Path, element: ElementTree.Element, name: str) -> float:
    """The number of pixels in a descendant."""
    found, *others = element.findall(name) or [None]
    if found is None:
        raise UserError(f"{_at(path, element)}: no {name} in <{element.tag}>")
    if any(other.text != found.text for other in others):
        raise UserError(
            f"{_at(path, others[0])}: {name} is given twice in <{element.tag}>, with "
            "different values; unpack annotations.zip again"
        )
    try:
        value = float(found.text or "")
    except ValueError:
        value = math.nan
    if not abs(value) < 2**31:  # nor is NaN
        raise UserError(
            f"{_at(path, found)}: {name} is {found.text!r}, not a number of pixels"
        )
    return value


def _at(path: Path, element: ElementTree.Element) -> str:
    return f"{path}, line {element.get('line')}"
