"""The nouns of every example, by a tagger that is not part of this package."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from xabl.errors import UserError

if TYPE_CHECKING:
    from xabl.data.flickr30k_entities import Mention

NOUN_TAGS = frozenset({"NOUN", "PROPN"})
_BATCH = 256


def stanza_tagger() -> Any:
    """The English tagger the published nouns were made with (Qi et al. 2020).

    Raises:
        UserError: the package or its model is not installed; nothing is downloaded.
    """
    try:
        import stanza
    except ImportError as error:
        raise UserError(
            "--tagger=stanza: the package is not installed; run pip install stanza, or "
            "give the nouns as a file with --nouns"
        ) from error
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
            "'tokenize,pos')\", or give the nouns as a file with --nouns"
        ) from error


def tag_nouns(mentions: Sequence["Mention"], tagger: Any) -> list[tuple[str, ...]]:
    """The words of each phrase that are tagged NOUN or PROPN in their caption.

    Args:
        mentions: in the order of the examples.
        tagger: called with captions as lists of words; gives an object whose
            `sentences` have `words` with `text` and `upos`.

    Raises:
        UserError: the tagger splits or joins words.
    """
    captions = list(dict.fromkeys(mention.caption.words for mention in mentions))
    tagged: dict[tuple[str, ...], list[Any]] = {}
    for start in range(0, len(captions), _BATCH):
        batch = captions[start : start + _BATCH]
        sentences = tagger([list(words) for words in batch]).sentences
        if [len(sentence.words) for sentence in sentences] != [len(w) for w in batch]:
            raise UserError(
                "the tagger does not keep the captions' words as they are; give the "
                "nouns as a file with --nouns"
            )
        for words, sentence in zip(batch, sentences, strict=True):
            tagged[words] = sentence.words
    nouns = []
    for mention in mentions:
        first = mention.phrase.first_word
        words = tagged[mention.caption.words][first : first + mention.phrase.num_words]
        nouns.append(tuple(word.text for word in words if word.upos in NOUN_TAGS))
    return nouns
