"""Which class each word of a caption has: from lists of words, or from a tagger.

By lists, the first that fits: number words; nouns, the detector's classes; adjectives,
its attributes; function words; all others are "other" (verbs among them, which no list
here knows). A class of several words ("traffic light") is known by its last one.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from xabl.ablation.examples import PhraseExample
from xabl.data.class_names import OBJECTS, read_class_names
from xabl.data.tagger import stanza_tagger, tagged
from xabl.results.word_classes import WordClass
from xabl.support.checksums import file_sha256

Tagger = Any  # see `data.tagger.tagged`

NUMBER_WORDS = frozenset(
    """zero one two three four five six seven eight nine ten eleven twelve thirteen
    fourteen fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty
    sixty seventy eighty ninety hundred thousand million dozen dozens pair""".split()
)
_DIGITS = re.compile(r"\d[\d.,]*")
FUNCTION_WORDS = frozenset(
    """a an the this that these those some any no every each either neither another
    both all half such what which whose other many much few several more most
    i me my mine myself you your yours yourself he him his himself she her hers herself
    it its itself we us our ours ourselves they them their theirs themselves one's who
    whom someone somebody something anyone anybody anything everyone everybody
    everything nobody nothing none there here
    about above across after against along alongside amid among amongst around as at
    atop before behind below beneath beside besides between beyond by down during except
    for from in inside into like near next of off on onto opposite out outside over past
    per through throughout to toward towards under underneath until up upon via with
    within without
    and or but nor so yet if because while when where whether than though although since
    unless whereas
    not n't 's ' to
    be am is are was were been being have has had having do does did doing will would
    shall should can could may might must""".split()
)
# Universal tags; all others are "other".
_TAGS = {
    **dict.fromkeys(("NOUN", "PROPN"), WordClass.NOUN),
    "ADJ": WordClass.ADJECTIVE,
    "NUM": WordClass.NUMBER,
    "VERB": WordClass.VERB,
    **dict.fromkeys(
        ("DET", "ADP", "PRON", "CCONJ", "SCONJ", "PART", "AUX"), WordClass.FUNCTION
    ),
}
# What one can do without a tagger.
INSTEAD = "leave --tagger out: then lists of words say which class a word has"


@dataclasses.dataclass(frozen=True, kw_only=True)
class WordClasses:
    """The classes of the words of captions.

    by_sentence: a class for every word of a caption, by `PhraseExample.sentence`.
    source: where they come from, for the manifest.
    """

    by_sentence: Mapping[str, tuple[WordClass, ...]]
    source: Mapping[str, Any]

    @property
    def notice(self) -> str | None:
        """What the user should know of them."""
        if self.source["from"] == "lists" and not self.source["class_names_sha256"]:
            return (
                f"no list of the detector's classes ({OBJECTS} beside the regions, or "
                "--class_names): losses by word cannot tell nouns from other words"
            )
        return None


def by_lists(
    examples: Sequence[PhraseExample],
    *,
    class_names: Path | None = None,
    attribute_names: Path | None = None,
) -> WordClasses:
    """Classes from lists of words.

    Args:
        class_names, attribute_names: the detector's, a name a line; without them no
            word is a noun, or an adjective.

    Raises:
        UserError: a file is missing, or not text.
    """
    lists = {
        WordClass.NUMBER: NUMBER_WORDS,
        WordClass.NOUN: _last_words(class_names),
        WordClass.ADJECTIVE: _last_words(attribute_names),
        WordClass.FUNCTION: FUNCTION_WORDS,
    }

    def of(word: str) -> WordClass:
        if _DIGITS.fullmatch(word):
            return WordClass.NUMBER
        for kind, words in lists.items():
            plural = kind is WordClass.NOUN and not words.isdisjoint(_singular(word))
            if word in words or plural:
                return kind
        return WordClass.OTHER

    sentences = dict.fromkeys(example.sentence for example in examples)
    return WordClasses(
        by_sentence={
            sentence: tuple(of(word.lower()) for word in sentence.split(" "))
            for sentence in sentences
        },
        source={
            "from": "lists",
            "class_names_sha256": class_names and file_sha256(class_names),
            "attribute_names_sha256": attribute_names and file_sha256(attribute_names),
        },
    )


def by_tagger(
    examples: Sequence[PhraseExample], tagger: Tagger | None = None
) -> WordClasses:
    """Classes from universal part-of-speech tags.

    Args:
        tagger: stanza's by default.

    Raises:
        UserError: stanza or its model is not installed; the tagger splits words.
    """
    if tagger is None:
        tagger = stanza_tagger(INSTEAD)
    captions = (tuple(example.sentence.split(" ")) for example in examples)
    found = tagged(captions, tagger, INSTEAD)
    return WordClasses(
        by_sentence={
            " ".join(words): tuple(_TAGS.get(w.upos, WordClass.OTHER) for w in tags)
            for words, tags in found.items()
        },
        source={"from": "stanza"},
    )


def _last_words(path: Path | None) -> frozenset[str]:
    names = [] if path is None else read_class_names(path)
    words = (name.split()[-1:] for alternatives in names for name in alternatives)
    return frozenset(word.lower() for last in words for word in last)


def _singular(word: str) -> Iterable[str]:
    """What an English plural may be the plural of."""
    for ending, singular in (("ies", "y"), ("es", ""), ("s", "")):
        if word.endswith(ending):
            yield word.removesuffix(ending) + singular
