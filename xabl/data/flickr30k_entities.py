"""Flickr30k Entities: captions whose phrases are linked to boxes in the image.

Plummer et al. 2015. A directory holds `<split>.txt` (one image id per line),
`Sentences/<id>.txt` and `Annotations/<id>.xml`.
"""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from xabl.data.annotated_boxes import read_boxes
from xabl.data.box_forms import BoxForms, OnError
from xabl.errors import DiskFails, UserError
from xabl.support.files import leads_nowhere, read_text
from xabl.support.image_ids import by_loose_id, canonical_id, other_form, with_hint

_NOT_VISUAL = "0"  # the chain of phrases that nothing in an image shows


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phrase:
    """Consecutive words of a caption that mention the thing called `chain`.

    types: as annotated, e.g. ("people",) or ("clothing", "scene").
    """

    chain: str
    types: tuple[str, ...]
    first_word: int
    num_words: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Caption:
    """A caption without its annotation; phrases in the order of the words."""

    words: tuple[str, ...]
    phrases: tuple[Phrase, ...]

    def text_of(self, phrase: Phrase) -> str:
        """The words of a phrase, joined by spaces."""
        end = phrase.first_word + phrase.num_words
        return " ".join(self.words[phrase.first_word : end])


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class AnnotatedImage:
    """An image's captions, and the boxes of each chain that has any.

    boxes: x1, y1, x2, y2 in pixels counted from 0, one row per box.
    """

    image_id: str
    width: int
    height: int
    captions: tuple[Caption, ...]
    boxes: dict[str, Float32[np.ndarray, "_ 4"]]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Mention:
    """One example of the study: a phrase of a caption whose chain has boxes."""

    image: AnnotatedImage
    caption_index: int
    phrase: Phrase

    @property
    def caption(self) -> Caption:
        return self.image.captions[self.caption_index]

    @property
    def boxes(self) -> Float32[np.ndarray, "_ 4"]:
        return self.image.boxes[self.phrase.chain]


def read_split(
    directory: Path,
    split: str,
    on_error: OnError | None = None,
) -> tuple[AnnotatedImage, ...]:
    """Reads the images of a split in the order of its file.

    Args:
        directory: holds `<split>.txt`, `Sentences` and `Annotations`.
        split: "val", "train" or "test", or any other list of ids beside them.
        on_error: called with the id of an image that cannot be read, which is then
            left out; without it the first such image raises.

    Raises:
        UserError: names the file and the line of what cannot be read; or what only all
            images together show: boxes in another form than that of their files.
    """
    image_ids = read_image_ids(split_file(directory, split))
    return read_images(directory, image_ids, on_error)


def read_images(
    directory: Path,
    image_ids: Iterable[str],
    on_error: OnError | None = None,
) -> tuple[AnnotatedImage, ...]:
    """As `read_split`, the images of a list."""
    images, forms, first = [], BoxForms(), None
    on_error = forms.watching(on_error)
    folder = directory / "Sentences"

    @functools.cache
    def there() -> dict[str, str]:
        return by_loose_id(file.stem for file in folder.glob("*.txt"))

    for image_id in image_ids:
        try:
            image = read_image(directory, image_id)
        except UserError as error:
            if isinstance(error, DiskFails):
                raise
            if not (folder / f"{image_id}.txt").exists():
                error = with_hint(error, other_form(image_id, there()))
            first = first or error
            on_error(image_id, error)
        else:
            images.append(image)
            if image.boxes:
                every = np.concatenate([*image.boxes.values()])
                forms.add(every, (image.width, image.height))
    if forms.problem:
        raise UserError(f"{directory / 'Annotations'}: {forms.problem}")
    if first is not None and not images:
        raise UserError(
            f"{directory}: none of the images can be read; the first: {first}"
        )
    return tuple(images)


def check_linked(images: Sequence[AnnotatedImage], directory: Path) -> None:
    """Refuses captions and annotations that name things differently.

    An image may have phrases and boxes that do not meet, and few do. Of two releases
    nearly all do not.

    Raises:
        UserError: shows an id of each side; or no phrase has a box at all.
    """
    apart, counted = [], 0
    for image in images:
        named = {p.chain for c in image.captions for p in c.phrases} - {_NOT_VISUAL}
        if named and image.boxes:
            counted += 1
            if not named & image.boxes.keys():
                apart.append((image.image_id, min(named), min(image.boxes)))
    if 2 * len(apart) > counted:
        image_id, chain, box = apart[0]
        raise UserError(
            f"{directory}: in {len(apart)} of {counted} images no phrase has a box: of "
            f"image {image_id} Sentences names chain {chain}, Annotations {box}; "
            "unpack both from one annotations.zip"
        )
    if images and not counted:
        raise UserError(
            f"{directory}: no phrase of {len(images)} images has a box: no image has "
            "both phrases in Sentences and boxes in Annotations; unpack both again"
        )


def mentions(images: Sequence[AnnotatedImage]) -> Iterator[Mention]:
    """Every phrase whose chain has a box: images, captions, phrases in their order."""
    for image in images:
        for caption_index, caption in enumerate(image.captions):
            for phrase in caption.phrases:
                if phrase.chain in image.boxes:
                    yield Mention(
                        image=image, caption_index=caption_index, phrase=phrase
                    )


