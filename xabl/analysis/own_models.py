"""What a reader must know of models that are functions of somebody's own."""

from xabl.results.reading import Run


def notes(run: Run) -> list[str]:
    """What such a model cannot be asked, and what of it can be compared."""
    about = run.manifest["model"]
    found = []
    if about.get("cannot"):
        found.append(f"the model cannot be asked: {', '.join(about['cannot'])}")
    if about.get("hides"):
        found.append(f"it hides what is removed in its own way: {about['hides']}")
    tokens = about.get("tokens")
    if tokens and tokens["words"]:
        share = tokens["own_tokens"] / tokens["words"]
        found.append(
            f"its tokens are its own ({share:.2f} for each word): losses and "
            "perplexities over different vocabularies are not comparable between "
            "models; changes by word, in bits, are"
        )
    return found
