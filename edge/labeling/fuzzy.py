"""Words within one or two slips of the pen of others.

The distance is optimal string alignment: a letter left out, added or changed, or two neighbours
swapped, each costs one, and no part is edited twice. Source: Boytsov 2011, "Indexing methods for
approximate dictionary searching", ACM JEA 16, section 2.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from edge.labeling.words import folded_word

# a word as its code points, padded with 0. Shape (n, longest)
Codes = NDArray[np.uint32]
Ints = NDArray[np.int64]

_BYTES_A_LETTER = 4  # at most, in UTF-8
_NO_WORD = 1 << 30
_COMPARED = 1 << 12  # pairs at a time


class NearWords:
    """Words to be found even where they are misspelled.

    >>> near = NearWords([("winner", 1, True, 4), ("congratulations", 2, False, 7)])
    >>> near.rules(["winer", "inner", "congratulations", "congartulatons", "nothing"])
    [[4], [4], [], [7], []]
    """

    def __init__(self, words: Iterable[tuple[str, int, bool, int]]) -> None:
        """Prepare the words: (word, largest distance, whether the word itself counts, rule)."""
        listed = [*words]
        self._codes = _codes([folded_word(word) for word, *_ in listed])
        self._length = (self._codes > 0).sum(axis=1)
        self._most = np.array([most for _, most, *_ in listed], dtype=np.int64)
        self._least = np.array([0 if exact else 1 for *_, exact, _ in listed], dtype=np.int64)
        self._rule = [rule for *_, rule in listed]
        self._bits = (_letters(self._codes), _pairs(self._codes))

    @property
    def any(self) -> bool:
        """Whether there is anything to be found."""
        return bool(self._rule)

    @property
    def shortest(self) -> int:
        """The fewest bytes a word that is found may have."""
        return int((self._length - self._most).min()) if self.any else _NO_WORD

    @property
    def longest(self) -> int:
        """The most bytes a word that is found may have."""
        return _BYTES_A_LETTER * int((self._length + self._most).max()) if self.any else 0

    def rules(self, tokens: Sequence[str]) -> list[list[int]]:
        """Return, for each token, the rules whose words it is near."""
        found: list[list[int]] = [[] for _ in tokens]
        if not tokens or not self.any:
            return found
        codes = _codes(tokens)
        i, j = self._candidates(codes)
        for start in range(0, len(i), _COMPARED):
            some = slice(start, start + _COMPARED)
            distance = edit_distances(codes[i[some]], self._codes[j[some]], int(self._most.max()))
            near = (distance <= self._most[j[some]]) & (distance >= self._least[j[some]])
            for token, word in zip(i[some][near].tolist(), j[some][near].tolist(), strict=True):
                found[token].append(self._rule[word])
        return found

    def _candidates(self, tokens: Codes) -> tuple[Ints, Ints]:
        """Return the pairs of token and word that may be near, among them all that are."""
        length = (tokens > 0).sum(axis=1)
        i, j = np.nonzero(np.abs(length[:, None] - self._length) <= self._most)
        # a slip takes at most one letter away and adds at most one; of pairs of neighbours at
        # most three, which is what a swap does
        for bits, mine, slack in zip((_letters, _pairs), self._bits, (1, 3), strict=True):
            one, other, most = bits(tokens)[i], mine[j], slack * self._most[j]
            near = np.bitwise_count(one & ~other) <= most
            near &= np.bitwise_count(~one & other) <= most
            i, j = i[near], j[near]
        return i, j


def edit_distances(ones: Codes, others: Codes, most: int) -> Ints:
    """Return the optimal string alignment distance of each pair of words. Shape (n,).

    Only cells within `most` of the diagonal are computed; a distance above `most` is not exact.

    Args:
        ones: n words.
        others: n words, one for each of them.
        most: The largest distance that matters.

    >>> edit_distances(_codes(["teh", "abc", "same"]), _codes(["the", "xyz", "same"]), 1).tolist()
    [1, 2, 0]
    """
    lengths = ((ones > 0).sum(axis=1), (others > 0).sum(axis=1))
    a, b = np.ascontiguousarray(ones.T), np.ascontiguousarray(others.T)
    rows, columns, n = len(a), len(b), len(ones)
    far = most + 1
    cost = np.full((rows + 1, columns + 1, n), far, dtype=np.int8)
    for k in range(far):
        cost[k : k + 1, 0] = cost[0, k : k + 1] = k
    for i in range(1, rows + 1):
        for j in range(max(1, i - most), min(columns, i + most) + 1):
            here = cost[i - 1, j - 1] + (a[i - 1] != b[j - 1])
            np.minimum(here, cost[i - 1, j] + 1, out=here)
            np.minimum(here, cost[i, j - 1] + 1, out=here)
            if i > 1 and j > 1:
                swapped = (a[i - 1] == b[j - 2]) & (a[i - 2] == b[j - 1])
                here = np.where(swapped, np.minimum(here, cost[i - 2, j - 2] + 1), here)
            cost[i, j] = np.minimum(here, far)
    return np.asarray(cost[lengths[0], lengths[1], np.arange(n)], dtype=np.int64)


def _codes(words: Sequence[str]) -> Codes:
    """Return words as code points; no word holds the code point 0."""
    width = max(map(len, words), default=0) or 1
    # numpy keeps a text as its code points, padded with 0
    fixed = np.array(words, dtype=f"<U{width}")
    return fixed.view("<u4").reshape(len(words), width)


def _letters(words: Codes) -> NDArray[np.uint64]:
    """Return which letters a word holds, as bits; what shares a bit only lets more through."""
    return _bits(words, words > 0)


def _pairs(words: Codes) -> NDArray[np.uint64]:
    """Return which pairs of neighbouring letters a word holds, as bits."""
    return _bits(words[:, :-1] * np.uint32(31) + words[:, 1:], words[:, 1:] > 0)


def _bits(values: Codes, there: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Return one bit for each value that is there. Shape (n,)."""
    one = there.astype(np.uint64) << (values & np.uint32(63)).astype(np.uint64)
    return np.asarray(np.bitwise_or.reduce(one, axis=1), dtype=np.uint64)