def split_file(directory: Path, split: str) -> Path:
    """The file with the image ids of a split.

    Raises:
        UserError: the directory lacks a part of Flickr30k Entities, or this split.
    """
    for name in ("Sentences", "Annotations"):
        if not (directory / name).is_dir():
            raise UserError(
                leads_nowhere(directory / name)
                or f"{directory} is no Flickr30k Entities directory: it has no folder "
                f"{name}; unpack annotations.zip of the data set there"
            )
    path = directory / f"{split}.txt"
    if not path.is_file():
        files = filter(Path.is_file, directory.glob("*.txt"))
        there = ", ".join(sorted(file.stem for file in files)) or "none"
        raise UserError(
            leads_nowhere(path)
            or f"{path} is {'a folder' if path.is_dir() else 'missing'}; splits in "
            f"that directory: {there}"
        )
    return path


def read_image_ids(path: Path) -> tuple[str, ...]:
    """Image ids, one per line, of a split file or of any list of them.

    Raises:
        UserError: the file cannot be read, is empty, or holds a line that is no id
            or an id twice, in whatever form.
    """
    first_line: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(_lines(path, "a list of image ids"), start=1):
        image_id = line.strip()
        # An id becomes a file name: it must not lead out of the data folder.
        is_name = image_id.isprintable() and "/" not in image_id
        if not is_name or len(image_id.split()) != 1:
            raise UserError(f"{path}, line {number}: {line!r:.80} is not an image id")
        first, form = first_line.setdefault(canonical_id(image_id), (number, image_id))
        if first != number:
            other = f", as {form}" if form != image_id else ""
            raise UserError(
                f"{path}, line {number}: image {image_id} stands on line {first} "
                f"already{other}"
            )
    if not first_line:
        raise UserError(f"{path}: no image ids; expected one a line")
    return tuple(image_id for _, image_id in first_line.values())


def read_image(directory: Path, image_id: str) -> AnnotatedImage:
    """Reads one image's captions and boxes.

    Raises:
        UserError: names the file and the line of what cannot be read.
    """
    sentences = directory / "Sentences" / f"{image_id}.txt"
    captions = tuple(
        parse_caption(line, f"{sentences}, line {number}")
        for number, line in enumerate(_lines(sentences), start=1)
    )
    if not captions:
        raise UserError(f"{sentences}: no captions; expected one a line")
    width, height, boxes = read_boxes(directory / "Annotations" / f"{image_id}.xml")
    return AnnotatedImage(
        image_id=image_id, width=width, height=height, captions=captions, boxes=boxes
    )


def parse_caption(line: str, place: str) -> Caption:
    """Takes the annotation out of a line of `Sentences/<id>.txt`.

    Args:
        line: words and phrases like "[/EN#283585/people two men]".
        place: file and line, for the message.

    Raises:
        UserError: the line has no words, brackets that do not balance, or a phrase
            without chain, type or words.
    """
    words: list[str] = []
    phrases: list[Phrase] = []
    opened: tuple[str, tuple[str, ...], int] | None = None  # chain, types, first word
    for token in line.split():
        if token.startswith("["):
            if opened:
                raise UserError(
                    f"{place}: unbalanced brackets: {token!r} opens a phrase inside "
                    "another one"
                )
            opened = (*_chain_and_types(token, place), len(words))
            continue
        closes = token.endswith("]")
        word = token.removesuffix("]")
        if word:
            words.append(word)
        if "[" in word or "]" in word or (closes and not opened):
            raise UserError(f"{place}: unbalanced brackets at {token!r}")
        if closes:
            chain, types, first_word = opened
            if first_word == len(words):
                raise UserError(f"{place}: the phrase of chain {chain} has no words")
            phrases.append(
                Phrase(
                    chain=chain,
                    types=types,
                    first_word=first_word,
                    num_words=len(words) - first_word,
                )
            )
            opened = None
    if opened:
        raise UserError(
            f"{place}: unbalanced brackets: the phrase of chain {opened[0]} never ends"
        )
    if not words:
        raise UserError(f"{place}: an empty caption")
    return Caption(words=tuple(words), phrases=tuple(phrases))


def _chain_and_types(token: str, place: str) -> tuple[str, tuple[str, ...]]:
    """Reads the opening of a phrase, "[/EN#<chain>/<type>[/<type>...]"."""
    start, mark, annotation = token.partition("[/EN#")
    chain, *types = annotation.split("/")
    if start or not mark or not chain.isdecimal() or not types or not all(types):
        raise UserError(
            f"{place}: {token!r} does not open a phrase; expected "
            "[/EN#<chain>/<type>, then the words and a closing bracket"
        )
    if "]" in annotation:
        raise UserError(f"{place}: the phrase {token!r} has no words")
    return chain, tuple(types)


def _lines(path: Path, what: str = "a text file of Flickr30k Entities") -> list[str]:
    """The lines of a text file, without a last empty one."""
    text = read_text(path, what).rstrip("\n")
    return text.split("\n") if text else []
