"""What a reader must know of models that are functions of somebody's own."""

from collections.abc import Iterable

from xabl.results.losses import PUBLISHED_MAIN
from xabl.results.reading import Run

_COMPARABLE = (
    "losses and perplexities over different vocabularies are not comparable between "
    "models; changes by word, in bits, are"
)


def remarks(runs: Iterable[Run], metric: str) -> list[str]:
    """What stands below a table of a loss by token in which such models are."""
    own = (run.label for run in runs if run.tokens_a_word is not None)
    labels = dict.fromkeys(own)
    if not labels or metric != PUBLISHED_MAIN[0]:
        return []
    return [f"With tokens of their own: {'; '.join(labels)}; {_COMPARABLE}."]


def notes(run: Run) -> list[str]:
    """What such a model cannot be asked, and what of it can be compared."""
    about = run.manifest["model"]
    found, cannot = [], about.get("cannot")
    if cannot and isinstance(cannot, list):
        found.append(f"the model cannot be asked: {', '.join(map(str, cannot))}")
    if run.hides:
        found.append(f"it hides what is removed in its own way: {run.hides}")
    elif about.get("hides"):
        found.append(
            "what is removed is hidden before the model sees it, in the ways above; "
            f"its author says: {about['hides']}"
        )
    if run.tokens_a_word is not None:
        found.append(
            f"its tokens are its own ({run.tokens_a_word:.2f} for each word): "
            f"{_COMPARABLE}"
        )
    return found
