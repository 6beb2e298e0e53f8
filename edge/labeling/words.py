r"""Whole words in any script, found by an engine whose ``\b`` knows only ASCII.

A word character is a letter, a mark, a number or ``_``. RE2's Unicode classes would say so exactly,
but hundreds of rules full of them do not fit into one automaton. So the text is prepared instead:
`spaced` sets every other non-ASCII character apart with spaces, after which a word ends where the
text ends or at an ASCII character that is none of a word's. ASCII text needs no preparing.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable

import re2

from fieldvote.functions import normal_word

_BOUNDARY = r"[\x00-/:-@\[-^`{-\x7f]"
_START = f"(?:^|{_BOUNDARY})"
_END = f"(?:$|{_BOUNDARY})"
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


_SPACING = _Spacing({point: chr(point) for point in range(128)})


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
