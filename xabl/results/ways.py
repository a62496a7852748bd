"""The ways of removing: what stands in the place of what is hidden.

The published study has one for each modality; the others ask whether a finding depends
on how the modality was taken away. What each does to an image or a caption is in
`ablation.replacement`.
"""

import dataclasses
from collections.abc import Iterable

from xabl.errors import UserError
from xabl.results.directions import Direction


@dataclasses.dataclass(frozen=True, kw_only=True)
class Way:
    """What stands in the place of what a level selects.

    done: completes "All regions ...".
    doing: a sentence's beginning, with {} for what is selected.
    meaning: what exactly happens, as a clause.
    short: on axes and in tables; the published way has none.
    """

    done: str
    doing: str
    meaning: str
    short: str = ""


# By direction and the name after the slash of a condition's name (`all/zero`); the
# published way comes first and is not written.
WAYS: dict[Direction, dict[str, Way]] = {
    Direction.VIS4LANG: {
        "average": Way(
            done="ablated",
            doing="Removing {}",
            meaning="the features of an ablated region become the average vector of "
            "the data set; its box stays",
        ),
        "zero": Way(
            done="set to zero",
            doing="Setting the features of {} to zero",
            meaning="the features of an ablated region become zeros, as those of "
            "masked regions in pretraining; its box stays",
            short="zero",
        ),
        "other_image": Way(
            done="replaced by another image's",
            doing="Replacing the features of {} by those of another image",
            meaning="an ablated region takes the features of the region of the same "
            "number in another image of the split, drawn by seed; its box stays",
            short="other image",
        ),
        "drop": Way(
            done="dropped",
            doing="Dropping {}",
            meaning="an ablated region is not attended to and is left out of the mean "
            "that the [IMG] row holds; when none stays, that is the average vector",
            short="drop",
        ),
    },
    Direction.LANG4VIS: {
        "mask": Way(
            done="ablated",
            doing="Masking {}",
            meaning="every piece of an ablated word becomes [MASK]; its place stays",
        ),
        "other_caption": Way(
            done="replaced by another caption's",
            doing="Replacing {} by those of another caption",
            meaning="ablated words become those of another image's caption, or phrase, "
            "of as many pieces, drawn by seed",
            short="other caption",
        ),
        "drop": Way(
            done="dropped",
            doing="Dropping {}",
            meaning="an ablated word is not attended to; the others keep their "
            "positions",
            short="drop",
        ),
    },
}


def check_ways(names: Iterable[str]) -> None:
    """Looks whether all are ways of removing regions, words or both.

    Raises:
        UserError: one is not; lists those there are.
    """
    known = "; ".join(f"{d.wording.ablated}: {', '.join(WAYS[d])}" for d in WAYS)
    for name in names:
        if not any(name in ways for ways in WAYS.values()):
            raise UserError(f"{name!r} is no way of removing ({known})")
