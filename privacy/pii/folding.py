"""Folding: a disguised text as plain text, with the way back for every position.

Look-alikes, full-width letters, combining marks and characters of no width are what an adversary
(or a careless keyboard) hides an address behind. Detectors read the folded text; what is masked is
the original. Strict mode needs none of this: it releases no character it does not know.
"""

import unicodedata
from dataclasses import dataclass

from privacy.pii.classes import FOLD
from privacy.pii.spans import Span

# Cyrillic and Greek letters that look like Latin ones.
_LOOK_ALIKES = str.maketrans(
    "аеорсухіјѕԁһӏкмнтвгАВЕКМНОРСТХІЅЈαοενικρτυχΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "aeopcyxijsdhlkmhtbrABEKMHOPCTXISJaoevikptuxABEZHIKMNOPTYX",
)
_WIDTHLESS = frozenset(("Cf", "Mn", "Me"))


@dataclass(frozen=True, slots=True)
class Folded:
    """A folded text.

    Attributes:
        text: What detectors read.
        origins: Where in the original each character of text comes from; empty if nothing changed.
        size: Length of the original, in code points.
    """

    text: str
    origins: tuple[int, ...]
    size: int

    def back(self, span: Span) -> Span:
        """Return a span of text as a span of the original, widthless characters included."""
        if not self.origins:
            return span
        end = self.origins[span.end] if span.end < len(self.origins) else self.size
        return Span(self.origins[span.start], max(end, self.origins[span.end - 1] + 1), span.kind)


def fold(text: str) -> Folded:
    """Return text as it reads: compatibility forms, look-alikes, nothing without width.

    Letters with an accent of their own stay as they are; accents that were added are dropped.

    >>> folded = fold("j\u200bo\u04bbn")
    >>> folded.text, folded.back(Span(0, 2, "NAME"))
    ('john', Span(start=0, end=3, kind='NAME'))
    """
    if text.isascii():
        return Folded(text, (), len(text))
    chars: list[str] = []
    origins: list[int] = []
    for place, char in enumerate(text):
        if char.isascii():
            chars.append(char)
            origins.append(place)
            continue
        if "\ud800" <= char <= "\udfff":
            # RE2 takes no lone surrogate.
            chars.append("\ufffd")
            origins.append(place)
            continue
        for plain in unicodedata.normalize("NFKC", char).translate(_LOOK_ALIKES).translate(FOLD):
            if unicodedata.category(plain) not in _WIDTHLESS:
                chars.append(" " if plain.isspace() else plain)
                origins.append(place)
    return Folded("".join(chars), tuple(origins), len(text))
