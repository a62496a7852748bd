"""Boxes in another form than x1, y1, x2, y2 in pixels of their image.

Many such boxes are possible as they are: x1, y1, width, height is x1, y1, x2, y2 of
another box wherever the box is wider and higher than far from the corner. So a file in
another form shows in some of its images only. Whoever leaves those out scores the rest
of it wrongly, which is why all images are judged together.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from xabl.errors import UserError

# Detectors clip boxes to the last pixel of a rescaled image, so that in the
# original's pixels a box can end a fraction beyond the border.
BORDER_PIXELS = 1.0
# Of x1, y1, x2, y2 about a third is possible in another form: not one in 1e9 sets of so
# many boxes is.
_LEAST_BOXES = 20
_LEAST_IMAGES = 8  # of which more than half are impossible

Boxes = Float[np.ndarray, "boxes 4"]
Size = tuple[int, int]  # width, height in pixels
# Called with the image id and what is wrong with it, instead of raising.
OnError = Callable[[str, UserError], None]


# Boxes that were written as another type of number may be beyond all bounds.
@np.errstate(over="ignore", invalid="ignore")
def _corner_and_size(boxes: Boxes) -> Boxes:
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


@np.errstate(over="ignore", invalid="ignore")
def _centre_and_size(boxes: Boxes) -> Boxes:
    centres, halves = boxes[:, :2], boxes[:, 2:] / 2
    return np.concatenate([centres - halves, centres + halves], axis=1)


# What else boxes are given as, and how x1, y1, x2, y2 are made of that.
FORMS: dict[str, Callable[[Boxes], Boxes]] = {
    "x1, y1, width, height": _corner_and_size,
    "y1, x1, y2, x2": lambda boxes: boxes[:, [1, 0, 3, 2]],
    "x and y of the centre, width, height": _centre_and_size,
}


class BadBoxes(UserError):
    """Boxes that an image of that size cannot have."""

    def __init__(self, message: str, boxes: Any = None, size: Any = None):
        super().__init__(message)
        self.boxes, self.size = boxes, size


def are_possible(boxes: Boxes, size: Size) -> bool:
    """Whether boxes are upright and inside an image."""
    low, high = boxes[:, :2], boxes[:, 2:]
    most = np.array(size, np.float64) + BORDER_PIXELS
    inside = (low >= -BORDER_PIXELS) & (high <= most)
    return bool(((low <= high) & inside).all())


def are_fractions(boxes: Boxes, size: Size) -> bool:
    """Whether boxes lie within a pixel of an image that has more."""
    return min(size) > 2 and bool(boxes.max(initial=0) <= 1 + 1e-3)


def other_form(boxes: Boxes, size: Size) -> str | None:
    """The form in which impossible boxes are all possible, if there is one."""
    if are_possible(boxes, size):
        return None
    return next(
        (f for f, read in FORMS.items() if are_possible(read(boxes), size)), None
    )


class BoxForms:
    """In which form the boxes of many images may be."""

    def __init__(self):
        self._images = self._impossible = self._boxes = 0
        self._forms = dict(FORMS)

    def add(self, boxes: Boxes, size: Size) -> None:
        """Counts an image."""
        self._images += 1
        self._boxes += len(boxes)
        self._impossible += not are_possible(boxes, size)
        for form, read in list(self._forms.items()):
            if not are_possible(read(boxes), size):
                del self._forms[form]

    def watching(self, on_error: OnError | None) -> OnError:
        """`on_error`, or what raises; bad boxes that it is told of are counted, too."""

        def told(image_id: str, error: UserError) -> None:
            if on_error is None:
                raise error
            if isinstance(error, BadBoxes):
                self.add(error.boxes, error.size)
            on_error(image_id, error)

        return told

    @property
    def problem(self) -> str | None:
        """What all of them together show to be wrong, if anything."""
        shown = f"in {self._impossible} of {self._images} images a box is inverted or "
        shown += "outside of the image"
        form = next(iter(self._forms), None)
        if form and self._impossible and self._boxes >= _LEAST_BOXES:
            return (
                f"{shown}, and as {form} all boxes of all images are possible: "
                "write them as x1, y1, x2, y2"
            )
        if self._images >= _LEAST_IMAGES and 2 * self._impossible > self._images:
            return (
                f"{shown}: boxes are given as x1, y1, x2, y2 in pixels of the image, "
                "and these are in another form or frame; write them anew"
            )
        return None
