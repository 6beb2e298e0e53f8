"""Labeling functions over texts: words, misspelled words, patterns."""

import unicodedata
from dataclasses import dataclass
from typing import Literal

import re2

from fieldvote.errors import SettingsError
from fieldvote.function_definition import OneClass, Source

_MOST_NEGATED = 10
# a shorter word would be found in half the language: "call" within two edits is "bell" and "cat"
_SHORTEST = {1: 4, 2: 7}
_LONGEST = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class KeywordFunction(OneClass):
    """Votes when one of the words stands in the text, as a whole word and in any case.

    Attributes:
        words: Words or phrases.
        unless_after: Negations; where one of them stands shortly before one of the words, the
            function abstains.
        within: How many words before count as shortly, the negation's own place among them.

    >>> prize = KeywordFunction(id="prize", owner="ann", class_name="offer", words=("prize", "won"))
    >>> prize.version
    '7f0e8c4160fa'
    """

    kind: Literal["keyword"] = "keyword"
    words: tuple[str, ...]
    unless_after: tuple[str, ...] = ()
    within: int = 3

    @property
    def reads(self) -> Source:
        """A text."""
        return Source.TEXT

    def check(self) -> None:
        """Words must be there."""
        if not self.words or not all(word.strip() for word in self.words):
            raise SettingsError("words: expected at least one word, and none of them empty")
        for word in self.unless_after:
            if not any(map(_is_letter, word)):
                raise SettingsError(f"unless_after: no letter or digit in '{word}'")
        if not 1 <= self.within <= _MOST_NEGATED:
            raise SettingsError(f"within: expected 1 to {_MOST_NEGATED} words, got {self.within}")

    def meaning(self) -> dict[str, object]:
        """Return the words without order, case or repetition."""
        words = sorted({normal_word(word) for word in self.words})
        said: dict[str, object] = {"kind": self.kind, "class": self.class_name, "words": words}
        if self.unless_after:
            said["unless_after"] = sorted({normal_word(word) for word in self.unless_after})
            said["within"] = self.within
        return said


@dataclass(frozen=True, slots=True, kw_only=True)
class FuzzyFunction(OneClass):
    """Votes when one of the words stands in the text with at most so many slips of the pen.

    A slip is a letter left out, added, changed, or swapped with its neighbour (optimal string
    alignment). Whole words, in any case.

    Attributes:
        words: Single words of letters and digits; at least 4 letters, 7 for two slips.
        distance: How many slips, 1 or 2.
        exact: Whether the words themselves count, or their misspellings only.
    """

    kind: Literal["fuzzy"] = "fuzzy"
    words: tuple[str, ...]
    distance: int = 1
    exact: bool = True

    @property
    def reads(self) -> Source:
        """A text."""
        return Source.TEXT

    def check(self) -> None:
        """Words long enough that what is near them is still meant."""
        if self.distance not in _SHORTEST:
            raise SettingsError(f"distance: expected 1 or 2, got {self.distance}")
        if not self.words:
            raise SettingsError("words: expected at least one word")
        least = _SHORTEST[self.distance]
        for word in self.words:
            if not all(map(_is_letter, word)):
                raise SettingsError(f"words: '{word}' is not one word of letters and digits")
            if not least <= len(word) <= _LONGEST:
                raise SettingsError(
                    f"words: '{word}' has {len(word)} letters, expected {least} to {_LONGEST} "
                    f"for a distance of {self.distance}"
                )

    def meaning(self) -> dict[str, object]:
        """Return the words without order, case or repetition."""
        words = sorted({normal_word(word) for word in self.words})
        return {
            "kind": self.kind, "class": self.class_name, "words": words,
            "distance": self.distance, "exact": self.exact,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class RegexFunction(OneClass):
    """Votes when the pattern matches somewhere in the text; RE2 syntax, case counts."""

    kind: Literal["regex"] = "regex"
    pattern: str

    @property
    def reads(self) -> Source:
        """A text."""
        return Source.TEXT

    def check(self) -> None:
        """RE2 must accept the pattern, which also bounds its running time."""
        options = re2.Options()
        options.log_errors = False
        try:
            re2.compile(self.pattern, options)
        except re2.error as err:
            raise SettingsError(f"pattern: RE2 refuses it: {_reason(err)}") from err

    def meaning(self) -> dict[str, object]:
        """Return the pattern to the letter."""
        return {"kind": self.kind, "class": self.class_name, "pattern": self.pattern}


def normal_word(word: str) -> str:
    """Return a word as it is compared: lower case, single spaces.

    >>> normal_word("  Free   ENTRY")
    'free entry'
    """
    return " ".join(word.lower().split())


def _is_letter(char: str) -> bool:
    """Say whether a character is part of a word: a letter, a mark, a number, or _."""
    return char == "_" or unicodedata.category(char)[0] in "LMN"


def _reason(err: re2.error) -> str:
    """Return RE2's own words."""
    said = err.args[0] if err.args else b""
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)
