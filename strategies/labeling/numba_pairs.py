"""Compiled loops that count pairs of votes: the twins of pair_counts, equal to the unit."""

import numba
import numpy as np
from numpy.typing import NDArray

from strategies.labeling.numba_tokens import compile_loop
from strategies.labeling.pair_counts import (
    BitLoops,
    PairCounts,
    Words,
    bit_places,
    by_eighths,
    count_bits,
    listing_is_cheaper,
)
from strategies.labeling.votes import LOWEST_BITS

WORD_COST = 0.2  # nanoseconds a compiled loop takes for a word of a pair


def count_pairs(votes: NDArray[np.int8], classes: int) -> PairCounts:
    """Count votes and pairs of votes; see pair_counts.count_pairs."""
    functions = votes.shape[1]
    if listing_is_cheaper(votes, classes, word_cost=WORD_COST):
        counts = np.zeros((functions, classes), dtype=np.int64)
        together = np.zeros((functions, functions), dtype=np.int64)
        same = np.zeros_like(together)
        _count_pairs(votes, counts, together, same)
        return PairCounts(counts, together + together.T, same + same.T)
    return count_bits(votes, classes, loops=BitLoops(_pack, _count_votes, _count_bit_pairs))


def _pack(votes: NDArray[np.int8], planes: Words, room: Words) -> None:
    """Fill the planes; see BitLoops and pair_counts."""
    eighths, packed = by_eighths(votes), room[0].ravel()
    for plane, place in zip(planes, bit_places(len(planes)), strict=True):
        _pack_bits(eighths, np.uint64(place), packed)
        plane.view(np.uint8)[:] = packed.view(np.uint8).reshape(-1, votes.shape[1]).T
    np.invert(planes[0], out=planes[0])


@numba.njit(inline="always")
def _ones(word: np.uint64) -> np.uint64:
    """Count ones; the compiler knows these lines as one instruction."""
    word -= (word >> np.uint64(1)) & np.uint64(0x5555555555555555)
    twos = np.uint64(0x3333333333333333)
    word = (word & twos) + ((word >> np.uint64(2)) & twos)
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (word * np.uint64(0x0101010101010101)) >> np.uint64(56)


@compile_loop
def _count_pairs(
    votes: NDArray[np.int8],
    counts: NDArray[np.int64],
    together: NDArray[np.int64],
    same: NDArray[np.int64],
) -> None:
    items, functions = votes.shape
    who = np.empty(functions, dtype=np.int64)
    for i in range(items):
        speakers = 0
        for j in range(functions):
            if votes[i, j] >= 0:
                who[speakers] = j
                speakers += 1
        for a in range(speakers):
            j = who[a]
            counts[j, votes[i, j]] += 1
            for b in range(a + 1, speakers):
                together[j, who[b]] += 1
                same[j, who[b]] += votes[i, j] == votes[i, who[b]]


@compile_loop
def _pack_bits(eighths: Words, place: np.uint64, packed: Words) -> None:
    """Put the bit at that place of eight bytes into one byte."""
    one = np.uint64(LOWEST_BITS)
    for w in range(len(packed)):
        word = (eighths[0, w] >> place) & one
        word |= ((eighths[1, w] >> place) & one) << np.uint64(1)
        word |= ((eighths[2, w] >> place) & one) << np.uint64(2)
        word |= ((eighths[3, w] >> place) & one) << np.uint64(3)
        word |= ((eighths[4, w] >> place) & one) << np.uint64(4)
        word |= ((eighths[5, w] >> place) & one) << np.uint64(5)
        word |= ((eighths[6, w] >> place) & one) << np.uint64(6)
        word |= ((eighths[7, w] >> place) & one) << np.uint64(7)
        packed[w] = word


@compile_loop
def _count_votes(planes: Words, counts: NDArray[np.int64], room: Words) -> None:
    """Add to the counts; see BitLoops."""
    words = planes.shape[2]
    # a plane at a time: loops over words without a choice in them become vector instructions
    who = room[0, 0]
    for j in range(planes.shape[1]):
        for vote in range(counts.shape[1]):
            for w in range(words):
                who[w] = planes[0, j, w]
            for d in range(1, len(planes)):
                flip = np.uint64(0) if (vote >> (d - 1)) & 1 else ~np.uint64(0)
                for w in range(words):
                    who[w] &= planes[d, j, w] ^ flip
            total = np.uint64(0)
            for w in range(words):
                total += _ones(who[w])
            counts[j, vote] += np.int64(total)


@compile_loop
def _count_bit_pairs(
    planes: Words, together: NDArray[np.int64], apart: NDArray[np.int64], room: Words
) -> None:
    """Add to the pairs; see BitLoops."""
    digits, functions, words = planes.shape
    differ = room[0, 0]
    for j in range(functions - 1):
        for other in range(j + 1, functions):
            for w in range(words):
                differ[w] = planes[1, j, w] ^ planes[1, other, w]
            for d in range(2, digits):
                for w in range(words):
                    differ[w] |= planes[d, j, w] ^ planes[d, other, w]
            met, different = np.uint64(0), np.uint64(0)
            for w in range(words):
                both = planes[0, j, w] & planes[0, other, w]
                met += _ones(both)
                different += _ones(both & differ[w])
            together[j, other] += np.int64(met)
            apart[j, other] += np.int64(different)
