"""What a reader must know of models that are functions of somebody's own."""

from collections.abc import Iterable

from xabl.results.directions import Direction
from xabl.results.reading import Run

_COMPARABLE = (
    "losses and perplexities over different vocabularies are not comparable between "
    "models; changes by word, in bits, are"
)


def remarks(runs: Iterable[Run], direction: Direction) -> list[str]:
    """What stands below a table of losses in which such models are."""
    labels = dict.fromkeys(run.label for run in runs if _tokens_a_word(run))
    if not labels or direction is not Direction.VIS4LANG:
        return []
    return [f"With tokens of their own: {', '.join(labels)}; {_COMPARABLE}."]


def notes(run: Run) -> list[str]:
    """What such a model cannot be asked, and what of it can be compared."""
    about = run.manifest["model"]
    found, cannot = [], about.get("cannot")
    if cannot and isinstance(cannot, list):
        found.append(f"the model cannot be asked: {', '.join(map(str, cannot))}")
    if about.get("hides"):
        found.append(f"it hides what is removed in its own way: {about['hides']}")
    share = _tokens_a_word(run)
    if share:
        found.append(
            f"its tokens are its own ({share:.2f} for each word): {_COMPARABLE}"
        )
    return found


def _tokens_a_word(run: Run) -> float | None:
    """How many tokens of its own a word has; None: not known, or word pieces."""
    try:
        tokens = run.manifest["model"]["tokens"]
        return float(tokens["own_tokens"] / tokens["words"])
    except (KeyError, TypeError, IndexError, ArithmeticError):
        return None
