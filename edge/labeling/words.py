r"""Whole words in any script, found by an engine whose ``\b`` knows only ASCII.

A word character is a letter, a mark, a number or ``_``. RE2's Unicode classes would say so exactly,
but hundreds of rules full of them do not fit into one automaton. So the text is prepared instead:
`spaced` sets every other non-ASCII character apart with spaces, after which a word ends where the
text ends or at an ASCII character that is none of a word's. ASCII text needs no preparing.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import re2

from fieldvote.functions import normal_word

_BOUNDARY = r"[\x00-/:-@\[-^`{-\x7f]"
_START = f"(?:^|{_BOUNDARY})"
_END = f"(?:$|{_BOUNDARY})"
_LETTER = r"[^\x00-/:-@\[-^`{-\x7f]"
# a boundary that does not end a sentence
_GAP = r"[\x00-\x09\x0b-\x20\x22-\x2d/:->@\[-^`{-\x7f]"
_MOST_CACHED = 1 << 14  # of 1.1 million code points; a device's texts use a few hundred


class _Spacing(dict[int, str]):
    """What becomes of a code point; looked up once for each that is met."""

    def __missing__(self, point: int) -> str:
        char = chr(point)
        if unicodedata.category(char).startswith("Z"):
            put = " "
        else:
            put = char if is_word(char) else f" {char} "
        if len(self) < _MOST_CACHED:
            self[point] = put
        return put


class _Folding(dict[int, str]):
    """What becomes of a code point: set apart as in `spaced`, else without case."""

    def __missing__(self, point: int) -> str:
        put = _SPACING[point]
        if len(put) == 1:
            # simple folding only: one letter becomes one letter, as in RE2
            put = next((to for to in (put.casefold(), put.lower()) if len(to) == 1), put)
        if len(self) < _MOST_CACHED:
            self[point] = put
        return put


_SPACING = _Spacing({point: chr(point) for point in range(128)})
_FOLDING = _Folding()
_NON_ASCII = re.compile(r"[^\x00-\x7f]+")


def is_word(char: str) -> bool:
    """Say whether a character is part of a word.

    >>> [is_word(char) for char in "aé7_-’"]
    [True, True, True, True, False, False]
    """
    return char == "_" or unicodedata.category(char)[0] in "LMN"


def spaced(text: str) -> str:
    """Set non-ASCII characters that are not part of a word apart from the words beside them.

    >>> spaced("a “prize”")
    'a  “ prize ” '
    """
    return text if text.isascii() else text.translate(_SPACING)


def folded(text: str) -> str:
    """Return a text `spaced`, and with every letter as RE2's `(?i)` compares it, but for ASCII.

    ASCII letters keep their case, for whole batches of bytes are lowered faster than texts.

    >>> folded("Élan “VITAL”"), folded("\N{KELVIN SIGN}ilo")
    ('élan  “ VITAL ” ', 'kilo')
    """
    return text if text.isascii() else _NON_ASCII.sub(_fold, text)


def folded_word(word: str) -> str:
    """Return a single word as texts are searched for it.

    >>> folded_word("ÉLAN")
    'élan'
    """
    return folded(word).encode().lower().decode()


def _fold(run: re.Match[str]) -> str:
    """Fold a run of characters that are not ASCII."""
    return run[0].translate(_FOLDING)


def single_word(word: str) -> bool:
    """Say whether a word is letters and digits throughout, so that it is one word of a text."""
    return bool(word) and all(map(is_word, word))


def words_pattern(words: Iterable[str]) -> str:
    """Return the RE2 pattern that finds one of the words in a `spaced` text, in any case.

    A word that begins or ends with a sign, like "£", needs no boundary on that side.
    """
    groups: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for word in words:
        parts = spaced(normal_word(word)).split()
        start = _START if is_word(parts[0][0]) else ""
        end = _END if is_word(parts[-1][-1]) else ""
        groups[start, end].append(r"\s+".join(re2.escape(part) for part in parts))
    bodies = [f"{start}(?:{'|'.join(parts)}){end}" for (start, end), parts in groups.items()]
    return f"(?i:{'|'.join(bodies)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Negation:
    """What takes the vote of words back.

    Attributes:
        pattern: Over a `spaced` text, RE2 syntax.
        words: Single words; a text in which none of them stands cannot match.
    """

    pattern: str
    words: frozenset[str]


def negation(negations: Iterable[str], words: Iterable[str], within: int) -> Negation:
    """Return what finds a negation shortly before a word, in the same sentence.

    Args:
        negations: Words that take the vote of what follows back; each holds a letter or a digit.
        words: What follows.
        within: How many words on from the negation a word may stand, at most.
    """
    listed = [normal_word(word) for word in negations]
    before, after = (
        "|".join(r"\s+".join(map(re2.escape, spaced(normal_word(word)).split())) for word in each)
        for each in (listed, words)
    )
    # the apostrophe of a typewriter stands for that of a book, which `spaced` sets apart
    before = before.replace(r"\'", "'").replace("'", r"(?:'|\s+’\s+)")
    between = rf"(?:{_GAP}+{_LETTER}+){{0,{within - 1}}}{_GAP}+"
    return Negation(
        pattern=f"(?i:{_START}(?:{before}){between}(?:{after})(?:$|{_BOUNDARY}))",
        words=frozenset(map(_first_word, listed)),
    )


def _first_word(phrase: str) -> str:
    """Return the first run of letters and digits."""
    marked = "".join(char if is_word(char) else " " for char in phrase)
    return marked.split()[0]
