"""Eighty thousand words in two megabytes: a hash table over the vocabulary's own text.

A dict of strings takes twelve megabytes, which a small device would rather keep for its model. Here
the words stay where the file has them; the table holds only where each begins.
"""

import re
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import TypeVar, overload

_END = " "
_WORD = re.compile(f"[^{_END}]+")
Default = TypeVar("Default")


class WordTable(Mapping[str, str]):
    r"""Words to their classes, read straight from the lines of a vocabulary.

    >>> table = WordTable(b"ww cat dog\nFF is\n", {"ww": (3, 10), "FF": (14, 16)})
    >>> table["dog"], table.get("is"), table.get("do"), sorted(table)
    ('ww', 'FF', None, ['cat', 'dog', 'is'])
    """

    def __init__(self, content: bytes, groups: Mapping[str, tuple[int, int]]) -> None:
        """Index the words of some lines.

        Args:
            content: The vocabulary; UTF-8, words set apart by single blanks.
            groups: Class to where its words begin and end in content. Of a word in two groups, the
                later one counts.
        """
        text = content.decode("utf-8")
        self._content = text.replace("\n", _END) + _END
        spans = sorted((start, end, name) for name, (start, end) in groups.items())
        if not content.isascii():
            # From positions of bytes to positions of characters.
            places = {place: len(content[:place].decode("utf-8")) for s in spans for place in s[:2]}
            spans = [(places[start], places[end], name) for start, end, name in spans]
        self._starts = [start for start, _, _ in spans]
        self._classes = [name for _, _, name in spans]
        self._words = sum(text.count(_END, start, end) + 1 for start, end, _ in spans)
        size = 1 << max(self._words * 2, 8).bit_length()
        self._mask = size - 1
        self._slots = array("I", bytes(4 * size))
        for start, end, _ in spans:
            # one by one: a list of all words, once, would cost more memory than the table, for good
            for found in _WORD.finditer(text, start, end):
                self._put(found[0], found.start())

    def __getitem__(self, word: str) -> str:
        classes = self.get(word)
        if classes is None:
            raise KeyError(word)
        return classes

    @overload
    def get(self, word: str, /) -> str | None: ...
    @overload
    def get(self, word: str, default: str, /) -> str: ...
    @overload
    def get(self, word: str, default: Default, /) -> str | Default: ...
    def get(self, word: str, default: Default | None = None, /) -> str | Default | None:
        """Return the classes of a word; a mapping's own way raises and catches for each miss."""
        key = word + _END
        mask, slots, starts_with = self._mask, self._slots, self._content.startswith
        slot = hash(word) & mask
        while found := slots[slot]:
            if starts_with(key, found - 1):
                return self._classes[bisect_right(self._starts, found - 1) - 1]
            slot = (slot + 1) & mask
        return default

    def __iter__(self) -> Iterator[str]:
        for slot in self._slots:
            if slot:
                yield self._word_at(slot - 1)

    def __len__(self) -> int:
        return self._words

    def _put(self, word: str, place: int) -> None:
        """Remember where a word begins; the later of two places stays."""
        key = word + _END
        slot = hash(word) & self._mask
        while self._slots[slot]:
            if self._content.startswith(key, self._slots[slot] - 1):
                self._words -= 1
                break
            slot = (slot + 1) & self._mask
        self._slots[slot] = place + 1

    def _word_at(self, place: int) -> str:
        """Return the word that begins here."""
        return self._content[place : self._content.index(_END, place)]
