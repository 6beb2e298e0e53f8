"""Counting pairs of votes, a bit per vote or a vote at a time.

Where functions speak often, an item is a bit: of one row that says who voted, and of a row per
binary digit of the votes. How often two functions voted alike is then a count of ones, 64 items per
instruction. Where they are mostly silent, the pairs of votes that were cast are listed and counted
instead. Integers only: both give the same.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from strategies.labeling.votes import ABSTAIN, LOWEST_BITS, cast_cells, votes_per_item

Words = NDArray[np.uint64]

Counts = NDArray[np.int64]

WORD_BITS = 64
BLOCK_WORDS = 1_016  # ones of a row of bits then fit 16 bits
BLOCK_CELLS = 1 << 20  # words in one block: 8 MB, whatever the number of functions
LISTED_ROWS = 1 << 16  # rows whose votes are listed at once
BLOCK_PAIRS = 1 << 20  # pairs listed at once, about: 8 MB
MOST_JOINT_CELLS = 1 << 20  # of a table of every vote beside every other: 8 MB
# nanoseconds, measured: a word of a pair, its share per digit; a listed pair, vote by vote or in a
# table of pairs of votes; a listed vote
WORD_COST, DIGIT_COST, PAIR_COST, JOINT_COST, VOTE_COST = 1.9, 0.4, 25.0, 6.0, 15.0


class PairCounts(NamedTuple):
    """Counts of votes and of pairs of votes, as in VoteSummary."""

    counts: NDArray[np.int64]
    co_votes: NDArray[np.int64]
    agreements: NDArray[np.int64]


def count_pairs(votes: NDArray[np.int8], classes: int) -> PairCounts:
    """Count votes, and how pairs of functions vote together, the cheaper way.

    Args:
        votes: Checked votes. Shape (n, m).
        classes: Number of classes, k.
    """
    if listing_is_cheaper(votes, classes):
        return count_listed_pairs(votes, classes)
    return count_bits(votes, classes)


class BitLoops(NamedTuple):
    """The work on one block of bits: planes (1 + d, m, words) of who voted, and of d digits.

    All get room to work in, (4, m, words) words: fresh memory for every step would cost more than
    the steps do.

    Attributes:
        pack: Fills the planes of votes (64 * words, m).
        count_votes: Adds to the counts (m, k).
        count_pairs: Adds how often two functions both voted, and how often they differed then:
            two of (m, m), above the diagonal.
    """

    pack: Callable[[NDArray[np.int8], Words, Words], None]
    count_votes: Callable[[Words, Counts, Words], None]
    count_pairs: Callable[[Words, Counts, Counts, Words], None]


def count_bits(
    votes: NDArray[np.int8], classes: int, *, loops: BitLoops | None = None
) -> PairCounts:
    """Count ones of rows of bits; see count_pairs.

    Args:
        votes: Checked votes. Shape (n, m).
        classes: Number of classes, k.
        loops: What does the work; None is the numpy way.
    """
    loops = loops or BitLoops(_pack, _count_votes, _count_pairs)
    functions, digits = votes.shape[1], _digits(classes)
    counts = np.zeros((functions, classes), dtype=np.int64)
    together = np.zeros((functions, functions), dtype=np.int64)
    apart = np.zeros_like(together)
    if votes.size:
        words = _block_words(len(votes), functions * (1 + digits))
        planes = np.empty((1 + digits, functions, words), dtype=np.uint64)
        room = np.empty((4, functions, words), dtype=np.uint64)
        for start in range(0, len(votes), words * WORD_BITS):
            loops.pack(_whole_words(votes[start : start + words * WORD_BITS], words), planes, room)
            loops.count_votes(planes, counts, room)
            loops.count_pairs(planes, together, apart, room)
    same = together - apart
    return PairCounts(counts, together + together.T, same + same.T)


def _block_words(items: int, rows_of_bits: int) -> int:
    """Return how many words to take at a time, so that blocks are about equal."""
    most = max(1, min(BLOCK_WORDS, BLOCK_CELLS // rows_of_bits))
    words = -(-items // WORD_BITS)
    return -(-words // -(-words // most))


def _whole_words(votes: NDArray[np.int8], words: int) -> NDArray[np.int8]:
    """Return votes of 64 * words items; those there are not abstain."""
    if len(votes) == words * WORD_BITS:
        return votes
    whole = np.full((words * WORD_BITS, votes.shape[1]), ABSTAIN, dtype=np.int8)
    whole[: len(votes)] = votes
    return whole


def count_listed_pairs(votes: NDArray[np.int8], classes: int) -> PairCounts:
    """Count by listing the pairs of votes that were cast; see count_pairs."""
    functions = votes.shape[1]
    width = functions * classes
    counts = np.zeros(width, dtype=np.int64)
    in_table = width * width <= MOST_JOINT_CELLS
    joint = np.zeros(width * width if in_table else 0, dtype=np.int64)
    together = np.zeros(functions * functions, dtype=np.int64)
    same = np.zeros_like(together)
    for pairs, cells in _listed_pairs(votes, classes):
        counts += np.bincount(cells, minlength=width)
        if in_table:
            joint += np.bincount(pairs, minlength=len(joint))
            continue
        first, second = np.divmod(pairs, width)
        pair = first // classes * functions + second // classes
        together += np.bincount(pair, minlength=len(together))
        alike = first % classes == second % classes
        same += np.bincount(pair[alike], minlength=len(same))
    if in_table:
        return from_joint(joint.reshape(width, width), counts.reshape(functions, classes))
    together, same = (part.reshape(functions, functions) for part in (together, same))
    return PairCounts(counts.reshape(functions, classes), together + together.T, same + same.T)


def from_joint(joint: NDArray[np.int64], counts: NDArray[np.int64]) -> PairCounts:
    """Return the counts from how often every vote met every vote of a later function.

    Args:
        joint: Shape (m * k, m * k), nothing where the first function is not before the second.
        counts: Shape (m, k).
    """
    table = joint.reshape(*counts.shape, *counts.shape)
    together, same = table.sum(axis=(1, 3)), np.einsum("jvlv->jl", table)
    return PairCounts(counts, together + together.T, same + same.T)


def listing_is_cheaper(
    votes: NDArray[np.int8], classes: int, *, word_cost: float = WORD_COST
) -> bool:
    """Compare what both ways would take, from the number of votes cast."""
    functions = votes.shape[1]
    cast = votes_per_item(votes)
    # as if functions spoke independently; where they speak together there are more pairs
    pairs = cast * cast / 2
    in_table = (functions * classes) ** 2 <= MOST_JOINT_CELLS
    words = functions * functions / 2 / WORD_BITS
    listed = (JOINT_COST if in_table else PAIR_COST) * pairs + VOTE_COST * cast
    return bool(listed < word_cost * (1 + DIGIT_COST * _digits(classes)) * words)


def _listed_pairs(
    votes: NDArray[np.int8], classes: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield the pairs of votes that met on an item, and all votes, in parts.

    A vote is its cell, function * k + vote; a pair of them is first * (m * k) + second.
    """
    for start in range(0, len(votes), LISTED_ROWS):
        block = votes[start : start + LISTED_ROWS]
        row, cells = cast_cells(block, classes)
        per_row = np.bincount(row, minlength=len(block))
        yield from _pairs_in_parts(cells, per_row, width=votes.shape[1] * classes)


