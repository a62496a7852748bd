"""Captions of the synthetic world, which name what an image shows or something else."""

import dataclasses

import numpy as np

from xabl.data.flickr30k_entities import Caption, Phrase
from xabl.synthetic.world.images import Stream, World, WorldImage
from xabl.synthetic.world.vocabulary import COLOURS, CONNECTIVES, SCENES

CAPTIONS_PER_IMAGE = 5

_LEFT_OUT_RATE = 0.1  # captions that omit one of three or more objects
_COLOUR_RATE = 0.5
_SCENE_RATE = 0.5
_RAIN_RATE = 0.1
_SKY_RATE = 0.1
_PAIR_RATE = 0.12  # of objects drawn without looking; the images' own rate

_COLOUR_NAMES = tuple(COLOURS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mention:
    """One phrase and where its words come from.

    phrase: its place in the caption.
    object_index: the object of the phrase's chain; None for a chain without a box.
    follows_image: all words say what the image shows; otherwise some or all of them
        were drawn without looking at it.
    noun: the phrase's noun, as a tagger would find it.
    """

    phrase: Phrase
    object_index: int | None
    follows_image: bool
    noun: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorldCaption:
    """A caption.

    caption: its words and phrases.
    mentions: where each phrase comes from, in order.
    """

    caption: Caption
    mentions: tuple[Mention, ...]


def draw_captions(world: World, image: WorldImage) -> tuple[WorldCaption, ...]:
    """The captions of an image.

    The form of a caption depends on the number of objects alone, never on what they are
    or on `vision_to_language` and `words_from_image`, which only replace words.
    """
    rng = world.random(Stream.CAPTIONS, image.number)
    return tuple(
        _Writer(world, image, rng).caption() for _ in range(CAPTIONS_PER_IMAGE)
    )


class _Writer:
    """Builds one caption, word by word."""

    def __init__(self, world: World, image: WorldImage, rng: np.random.Generator):
        self._world, self._image, self._rng = world, image, rng
        self._words: list[str] = []
        self._mentions: list[Mention] = []

    def caption(self) -> WorldCaption:
        rng = self._rng
        order = rng.permutation(len(self._image.objects))
        if len(order) > 2 and rng.random() < _LEFT_OUT_RATE:
            order = order[1:]
        for place, index in enumerate(order):
            if place == 1:
                self._words.append("is")
            if place:
                self._words += str(rng.choice(CONNECTIVES)).split()
            self._mention_object(int(index))
        if rng.random() < _SCENE_RATE:
            self._words.append("in")
            self._mention_scene()
        tail = rng.random()
        if tail < _RAIN_RATE:
            self._words.append("while")
            self._mention("0", "notvisual", ["it"], noun="it")
            self._words.append("rains")
        elif tail < _RAIN_RATE + _SKY_RATE:
            self._words.append("under")
            self._mention(self._image.sky_chain, "other", ["the", "sky"], noun="sky")
        self._words.append(".")
        self._words[0] = self._words[0].capitalize()
        return WorldCaption(
            caption=Caption(
                words=tuple(self._words),
                phrases=tuple(mention.phrase for mention in self._mentions),
            ),
            mentions=tuple(self._mentions),
        )

    def _mention_object(self, index: int) -> None:
        """Names an object: how many, perhaps the colour, the noun."""
        rng, world = self._rng, self._world
        thing = self._image.objects[index]
        follows = self._follows_image()
        kind, colour, count = (
            int(rng.integers(len(world.classes))),
            int(rng.integers(len(_COLOUR_NAMES))),
            1 + int(rng.random() < _PAIR_RATE),
        )
        told = world.settings.words_from_image if follows else None
        if told in ("all", "nouns"):
            kind = thing.kind
        if told in ("all", "colours"):
            colour = thing.colour
        if told == "all":
            count = thing.count
        named = world.classes[kind]
        noun = named.noun if count == 1 else named.plural
        words = ["a" if count == 1 else "two", noun]
        if rng.random() < _COLOUR_RATE:
            words.insert(1, _COLOUR_NAMES[colour])
        self._mention(
            thing.chains[rng.integers(len(thing.chains))],
            named.phrase_type,
            words,
            object_index=index,
            follows_image=told == "all",
            noun=noun,
        )

    def _mention_scene(self) -> None:
        told = self._world.settings.words_from_image
        follows = self._follows_image() and told in ("all", "nouns")
        scene = int(self._rng.integers(len(SCENES)))
        noun = SCENES[self._image.scene if follows else scene].noun
        self._mention(
            self._image.scene_chain,
            "scene",
            ["the", noun],
            follows_image=follows,
            noun=noun,
        )

    def _follows_image(self) -> bool:
        return bool(self._rng.random() < self._world.settings.vision_to_language)

    def _mention(
        self,
        chain: str,
        phrase_type: str,
        words: list[str],
        *,
        noun: str,
        object_index: int | None = None,
        follows_image: bool = False,
    ) -> None:
        phrase = Phrase(
            chain=chain,
            types=(phrase_type,),
            first_word=len(self._words),
            num_words=len(words),
        )
        self._words += words
        self._mentions.append(
            Mention(
                phrase=phrase,
                object_index=object_index,
                follows_image=follows_image,
                noun=noun,
            )
        )
