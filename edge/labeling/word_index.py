"""Which rules' words stand in which texts: every word of every text looked up in one table.

A set of regular expressions must remember, at each byte, which of its rules have matched so far;
with hundreds of word lists that is another state for almost every text. Words need no such memory:
texts are cut into words by array operations, a word of up to 16 bytes is two integers, and two
integers are looked up in a hash table, a whole batch at a time.

A word is what `edge.labeling.words` says, compared without case. Slips of the pen
(`edge.labeling.fuzzy`) are looked for once for each new word and then remembered.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edge.labeling.fuzzy import NearWords
from edge.labeling.words import folded_word, is_word

Ints = NDArray[np.int64]
Words64 = NDArray[np.uint64]
Token = tuple[int, int]

_BATCH = 1024  # texts at a time: their words stay in the processor's cache
_MOST_KEPT = 1 << 15  # words; beyond that, what was learned of misspelled words is learned anew
_LEARNED = 1 << 11  # words learned at a time, each against every word that may be misspelled
_KEY_BYTES = 16

_WORD = np.array([is_word(chr(byte)) if byte < 128 else True for byte in range(256)])
_LOWER = np.array([ord(chr(b).lower()) if b < 128 else b for b in range(256)], dtype=np.uint8)
# keeps the first i bytes of eight, as they lie in memory
_KEEP = np.array([(1 << (8 * i)) - 1 for i in range(9)], dtype=np.uint64)
# odd multipliers, salted by the interpreter: whoever writes texts must not know which words meet in
# one place of the table, or a few thousand of them would make every look-up a long walk
_MIX = tuple(
    np.uint64(odd ^ (hash(f"words {odd}") & 0xFFFFFFFFFFFFFFFE))
    for odd in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0xD6E8FEB86659FD93)
)


class WordIndex:
    """Words and misspelled words of many rules.

    >>> index = WordIndex({"prize": [0], "win": [0, 2]}, [])
    >>> [found.tolist() for found in index.find([b"Prize!", b"nothing", b"WIN a car"])]
    [[0, 2, 2], [0, 0, 2]]
    """

    def __init__(
        self,
        words: Mapping[str, Sequence[int]],
        near: Iterable[tuple[str, int, bool, int]],
    ) -> None:
        """Build the table.

        Args:
            words: Single words as they are written, and the rules each stands for.
            near: Word, largest distance, whether the word itself counts, and its rule.
        """
        self._exact: dict[bytes, list[int]] = {}
        for word, rules in words.items():
            self._exact.setdefault(folded_word(word).encode(), []).extend(rules)
        self._near = NearWords(near)
        # in bytes; most words of a text are shorter than any that is looked for
        self._shortest = min([*map(len, self._exact), self._near.shortest])
        self._longest = max([*map(len, self._exact), self._near.longest])
        self._long: dict[bytes, int] = {}
        # rules of entry e are _hits[_start[e]:_start[e + 1]]; entry 0 has none
        self._numbers: dict[tuple[int, ...], int] = {(): 0}
        self._start, self._hits = np.array([0, 0]), np.empty(0, dtype=np.int64)
        self._forget()
        if not self._near.any:
            short = {word: rules for word, rules in self._exact.items() if len(word) <= _KEY_BYTES}
            self._insert([_token_of(word) for word in short], list(short.values()))

    def find(self, texts: Sequence[bytes]) -> tuple[Ints, Ints]:
        """Return (text, rule) for every word that stands for a rule, once for each time it stands.

        Args:
            texts: UTF-8, `folded` where there is more than ASCII in them.
        """
        parts = [
            self._find(texts[start : start + _BATCH], start)
            for start in range(0, len(texts), _BATCH)
        ]
        if not parts:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def _find(self, texts: Sequence[bytes], first_row: int) -> tuple[Ints, Ints]:
        """Find in one batch."""
        joined = b"\n".join((b"", *texts, b"\0" * _KEY_BYTES))
        buffer = _LOWER[np.frombuffer(joined, dtype=np.uint8)]
        word = _WORD[buffer]
        edges = np.flatnonzero(word[1:] != word[:-1]) + 1
        starts, ends = edges[0::2], edges[1::2]
        of_a_length = np.flatnonzero(
            (ends - starts >= self._shortest) & (ends - starts <= self._longest)
        )
        starts, ends = starts[of_a_length], ends[of_a_length]
        low, high, long = _keys(buffer, starts, ends)
        entries = self._lookup(low, high)
        if self._near.any:
            fresh = np.flatnonzero((entries < 0) & ~long)
            for start in range(0, len(fresh), _LEARNED):
                some = fresh[start : start + _LEARNED]
                self._learn(low[some], high[some])
                entries[some] = self._lookup(low[some], high[some])
        if long.any():
            self._resolve_long(buffer, starts, ends, long, entries)
        hit = entries > 0
        where = np.flatnonzero(hit)
        counts = self._start[entries[where] + 1] - self._start[entries[where]]
        rules = self._hits[_ranges(self._start[entries[where]], counts)]
        # text i ends before byte ends_of[i]; words come in the order of their texts
        ends_of = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)) + 1)
        before = np.searchsorted(starts[where], ends_of, side="right")
        rows = np.repeat(np.arange(len(texts)) + first_row, np.diff(before, prepend=0))
        return np.repeat(rows, counts), rules

    def _lookup(self, low: Words64, high: Words64) -> Ints:
        """Return the entry of each word: 0 stands for no rule, -1 is not known."""
        slot = self._slot(low, high)
        entries: Ints = self._entry[slot]
        differs = (self._low[slot] != low) | (self._high[slot] != high)
        open_ = np.flatnonzero(differs & (entries >= 0))
        entries[differs] = -1
        while len(open_):
            slot[open_] = (slot[open_] + 1) & self._mask
            here = slot[open_]
            found = self._entry[here]
            same = (self._low[here] == low[open_]) & (self._high[here] == high[open_])
            entries[open_[same]] = found[same]
            open_ = open_[~same & (found >= 0)]
        return entries

    def _slot(self, low: Words64, high: Words64) -> Ints:
        """Return where to look first."""
        mixed = low * _MIX[0] + high * _MIX[1]
        mixed = (mixed ^ (mixed >> np.uint64(32))) * _MIX[2]
        return np.asarray((mixed >> np.uint64(40)).astype(np.int64) & self._mask)

    def _learn(self, low: Words64, high: Words64) -> None:
        """Remember which rules new words stand for."""
        tokens = list(dict.fromkeys(zip(low.tolist(), high.tolist(), strict=True)))
        if self._kept + len(tokens) > _MOST_KEPT:
            self._forget()
        words = [_bytes_of(token) for token in tokens]
        near = self._near.rules([word.decode() for word in words])
        rules = [
            [*self._exact.get(word, ()), *more] for word, more in zip(words, near, strict=True)
        ]
        self._insert(tokens, rules)

    def _resolve_long(
        self, buffer: NDArray[np.uint8], starts: Ints, ends: Ints, long: NDArray[np.bool_],
        entries: Ints,
    ) -> None:  # fmt: skip
        """Look words of more than 16 bytes up one by one; they are rare."""
        for position in np.flatnonzero(long):
            word = buffer[starts[position] : ends[position]].tobytes()
            if word not in self._long:
                if len(self._long) > _MOST_KEPT:
                    self._long.clear()
                rules = [*self._exact.get(word, ()), *self._near.rules([word.decode()])[0]]
                self._long[word] = self._entry_for(rules)
            entries[position] = self._long[word]

    def _forget(self) -> None:
        """Empty the table. Entries keep their numbers, for a batch may hold some of them."""
        room = _MOST_KEPT if self._near.any else len(self._exact)
        # half full at most, so that most words are found where they are looked for first; larger
        # would be slower, for what is looked up at random should fit the processor's cache
        size = 1 << max(6, (2 * room - 1).bit_length())
        self._mask = size - 1
        self._low = np.zeros(size, dtype=np.uint64)
        self._high = np.zeros(size, dtype=np.uint64)
        self._entry = np.full(size, -1, dtype=np.int64)
        self._kept = 0

    def _insert(self, tokens: Sequence[Token], rules: Sequence[Sequence[int]]) -> None:
        """Put words that are not there into the table."""
        low, high = np.array(tokens, dtype=np.uint64).reshape(-1, 2).T
        slots = self._slot(low, high).tolist()
        for token, slot, each in zip(tokens, slots, rules, strict=True):
            while self._entry[slot] >= 0:
                slot = (slot + 1) & self._mask
            self._low[slot], self._high[slot] = token
            self._entry[slot] = self._entry_for(each)
        self._kept += len(tokens)

    def _entry_for(self, rules: Sequence[int]) -> int:
        """Return the number of a combination of rules."""
        combination = tuple(sorted(set(rules)))
        number = self._numbers.get(combination)
        if number is None:
            number = self._numbers[combination] = len(self._numbers)
            self._hits = np.concatenate([self._hits, np.array(combination, dtype=np.int64)])
            self._start = np.append(self._start, len(self._hits))
        return number


def _keys(
    buffer: NDArray[np.uint8], starts: Ints, ends: Ints
) -> tuple[Words64, Words64, NDArray[np.bool_]]:
    """Return each word's bytes as two integers, and which words are too long for that.

    No word holds the byte 0, so that padding with it makes no two words alike.
    """
    eight = np.ndarray((len(buffer) - 7,), dtype="<u8", buffer=buffer, strides=(1,))
    length = ends - starts
    low = eight[starts] & _KEEP[np.minimum(length, 8)]
    high = np.zeros(len(starts), dtype=np.uint64)
    more = np.flatnonzero(length > 8)
    high[more] = eight[starts[more] + 8] & _KEEP[np.minimum(length[more] - 8, 8)]
    return low, high, length > _KEY_BYTES


def _ranges(starts: Ints, counts: Ints) -> Ints:
    """Return the ranges [start, start + count) one after another."""
    before = np.cumsum(counts) - counts
    return np.asarray(np.arange(int(counts.sum())) + np.repeat(starts - before, counts))


def _token_of(word: bytes) -> Token:
    """Return a word's bytes as two integers."""
    padded = word.ljust(_KEY_BYTES, b"\0")
    return int.from_bytes(padded[:8], "little"), int.from_bytes(padded[8:], "little")


def _bytes_of(token: Token) -> bytes:
    """Return the word two integers stand for."""
    return b"".join(half.to_bytes(8, "little") for half in token).rstrip(b"\0")


def rules_by_word(rules: Iterable[tuple[str, int]]) -> Mapping[str, list[int]]:
    """Return the rules of each word."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    for word, rule in rules:
        found[word].append(rule)
    return found
