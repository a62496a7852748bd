"""The classes of words that losses are told apart by: columns of words.parquet."""

import enum


class WordClass(enum.StrEnum):
    """What kind of word, in the order of tables."""

    NOUN = "noun"
    ADJECTIVE = "adjective"
    NUMBER = "number"
    VERB = "verb"
    FUNCTION = "function"
    OTHER = "other"

    @property
    def title(self) -> str:
        """For tables and figures."""
        return _TITLES[self]


_TITLES = {
    WordClass.NOUN: "nouns",
    WordClass.ADJECTIVE: "adjectives",
    WordClass.NUMBER: "numbers",
    WordClass.VERB: "verbs",
    WordClass.FUNCTION: "function words",
    WordClass.OTHER: "other words",
}
