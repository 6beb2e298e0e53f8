"""Counting pairs of votes, a bit per vote.

Each vote of each function becomes a row of bits, an item per bit; how often two of them meet is the
number of ones in their conjunction. That is 64 items per instruction, and integers only.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

WORD_BITS = 64
BLOCK_WORDS = 512
BLOCK_CELLS = 1 << 20  # words in one block: 8 MB, whatever the number of functions


class PairCounts(NamedTuple):
    """Counts of votes and of pairs of votes, as in VoteSummary."""

    counts: NDArray[np.int64]
    co_votes: NDArray[np.int64]
    agreements: NDArray[np.int64]
    pair_classes: NDArray[np.int64] | None


def count_pairs(votes: NDArray[np.int8], classes: int, *, per_class: bool) -> PairCounts:
    """Count votes, and how pairs of functions vote together.

    Args:
        votes: Checked votes. Shape (n, m).
        classes: Number of classes, k.
        per_class: Whether to count the classes of the votes of each pair too.
    """
    functions = votes.shape[1]
    counts = np.zeros((functions, classes), dtype=np.int64)
    together = np.zeros((functions, functions), dtype=np.int64)
    same = np.zeros_like(together)
    by_class = np.zeros((functions, functions, classes), dtype=np.int64) if per_class else None
    for bits in _bit_rows(votes, classes):
        voted = np.bitwise_or.reduce(bits, axis=1)
        used = np.asarray(bits.any(axis=2))
        met = _co_votes(voted)
        together += met
        for j in range(functions):
            classes_used = np.flatnonzero(used[j])
            for v in classes_used:
                counts[j, v] += _ones(bits[j, v])
                others = j + 1 + np.flatnonzero(used[j + 1 :, v])
                same[j, others] += _ones(bits[j, v] & bits[others, v])
            if by_class is None or not len(classes_used):
                continue
            rest = met[j].copy()
            for v in classes_used[:-1]:
                part = _ones(bits[j, v] & voted)
                by_class[j, :, v] += part
                rest -= part
            # the last class is what the others leave: one-class functions cost nothing here
            by_class[j, :, classes_used[-1]] += rest
    if by_class is not None:
        diagonal = np.arange(functions)
        by_class[diagonal, diagonal] = 0
    return PairCounts(counts, together, same + same.T, by_class)


def _co_votes(voted: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Count how often two functions both voted; diagonal zero. Shape (m, m)."""
    met = np.zeros((len(voted), len(voted)), dtype=np.int64)
    for j in range(len(voted)):
        met[j, j + 1 :] = _ones(voted[j] & voted[j + 1 :])
    return met + met.T


def _ones(bits: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Count the ones along the last axis."""
    return np.asarray(np.bitwise_count(bits).sum(axis=-1, dtype=np.int64))


def _bit_rows(votes: NDArray[np.int8], classes: int) -> Iterator[NDArray[np.uint64]]:
    """Yield, block by block, a bit per item for each vote of each function: (m, k, words)."""
    functions = votes.shape[1]
    words = max(1, min(BLOCK_WORDS, BLOCK_CELLS // max(functions * classes, 1)))
    for start in range(0, len(votes), words * WORD_BITS):
        columns = np.ascontiguousarray(votes[start : start + words * WORD_BITS].T)
        length = -(-columns.shape[1] // WORD_BITS) * (WORD_BITS // 8)
        packed = np.zeros((functions, classes, length), dtype=np.uint8)
        for vote in range(classes):
            row_bytes = np.packbits(columns == vote, axis=1)
            packed[:, vote, : row_bytes.shape[1]] = row_bytes
        yield packed.view(np.uint64)
