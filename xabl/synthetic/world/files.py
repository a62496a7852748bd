"""Writes a synthetic world in the published file formats.

Text files are written image by image, as the region features are.
"""

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from xml.sax.saxutils import escape

from xabl.data.class_names import ATTRIBUTES, OBJECTS
from xabl.data.flickr30k_entities import Caption
from xabl.data.regions import hdf5_files, lmdb_files, store, tsv_files
from xabl.data.regions.image_regions import ImageRegions
from xabl.errors import check_choice
from xabl.support.atomic import new_directory
from xabl.synthetic.world.captions import WorldCaption, draw_captions
from xabl.synthetic.world.images import World, WorldImage
from xabl.synthetic.world.pictures import draw_picture
from xabl.synthetic.world.settings import WorldSettings
from xabl.synthetic.world.vocabulary import (
    COLOURS,
    SCENES,
    detector_attribute_names,
    detector_class_names,
    word_pieces,
)

# Forms of the region features, and the file or folder they are written to.
REGION_FILES = {
    "hdf5store": "regions.h5",
    "lmdb": "regions.lmdb",
    "tsv": "regions.tsv",
    "hdf5": "regions.hdf5",
}
ENTITIES = "flickr30k_entities"
_WORLD = "world.json"
# The names that Conceptual Captions' caption files have for the splits.
_CAPTION_FILES = {"train": "caption_train.json", "val": "caption_valid.json"}

Progress = Callable[[Iterable[int]], Iterable[int]]


def make_world(
    output: Path,
    settings: WorldSettings,
    *,
    regions_form: str = "hdf5store",
    pictures: bool = False,
    overwrite: bool = False,
    progress: Progress = iter,
) -> None:
    """Writes a world's files; equal settings give equal bytes.

    The folder then holds:
        flickr30k_entities/: train.txt, val.txt, test.txt, Sentences, Annotations;
        regions.*: the region features of all splits, in `regions_form`;
        vocab.txt: word pieces; objects_vocab.txt: the detector's classes;
        attributes_vocab.txt: its attributes;
        caption_train.json, caption_valid.json: image id -> its first caption;
        phrase_nouns_<split>.json: the nouns of every example, in order;
        truth.json: which object a region shows, where a phrase's words come from;
        world.json: the settings;
        pictures/<id>.png, with `pictures`.

    Args:
        regions_form: a key of `REGION_FILES`.
        progress: wraps the numbers of the images, to show how far it is.

    Raises:
        UserError: unknown form, or an output that exists or cannot be written.
    """
    check_choice("--regions_form", regions_form, REGION_FILES)
    world = World(settings)
    with new_directory(Path(output), overwrite, holds=_WORLD) as directory:
        described = {
            "format": 1,
            "settings": dataclasses.asdict(settings),
            "regions": REGION_FILES[regions_form],
            "pictures": pictures,
        }
        _write_json(directory / _WORLD, described, indent=1)
        _write_lines(directory / "vocab.txt", word_pieces(settings.classes_per_type))
        _write_lines(
            directory / OBJECTS, detector_class_names(settings.classes_per_type)
        )
        _write_lines(directory / ATTRIBUTES, detector_attribute_names())
        # Closed here, so that a full disk is met here.
        with closing(_write_texts(directory, world, pictures, progress)) as images:
            # HDF5 forms have no table of all attributes, which takes most of the time.
            with_attributes = regions_form in ("lmdb", "tsv")
            regions = (world.regions(image, with_attributes) for image in images)
            _write_regions(directory, regions_form, regions, world)


def _write_texts(
    directory: Path, world: World, pictures: bool, progress: Progress
) -> Iterator[WorldImage]:
    """Yields every image, after writing all its files but the region features."""
    entities = directory / ENTITIES
    for folder in ("Sentences", "Annotations"):
        (entities / folder).mkdir(parents=True)
    if pictures:
        (directory / "pictures").mkdir()
    splits = image_numbers(world.settings)
    numbers = iter(progress([n for split in splits.values() for n in split]))
    with open(directory / "truth.json", "w", encoding="utf-8") as truth:
        header = json.dumps(_truth_of_world(world))
        truth.write(header.removesuffix("}") + ', "images": {')
        for split, own_numbers in splits.items():
            first_captions: dict[str, str] = {}
            nouns: list[list[str]] = []
            for _ in own_numbers:
                image = world.image(next(numbers))
                captions = draw_captions(world, image)
                name = image.image_id
                _write_image(directory, world, image, captions, pictures)
                first_captions[name] = " ".join(captions[0].caption.words)
                nouns += [
                    [mention.noun]
                    for caption in captions
                    for mention in caption.mentions
                    if mention.object_index is not None
                ]
                told = {"split": split, **truth_of_image(world, image, captions)}
                comma = "," if image.number else ""
                truth.write(f"{comma}\n{json.dumps(name)}: {json.dumps(told)}")
                yield image
            _write_lines(entities / f"{split}.txt", first_captions)
            _write_json(directory / f"phrase_nouns_{split}.json", nouns)
            if split in _CAPTION_FILES:
                _write_json(directory / _CAPTION_FILES[split], first_captions)
        truth.write("\n}}\n")
    next(numbers, None)  # lets the progress bar finish


