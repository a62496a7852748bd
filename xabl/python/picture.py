"""An example to look at: the image, its regions and the caption."""

import base64
import dataclasses
import html
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from xabl.data.regions import ImageRegions
from xabl.errors import UserError, from_system
from xabl.support.files import read_bytes

_WIDTH = 480  # pixels on the screen
_TYPES = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png"}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """What a notebook shows: regions with their numbers, ablated ones filled.

    boxes: of the phrase, drawn dashed; none: not known.
    words: of the caption.
    first_word, num_words: of the phrase.
    file: of the image; None: outlines only.
    """

    image: ImageRegions | None
    ablated: Bool[np.ndarray, " regions"]
    boxes: Float[np.ndarray, "_ 4"]
    words: tuple[str, ...]
    first_word: int
    num_words: int
    file: Path | None

    def __post_init__(self) -> None:
        self._background()  # says at once that a file cannot be read

    def __repr__(self) -> str:
        numbers = ", ".join(map(str, np.flatnonzero(self.ablated))) or "none"
        return f"{self._caption(self.words, '[', ']')}\nablated regions: {numbers}"

    def _repr_html_(self) -> str:
        caption = self._caption(map(html.escape, self.words), "<b>", "</b>")
        return f"<div>{self.svg()}<p>{caption}</p></div>"

    def _caption(self, words: Iterable[str], opening: str, closing: str) -> str:
        """The words, the phrase between two marks."""
        words, last = list(words), self.first_word + self.num_words - 1
        words[self.first_word] = opening + words[self.first_word]
        words[last] += closing
        return " ".join(words)

    def svg(self) -> str:
        """The image with its regions as an SVG element; empty without an image."""
        if self.image is None:
            return ""
        width, height = self.image.img_w, self.image.img_h
        unit = width / _WIDTH  # pixels of the image for one on the screen
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{_WIDTH}" role="img" aria-label="{html.escape(repr(self))}">',
            f'<rect width="{width}" height="{height}" fill="#eee"/>',
            self._background(),
        ]
        regions = zip(self.image.boxes, self.ablated.tolist(), strict=True)
        for number, (box, hidden) in enumerate(regions):
            parts.append(
                _box(box, unit, "#b2182b" if hidden else "#2166ac", filled=hidden)
                + f'<text x="{box[0] + 3 * unit:.1f}" y="{box[1] + 13 * unit:.1f}" '
                f'font-size="{12 * unit:.1f}" fill="#000" stroke="#fff" '
                f'stroke-width="{3 * unit:.1f}" paint-order="stroke">{number}</text>'
            )
        for box in self.boxes:
            parts.append(_box(box, 2 * unit, "#000", dashed=True))
        return "".join([*parts, "</svg>"])

    def _background(self) -> str:
        if self.file is None or self.image is None:
            return ""
        kind = _TYPES.get(self.file.suffix.lower())
        if kind is None:
            raise UserError(f"{self.file}: not a picture; expected .jpg or .png")
        try:
            data = base64.b64encode(read_bytes(self.file)).decode()
        except OSError as error:
            raise from_system(error, self.file, "cannot be read") from error
        return (
            f'<image width="{self.image.img_w}" height="{self.image.img_h}" '
            f'preserveAspectRatio="none" href="data:image/{kind};base64,{data}"/>'
        )


def _box(
    box: Float[np.ndarray, " 4"],
    stroke: float,
    colour: str,
    *,
    filled: bool = False,
    dashed: bool = False,
) -> str:
    x1, y1, x2, y2 = (float(value) for value in box)
    fill = f'fill="{colour}" fill-opacity="0.45"' if filled else 'fill="none"'
    dash = f' stroke-dasharray="{4 * stroke:.1f}"' if dashed else ""
    return (
        f'<rect x="{x1:.1f}" y="{y1:.1f}" width="{x2 - x1:.1f}" '
        f'height="{y2 - y1:.1f}" {fill} stroke="{colour}" '
        f'stroke-width="{stroke:.2f}"{dash}/>'
    )
