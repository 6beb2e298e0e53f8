"""Eighty thousand words in two megabytes: a hash table over the vocabulary's own bytes.

A dict of strings takes twelve megabytes, which a small device would rather keep for its model. Here
the words stay where the file has them; the table holds only where each begins.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import TypeVar, overload
from zlib import crc32

_END = b" \n"
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
        self._content = content + b"\n"
        spans = sorted((start, end, name) for name, (start, end) in groups.items())
        self._starts = [start for start, _, _ in spans]
        self._classes = [name for _, _, name in spans]
        self._words = sum(content.count(b" ", start, end) + 1 for start, end, _ in spans)
        size = 1 << max(self._words * 2, 8).bit_length()
        self._mask = size - 1
        self._slots = array("I", bytes(4 * size))
        for start, end, _ in spans:
            place = start
            for word in content[start:end].split(b" "):
                self._put(word, place)
                place += len(word) + 1

    def __getitem__(self, word: str) -> str:
        place = self._find(word.encode("utf-8", "surrogatepass"))
        if place < 0:
            raise KeyError(word)
        return self._classes[bisect_right(self._starts, place) - 1]

    @overload
    def get(self, word: str, /) -> str | None: ...
    @overload
    def get(self, word: str, default: str, /) -> str: ...
    @overload
    def get(self, word: str, default: Default, /) -> str | Default: ...
    def get(self, word: str, default: Default | None = None, /) -> str | Default | None:
        """Return the classes of a word; a mapping's own way raises and catches for each miss."""
        place = self._find(word.encode("utf-8", "surrogatepass"))
        return default if place < 0 else self._classes[bisect_right(self._starts, place) - 1]

    def __iter__(self) -> Iterator[str]:
        for slot in self._slots:
            if slot:
                yield self._word_at(slot - 1).decode("utf-8")

    def __len__(self) -> int:
        return self._words

    def _put(self, word: bytes, place: int) -> None:
        """Remember where a word begins; the later of two places stays."""
        slot = crc32(word) & self._mask
        while self._slots[slot]:
            if self._word_at(self._slots[slot] - 1) == word:
                self._words -= 1
                break
            slot = (slot + 1) & self._mask
        self._slots[slot] = place + 1

    def _find(self, word: bytes) -> int:
        """Return where a word begins, -1 where it is not."""
        mask, slots, content = self._mask, self._slots, self._content
        slot = crc32(word) & mask
        while found := slots[slot]:
            if content.startswith(word, found - 1) and content[found - 1 + len(word)] in _END:
                return found - 1
            slot = (slot + 1) & mask
        return -1

    def _word_at(self, place: int) -> bytes:
        """Return the word that begins here."""
        end = place
        while self._content[end] not in _END:
            end += 1
        return self._content[place:end]
