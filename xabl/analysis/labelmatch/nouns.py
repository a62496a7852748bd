"""The nouns of every example, by a tagger that is not part of this package."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from xabl.data import tagger as data_tagger

if TYPE_CHECKING:
    from xabl.data.flickr30k_entities import Mention

NOUN_TAGS = frozenset({"NOUN", "PROPN"})
_INSTEAD = "give the nouns as a file with --nouns"


def stanza_tagger() -> Any:
    """See `data.tagger`."""
    return data_tagger.stanza_tagger(_INSTEAD)


def tag_nouns(mentions: Sequence["Mention"], tagger: Any) -> list[tuple[str, ...]]:
    """The words of each phrase that are tagged NOUN or PROPN in their caption.

    Args:
        mentions: in the order of the examples.
        tagger: see `data.tagger.tagged`.

    Raises:
        UserError: the tagger splits or joins words.
    """
    captions = (mention.caption.words for mention in mentions)
    tagged = data_tagger.tagged(captions, tagger, _INSTEAD)
    nouns = []
    for mention in mentions:
        first = mention.phrase.first_word
        words = tagged[mention.caption.words][first : first + mention.phrase.num_words]
        nouns.append(tuple(word.text for word in words if word.upos in NOUN_TAGS))
    return nouns