def _pairs_in_parts(
    cells: NDArray[np.intp], per_row: NDArray[np.intp], *, width: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield the pairs within rows, about BLOCK_PAIRS at a time however many a row has."""
    ends = np.cumsum(per_row)
    pairs_up_to = np.cumsum(per_row * (per_row - 1) // 2)
    cuts = np.flatnonzero(np.diff(pairs_up_to // BLOCK_PAIRS)) + 1
    for low, high in pairwise([0, *cuts.tolist(), len(per_row)]):
        numbers, last = per_row[low:high], ends[low:high]
        pairs = np.empty((numbers * (numbers - 1) // 2).sum(), dtype=np.intp)
        place = 0
        for number in range(2, int(numbers.max()) + 1):
            # rows with as many votes form a table; its pairs of columns are pairs of votes
            table = cells[last[numbers == number] - number + np.arange(number)[:, None]]
            for first in range(number - 1):
                later = table[first + 1 :]
                part = pairs[place : place + later.size].reshape(later.shape)
                np.add(table[first] * width, later, out=part)
                place += later.size
        yield pairs, cells[last[0] - numbers[0] : last[-1]]


def _digits(classes: int) -> int:
    """Return how many binary digits a vote has."""
    return (classes - 1).bit_length()


def _pack(votes: NDArray[np.int8], planes: Words, room: Words) -> None:
    """Fill the planes; see BitLoops.

    Eight items at once, one from each eighth of the block: a bit of a vote each, beside each other
    in a byte. The votes stay where they are until then, and only an eighth is left to turn from
    rows to columns. What order the items have does not matter.
    """
    eighths = by_eighths(votes)
    packed, bits = room[0].ravel(), room[1].ravel()
    for plane, place in zip(planes, bit_places(len(planes)), strict=True):
        ones = LOWEST_BITS << np.uint64(place)
        packed[:] = 0
        for item, words in enumerate(eighths):
            np.bitwise_and(words, ones, out=bits)
            if item < place:
                np.right_shift(bits, np.uint64(place - item), out=bits)
            elif item > place:
                np.left_shift(bits, np.uint64(item - place), out=bits)
            np.bitwise_or(packed, bits, out=packed)
        plane.view(np.uint8)[:] = packed.view(np.uint8).reshape(-1, votes.shape[1]).T
    np.invert(planes[0], out=planes[0])


def by_eighths(votes: NDArray[np.int8]) -> Words:
    """Return the bytes of each eighth of the rows, 64 of which come in words, as words."""
    return votes.reshape(8, -1).view(np.uint64)


def bit_places(planes: int) -> tuple[int, ...]:
    """Return which bit of a vote a plane holds: the sign, which abstentions have, then digits."""
    return (7, *range(planes - 1))


def _count_votes(planes: Words, counts: Counts, room: Words) -> None:
    """Add to the counts; see BitLoops."""
    who, ones = room[0], room[3].view(np.uint8)
    voted = _ones(planes[0], ones)
    counts[:, 0] += voted
    for vote in range(1, counts.shape[1]):
        who[:] = planes[0]
        for place, digit in enumerate(planes[1:]):
            if vote >> place & 1:
                np.bitwise_and(who, digit, out=who)
            else:
                np.bitwise_or(who, digit, out=who)
                np.bitwise_xor(who, digit, out=who)
        found = _ones(who, ones)
        counts[:, vote] += found
        counts[:, 0] -= found


def _count_pairs(planes: Words, together: Counts, apart: Counts, room: Words) -> None:
    """Add to the pairs; see BitLoops."""
    voted, first, *others = planes
    ones = room[3].view(np.uint8)
    for j in range(len(voted) - 1):
        later = slice(j + 1, None)
        both, differ, digits = room[:3, later]
        np.bitwise_and(voted[later], voted[j], out=both)
        together[j, later] += _ones(both, ones)
        np.bitwise_xor(first[later], first[j], out=differ)
        for digit in others:
            np.bitwise_xor(digit[later], digit[j], out=digits)
            np.bitwise_or(differ, digits, out=differ)
        np.bitwise_and(differ, both, out=differ)
        apart[j, later] += _ones(differ, ones)


def _ones(bits: Words, room: NDArray[np.uint8]) -> Counts:
    """Count the ones along the last axis, of BLOCK_WORDS words at most."""
    rows, words = bits.shape
    ones = room.ravel()[: rows * words].reshape(rows, words)
    np.bitwise_count(bits, out=ones)
    return np.asarray(ones.sum(axis=-1, dtype=np.uint16), dtype=np.int64)
