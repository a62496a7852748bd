"""The words that results are told in, each explained once: for README and demo."""

from typing import NamedTuple

from xabl.results.conditions import MAIN_THRESHOLD, Condition, Direction
from xabl.results.intervals import FEWEST_IMAGES
from xabl.results.losses import LOSSES, PUBLISHED_MAIN

_MLM, _MRC_KL = (LOSSES[name] for name in PUBLISHED_MAIN)


class Term(NamedTuple):
    """A word and what it means."""

    name: str
    meaning: str


VISUAL_TARGET = Term(
    "visual target",
    "what a model learned to predict of a masked region, by its number in a "
    "configuration: 0 the detector's distribution over 1601 classes, background first; "
    "3 its top class of 1600; 6 the same, of 1601 outputs; an ablation scores these "
    "three; 1, 2 and 5 are features, 4 an attribute",
)

P_VALUE = Term(
    "p",
    "how probable a difference at least this large is by chance alone: two-sided, by "
    "the t distribution, of the difference divided by the standard error that the "
    "interval's resamples give. It is paired: both losses are of the same examples. "
    "Between models it is corrected for all comparisons made (Holm's method), "
    "elsewhere for none",
)


def _removed() -> str:
    ways = [
        Condition.parse(direction, "all").way_meaning.replace("an ablated", "a removed")
        for direction in Direction
    ]
    return f"taken out of what the model sees. As published: {'; '.join(ways)}"


TERMS = (
    Term(
        "vision for language (vis4lang)",
        "the words of a phrase are masked, and the model predicts them with and "
        "without image regions",
    ),
    Term(
        "language for vision (lang4vis)",
        "the regions that show a phrase are masked, and the model predicts the class "
        "of the one that fits best, with and without words",
    ),
    Term("removed (ablated)", _removed()),
    Term(
        "object, overlap (IoT)",
        "the regions that show a phrase: those that cover more than "
        f"{MAIN_THRESHOLD:g} of one of its boxes (intersection over target)",
    ),
    Term(
        "bits",
        "what losses are measured in: one bit more means that the right answer is half "
        "as probable",
    ),
    Term(_MLM.title, f"loss of vision for language: {_MLM.meaning}"),
    Term(_MRC_KL.title, f"loss of language for vision: {_MRC_KL.meaning}"),
    VISUAL_TARGET,
    Term(
        "gold, silver",
        "labels of regions: gold says what a region shows; silver is what a detector "
        "says, which errs",
    ),
    Term(
        "lost, misled",
        "what goes when all regions go is information lost, loss(all) - loss(none); "
        "what more goes when only the object goes is being misled by the regions that "
        "stay, loss(object) - loss(all); below 0 they still help",
    ),
    Term(
        "95% interval",
        "over images: of these very models on images like these; over seeds and "
        f"images: of models trained like them, too; over fewer than {FEWEST_IMAGES} "
        "images none is given",
    ),
    P_VALUE,
)
