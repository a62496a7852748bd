"""The two questions of the study, and what people are told of each."""

import dataclasses
import enum


class Direction(enum.StrEnum):
    """Which modality is evaluated for which."""

    VIS4LANG = "vis4lang"  # vision for language: regions are ablated, words predicted
    LANG4VIS = "lang4vis"  # language for vision: words are ablated, a region predicted

    @property
    def wording(self) -> "Wording":
        """What people are told of it."""
        return _WORDINGS[self]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wording:
    """A direction for people.

    title: what it is called.
    ablated: what is removed.
    predicts: words or class.
    task: what the model does.
    explained: its conditions in a sentence or two.
    use: completes "the model uses ...".
    region_state: what the regions hidden from the model are called in a picture.
    """

    title: str
    ablated: str
    predicts: str
    task: str
    explained: str
    use: str
    region_state: str


_WORDINGS = {
    Direction.VIS4LANG: Wording(
        title="Vision for language",
        ablated="regions",
        predicts="words",
        task="predict the words of the phrase",
        explained="The words of a phrase are masked and predicted: with all regions "
        "(None), without the regions that show the phrase (Object), or without any "
        "(All). A region shows the phrase when it covers more than a threshold of one "
        "of the phrase's boxes: 0.5 of its area unless said otherwise.",
        use="vision when it predicts words",
        region_state="ablated",
    ),
    Direction.LANG4VIS: Wording(
        title="Language for vision",
        ablated="words",
        predicts="class",
        task="predict the class of the target region",
        explained="The regions that show the phrase are masked, and the class of the "
        "one that fits its box best is predicted: with all words (None), without the "
        "words of the phrase (Phrase), or without any (All).",
        use="language when it predicts region classes",
        region_state="masked",
    ),
}
