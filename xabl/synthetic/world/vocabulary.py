"""Classes, colours and scenes of the synthetic world, and their words."""

import dataclasses

from xabl.data.class_names import DETECTOR_ATTRIBUTES, DETECTOR_CLASSES


@dataclasses.dataclass(frozen=True, kw_only=True)
class ObjectClass:
    """A kind of object.

    noun: its name in captions.
    phrase_type: one of Flickr30k Entities' eight.
    detector_class: its column of `cls_prob` (1 ... 1600; 0 is background).
    """

    noun: str
    phrase_type: str
    detector_class: int

    @property
    def plural(self) -> str:
        return self.noun + "s"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scene:
    """A kind of background.

    noun: its name in captions.
    detector_class: its column of `cls_prob`.
    rgb: its colour in pictures.
    """

    noun: str
    detector_class: int
    rgb: tuple[int, int, int]


# The plural of every noun ends in -s: "dogs" has the pieces "dog" and "##s".
_NOUNS = {
    "people": ("girl", "boy", "player"),
    "clothing": ("hat", "shirt", "jacket"),
    "bodyparts": ("hand", "arm", "beard"),
    "animals": ("dog", "horse", "cat"),
    "vehicles": ("car", "boat", "bike"),
    "instruments": ("guitar", "piano", "drum"),
    "scene": ("bridge", "fence", "pool"),
    "other": ("ball", "table", "book"),
}
PHRASE_TYPES = tuple(_NOUNS)
MOST_CLASSES_PER_TYPE = 3

COLOURS = {
    "red": (205, 50, 50),
    "blue": (55, 85, 200),
    "green": (45, 150, 65),
    "yellow": (235, 205, 50),
    "purple": (135, 65, 165),
    "brown": (130, 85, 50),
    "white": (245, 245, 245),
    "black": (40, 40, 40),
}

SCENES = (
    Scene(noun="street", detector_class=1301, rgb=(175, 175, 180)),
    Scene(noun="beach", detector_class=1321, rgb=(232, 214, 170)),
    Scene(noun="park", detector_class=1341, rgb=(170, 210, 150)),
    Scene(noun="field", detector_class=1361, rgb=(205, 200, 140)),
    Scene(noun="kitchen", detector_class=1381, rgb=(215, 190, 175)),
    Scene(noun="lake", detector_class=1401, rgb=(160, 195, 220)),
)

CONNECTIVES = ("next to", "behind", "near", "above", "beside")
_OTHER_WORDS = ("a", "two", "is", "in", "the", "under", "sky", "while", "it", "rains")


def object_classes(per_type: int) -> tuple[ObjectClass, ...]:
    """The first `per_type` classes of each phrase type, types in a fixed order."""
    return tuple(
        ObjectClass(
            noun=noun,
            phrase_type=phrase_type,
            detector_class=25 + 150 * type_number + 50 * number,
        )
        for type_number, (phrase_type, nouns) in enumerate(_NOUNS.items())
        for number, noun in enumerate(nouns[:per_type])
    )


def detector_class_names(per_type: int) -> tuple[str, ...]:
    """The lines of objects_vocab.txt: background, then a name for every class.

    Alternative names are separated by commas: "dog,dogs".
    """
    names = ["__background__"]
    names += [f"unused class {number}" for number in range(1, DETECTOR_CLASSES)]
    for kind in object_classes(per_type):
        names[kind.detector_class] = f"{kind.noun},{kind.plural}"
    for scene in SCENES:
        names[scene.detector_class] = scene.noun
    return tuple(names)


def detector_attribute_names() -> tuple[str, ...]:
    """The lines of attributes_vocab.txt: "none", then a name for every attribute."""
    unused = range(len(COLOURS) + 1, DETECTOR_ATTRIBUTES)
    return ("__no_attribute__", *COLOURS, *(f"unused attribute {n}" for n in unused))


def word_pieces(per_type: int) -> tuple[str, ...]:
    """The lines of vocab.txt, special tokens where uncased BERT has them."""
    special = ["[PAD]", *(f"[unused{n}]" for n in range(99))]
    special += ["[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    characters = "abcdefghijklmnopqrstuvwxyz0123456789"
    words = {word for phrase in CONNECTIVES for word in phrase.split()}
    words |= {*_OTHER_WORDS, *COLOURS}
    words |= {kind.noun for kind in object_classes(per_type)}
    words |= {scene.noun for scene in SCENES}
    pieces = [*special, *".,-'!?", *characters, *(f"##{c}" for c in characters)]
    return (*pieces, *sorted(words - set(pieces)))
