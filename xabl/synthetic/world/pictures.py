"""Images of the world as pictures: a coloured, labelled shape at each object's box."""

from collections.abc import Iterable
from pathlib import Path

from xabl.synthetic.world.images import World, WorldImage
from xabl.synthetic.world.vocabulary import COLOURS, PHRASE_TYPES, SCENES

_RGB = tuple(COLOURS.values())
# A phrase type's shape: corners as shares of the box, or "ellipse".
_SHAPES = {
    "people": ((0.5, 0), (0.7, 0.25), (1, 1), (0, 1), (0.3, 0.25)),
    "clothing": ((0, 0.2), (0.3, 0), (0.7, 0), (1, 0.2), (0.8, 1), (0.2, 1)),
    "bodyparts": ((0.3, 0), (0.7, 0), (1, 0.5), (0.7, 1), (0.3, 1), (0, 0.5)),
    "animals": "ellipse",
    "vehicles": ((0.2, 0.1), (0.8, 0.1), (1, 0.6), (0.9, 0.95), (0.1, 0.95), (0, 0.6)),
    "instruments": ((0.5, 0), (1, 1), (0, 1)),
    "scene": ((0, 0.3), (0.5, 0), (1, 0.3), (1, 1), (0, 1)),
    "other": ((0, 0), (1, 0), (1, 1), (0, 1)),
}
if set(_SHAPES) != set(PHRASE_TYPES):
    raise AssertionError("every phrase type needs a shape")


def draw_pictures(world: World, numbers: Iterable[int], folder: Path) -> None:
    """Writes <image id>.png of the images of these numbers; what is there stays."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        path = folder / f"{world.image_id(number)}.png"
        if not path.exists():
            draw_picture(world, world.image(number), path)


def draw_picture(world: World, image: WorldImage, path: Path) -> None:
    """Writes the image as a PNG file."""
    # An optional package that only pictures need; a tenth of a second.
    from PIL import Image, ImageDraw

    scene = SCENES[image.scene]
    picture = Image.new("RGB", (image.width, image.height), scene.rgb)
    draw = ImageDraw.Draw(picture)
    draw.text((4, 3), scene.noun, fill=(90, 90, 90))
    for thing in image.objects:
        kind, fill = world.classes[thing.kind], _RGB[thing.colour]
        label = (0, 0, 0) if sum(fill) > 380 else (255, 255, 255)
        for left, top, right, bottom in thing.boxes:
            shape = _SHAPES[kind.phrase_type]
            if shape == "ellipse":
                draw.ellipse((left, top, right, bottom), fill, outline=(0, 0, 0))
            else:
                corners = [
                    (left + x * (right - left), top + y * (bottom - top))
                    for x, y in shape
                ]
                draw.polygon(corners, fill, outline=(0, 0, 0))
            middle = ((left + right) / 2, (top + bottom) / 2)
            draw.text(middle, kind.noun, fill=label, anchor="mm")
    picture.save(path, "PNG")