def _write_image(
    directory: Path,
    world: World,
    image: WorldImage,
    captions: Sequence[WorldCaption],
    pictures: bool,
) -> None:
    """The Flickr30k Entities files of one image, and its picture."""
    name = image.image_id
    _write_lines(
        directory / ENTITIES / "Sentences" / f"{name}.txt",
        [_annotated_line(caption.caption) for caption in captions],
    )
    annotation = directory / ENTITIES / "Annotations" / f"{name}.xml"
    annotation.write_text(_annotation_xml(image), encoding="utf-8")
    if pictures:
        draw_picture(world, image, directory / "pictures" / f"{name}.png")


def _annotated_line(caption: Caption) -> str:
    """A line of Sentences/<id>.txt: "[/EN#100/people A red girl] is near ..."."""
    words = list(caption.words)
    for phrase in caption.phrases:
        first, last = phrase.first_word, phrase.first_word + phrase.num_words - 1
        types = "/".join(phrase.types)
        words[first] = f"[/EN#{phrase.chain}/{types} {words[first]}"
        words[last] += "]"
    return " ".join(words)


def _annotation_xml(image: WorldImage) -> str:
    """Annotations/<id>.xml, with pixels counted from 1.

    An object with two boxes is two entries of one chain; an object with two chains
    has two names; the scene and the sky have flags in place of a box.
    """
    lines = [
        "<annotation>",
        f"\t<filename>{escape(image.image_id)}.png</filename>",
        "\t<size>",
        f"\t\t<width>{image.width}</width>",
        f"\t\t<height>{image.height}</height>",
        "\t\t<depth>3</depth>",
        "\t</size>",
    ]
    for thing in image.objects:
        for box in thing.boxes.astype(int) + 1:
            lines.append("\t<object>")
            lines += [f"\t\t<name>{chain}</name>" for chain in thing.chains]
            lines.append("\t\t<bndbox>")
            lines += [
                f"\t\t\t<{name}>{number}</{name}>"
                for name, number in zip(
                    ("xmin", "ymin", "xmax", "ymax"), box, strict=True
                )
            ]
            lines += ["\t\t</bndbox>", "\t</object>"]
    for chain, scene, nobndbox in (
        (image.scene_chain, 1, 0),
        (image.sky_chain, 0, 1),
    ):
        lines += [
            "\t<object>",
            f"\t\t<name>{chain}</name>",
            f"\t\t<scene>{scene}</scene>",
            f"\t\t<nobndbox>{nobndbox}</nobndbox>",
            "\t</object>",
        ]
    return "\n".join([*lines, "</annotation>", ""])


def image_numbers(settings: WorldSettings) -> dict[str, range]:
    """The numbers of each split's images; no number is in two splits."""
    numbers, first = {}, 0
    for split, count in settings.images_of_split.items():
        numbers[split] = range(first, first + count)
        first += count
    return numbers


def truth_of_image(
    world: World, image: WorldImage, captions: tuple[WorldCaption, ...]
) -> dict[str, object]:
    """What regions show and where words come from, as truth.json has it.

    region_objects: index into `objects`, -1 for background.
    region_shares: share of the object that a region shows (1: nearly whole).
    captions: of each phrase, `object` is the one of its chain, and `follows_image`
        whether the words were chosen by looking at it.
    """
    return {
        "scene": SCENES[image.scene].noun,
        "objects": [
            {
                "class": world.classes[thing.kind].noun,
                "colour": list(COLOURS)[thing.colour],
                "detected_as": world.detected(thing).noun,
                "chains": list(thing.chains),
                "boxes": thing.boxes.astype(int).tolist(),
            }
            for thing in image.objects
        ],
        "region_objects": image.region_objects.tolist(),
        "region_shares": image.region_shares.tolist(),
        "captions": [
            [
                {
                    "chain": mention.phrase.chain,
                    "first_word": mention.phrase.first_word,
                    "num_words": mention.phrase.num_words,
                    "object": mention.object_index,
                    "follows_image": mention.follows_image,
                }
                for mention in caption.mentions
            ]
            for caption in captions
        ],
    }


def _truth_of_world(world: World) -> dict[str, object]:
    return {
        "settings": dataclasses.asdict(world.settings),
        "classes": [dataclasses.asdict(kind) for kind in world.classes],
        "scenes": [dataclasses.asdict(scene) for scene in SCENES],
        "colours": list(COLOURS),
    }


def _write_regions(
    directory: Path, form: str, regions: Iterator[ImageRegions], world: World
) -> None:
    path = directory / REGION_FILES[form]
    if form != "hdf5store":
        module = {"lmdb": lmdb_files, "tsv": tsv_files, "hdf5": hdf5_files}[form]
        module.write(path, regions)
        return
    total = sum(world.settings.images_of_split.values())
    ids = [world.image_id(number) for number in range(total)]
    described = {"form": "synthetic world", **dataclasses.asdict(world.settings)}
    store.write(path, regions, ids, described)


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _write_json(path: Path, value: object, indent: int | None = None) -> None:
    path.write_text(json.dumps(value, indent=indent) + "\n", encoding="utf-8")
