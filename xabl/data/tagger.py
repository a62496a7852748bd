"""Parts of speech of captions, by a tagger that is not part of this package."""

from collections.abc import Iterable, Sequence
from typing import Any

from xabl.errors import UserError
from xabl.support.extras import installing

TAGGERS = ("stanza",)
Words = tuple[str, ...]
_BATCH = 256


def check_tagger(instead: str) -> None:
    """Looks whether the package is installed; loads no model.

    Args:
        instead: as for `stanza_tagger`.

    Raises:
        UserError: it is not.
    """
    _package(instead)


def stanza_tagger(instead: str) -> Any:
    """The English tagger the published nouns were made with (Qi et al. 2020).

    Args:
        instead: what the user can do without it, for messages.

    Raises:
        UserError: the package or its model is not installed; nothing is downloaded.
    """
    stanza = _package(instead)
    try:
        return stanza.Pipeline(
            "en",
            processors="tokenize,pos",
            tokenize_pretokenized=True,
            download_method=None,
            verbose=False,
        )
    except Exception as error:  # its own kinds differ from version to version
        raise UserError(
            f"--tagger=stanza: its English model cannot be loaded ({error}); run "
            "python -c \"import stanza; stanza.download('en', processors="
            f"'tokenize,pos')\", or {instead}"
        ) from error


def tagged(
    captions: Iterable[Words], tagger: Any, instead: str
) -> dict[Words, Sequence[Any]]:
    """The tagged words of every distinct caption, each with `text` and `upos`.

    Args:
        tagger: called with captions as lists of words; gives an object whose
            `sentences` have `words` with `text` and `upos` (universal tags).
        instead: what the user can do without it, for messages.

    Raises:
        UserError: the tagger splits or joins words.
    """
    distinct = list(dict.fromkeys(captions))
    found: dict[Words, Sequence[Any]] = {}
    for start in range(0, len(distinct), _BATCH):
        batch = distinct[start : start + _BATCH]
        sentences = tagger([list(words) for words in batch]).sentences
        if [len(sentence.words) for sentence in sentences] != [len(w) for w in batch]:
            raise UserError(
                f"the tagger does not keep the captions' words as they are; {instead}"
            )
        for words, sentence in zip(batch, sentences, strict=True):
            found[words] = sentence.words
    return found


def _package(instead: str) -> Any:
    try:
        import stanza
    except ImportError as error:
        raise UserError(
            f"--tagger=stanza: {installing('stanza')}; or {instead}"
        ) from error
    return stanza
