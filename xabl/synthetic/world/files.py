"""Writes a synthetic world in the published file formats."""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TextIO

from xabl.data.regions import hdf5_files, lmdb_files, store, tsv_files
from xabl.data.regions.image_regions import ImageRegions
from xabl.errors import UserError
from xabl.support.atomic import new_directory
from xabl.synthetic.world.captions import WorldCaption, draw_captions
from xabl.synthetic.world.entities_files import annotated_line, annotation_xml
from xabl.synthetic.world.images import World, WorldImage
from xabl.synthetic.world.pictures import draw_picture
from xabl.synthetic.world.settings import WorldSettings
from xabl.synthetic.world.vocabulary import (
    COLOURS,
    SCENES,
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
        caption_train.json, caption_valid.json: image id -> its first caption;
        phrase_nouns_<split>.json: the nouns of every example, in order;
        truth.json: which object a region shows, where a phrase's words come from;
        world.json: the settings;
        pictures/<id>.png, if asked for.

    Args:
        regions_form: a key of `REGION_FILES`.
        progress: wraps the numbers of the images, to show how far it is.

    Raises:
        UserError: unknown form, or an output that exists or cannot be written.
    """
    if regions_form not in REGION_FILES:
        raise UserError(
            f"--regions_form is {regions_form!r}, expected one of "
            + ", ".join(REGION_FILES)
        )
    world = World(settings)
    with new_directory(Path(output), overwrite) as directory:
        _write_settings(directory, settings, regions_form, pictures)
        _write_lines(directory / "vocab.txt", word_pieces(settings.classes_per_type))
        _write_lines(
            directory / "objects_vocab.txt",
            detector_class_names(settings.classes_per_type),
        )
        with _TextFiles(directory, world, pictures) as files:
            images = files.written(progress)
            # HDF5 forms keep no table of all attributes; it would be most of the time.
            with_attributes = regions_form in ("lmdb", "tsv")
            regions = (world.regions(image, with_attributes) for image in images)
            _write_regions(directory, regions_form, regions, world)


class _TextFiles:
    """All files but the region features, written image by image as those are."""

    def __init__(self, directory: Path, world: World, pictures: bool):
        self._directory, self._world, self._pictures = directory, world, pictures
        self._entities = directory / ENTITIES
        self._captions: dict[str, str] = {}
        self._nouns: list[list[str]] = []
        self._truth: TextIO | None = None
        self._closing = contextlib.ExitStack()

    def __enter__(self) -> "_TextFiles":
        for folder in ("Sentences", "Annotations"):
            (self._entities / folder).mkdir(parents=True)
        if self._pictures:
            (self._directory / "pictures").mkdir()
        path = self._directory / "truth.json"
        self._truth = self._closing.enter_context(open(path, "w", encoding="utf-8"))
        header = json.dumps(_truth_of_world(self._world))
        self._truth.write(header.removesuffix("}") + ', "images": {')
        return self

    def __exit__(self, *exception) -> None:
        self._truth.write("\n}}\n")
        self._closing.close()

    def written(self, progress: Progress) -> Iterator[WorldImage]:
        """Yields every image after writing what belongs to it alone."""
        splits = image_numbers(self._world.settings)
        numbers = iter(progress([n for split in splits.values() for n in split]))
        for split, own_numbers in splits.items():
            ids = []
            self._captions, self._nouns = {}, []
            for _ in own_numbers:
                image = self._world.image(next(numbers))
                self._write_image(split, image)
                ids.append(image.image_id)
                yield image
            _write_lines(self._entities / f"{split}.txt", ids)
            _write_json(self._directory / f"phrase_nouns_{split}.json", self._nouns)
            if split in _CAPTION_FILES:
                _write_json(self._directory / _CAPTION_FILES[split], self._captions)
        next(numbers, None)  # lets the progress bar finish

    def _write_image(self, split: str, image: WorldImage) -> None:
        captions = draw_captions(self._world, image)
        name = image.image_id
        _write_lines(
            self._entities / "Sentences" / f"{name}.txt",
            [annotated_line(caption.caption) for caption in captions],
        )
        annotation = self._entities / "Annotations" / f"{name}.xml"
        annotation.write_text(annotation_xml(image), encoding="utf-8")
        self._captions[name] = " ".join(captions[0].caption.words)
        self._nouns += [
            [mention.noun]
            for caption in captions
            for mention in caption.mentions
            if mention.object_index is not None
        ]
        truth = {"split": split, **truth_of_image(self._world, image, captions)}
        comma = "," if image.number else ""
        self._truth.write(f"{comma}\n{json.dumps(name)}: {json.dumps(truth)}")
        if self._pictures:
            path = self._directory / "pictures" / f"{name}.png"
            draw_picture(self._world, image, path)


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
    """What a region shows and where words come from, as it stands in truth.json.

    region_objects: index into `objects`, -1 for background; region_shares: how much of
    the object (1 nearly whole, less in part). A phrase's `object` is the one its chain
    refers to, `follows_image` whether its words were chosen by looking at it.
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
    if form == "hdf5store":
        total = sum(world.settings.images_of_split.values())
        ids = [world.image_id(number) for number in range(total)]
        described = {"form": "synthetic world", **dataclasses.asdict(world.settings)}
        store.write(path, regions, ids, described)
    elif form == "lmdb":
        lmdb_files.write(path, regions)
    elif form == "tsv":
        tsv_files.write(path, regions)
    else:
        hdf5_files.write(path, regions)


def _write_settings(
    directory: Path, settings: WorldSettings, form: str, pictures: bool
) -> None:
    described = {
        "format": 1,
        "settings": dataclasses.asdict(settings),
        "regions": REGION_FILES[form],
        "pictures": pictures,
    }
    _write_json(directory / "world.json", described, indent=1)


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _write_json(path: Path, value: object, indent: int | None = None) -> None:
    path.write_text(json.dumps(value, indent=indent) + "\n", encoding="utf-8")
