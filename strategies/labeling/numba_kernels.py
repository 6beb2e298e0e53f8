"""Compiled loops over votes: the numpy kernels' twins, equal to the bit.

Equal because both do the same IEEE 754 operations on the same numbers in the same order, or sums of
whole numbers, whose order does not matter. Nothing here may be compiled with fast mathematics, nor
fuse a product into a sum.
"""

from collections.abc import Sequence

import numba
import numpy as np
from numpy.typing import NDArray

from strategies.labeling import exponential
from strategies.labeling.evidence import (
    SHARE_UNIT,
    UNIFORM_SHARE,
    Evidence,
    PosteriorSums,
    from_cumulative,
)
from strategies.labeling.incidence import Incidence
from strategies.labeling.pair_counts import (
    BitLoops,
    PairCounts,
    Words,
    count_bits,
    listing_is_cheaper,
)

Floats = NDArray[np.float64]
Cells = NDArray[np.intp]

_UNIT, _MOST, _PER_STEP = exponential.UNIT, exponential.MOST, 1 / exponential.STEP
_LINEAR, _SQUARE, _CUBIC = exponential.LINEAR, exponential.SQUARE, exponential.CUBIC
_EVEN = UNIFORM_SHARE
_SHARE = float(SHARE_UNIT)

WORD_COST = 0.2  # nanoseconds a compiled loop takes for a word of a pair
_compile = numba.njit(cache=True, nogil=True, fastmath=False, error_model="numpy")


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


def posterior_sums(evidence: Evidence, votes: Incidence) -> PosteriorSums:
    """Return what one exchange sums; see evidence.posterior_sums."""
    leads = evidence.classes - 1
    tables = votes.layout.spread(evidence.leads)
    said = _by_token(tables)
    sums, up_to = np.zeros_like(said), np.zeros(leads)
    for block in votes.blocks:
        ends, tokens = block.tokens(tables)
        logits = np.zeros((evidence.classes, len(block.voted)))
        _gather(ends, tokens, said, logits)
        _to_shares(logits, evidence.prior_leads.ravel(), exponential.table())
        _scatter(ends, tokens, block.voted, logits[:-1], sums, up_to)
    tally = votes.layout.tally(leads)
    start = 0
    for held in tally:
        held += sums[start : start + held.shape[1]].T
        start += held.shape[1]
    items = sum(int(np.count_nonzero(block.voted)) for block in votes.blocks)
    return from_cumulative(votes.layout.collect(tally), up_to, votes.counts, items)


def probabilities(evidence: Evidence, votes: Incidence, *, prior: Floats, damping: float) -> Floats:
    """Return the class probabilities of each row; see evidence.probabilities."""
    tables = votes.layout.spread(evidence.leads_and_voices)
    said = _by_token(tables)
    before = evidence.prior_leads.ravel()
    out = np.empty((votes.items, evidence.classes))
    start = 0
    for block in votes.blocks:
        ends, tokens = block.tokens(tables)
        logits = np.zeros((evidence.classes, len(block.voted)))
        _gather(ends, tokens, said, logits)
        rows = out[start : start + len(block.voted)]
        _to_probabilities(logits, before, damping, exponential.table(), rows)
        rows[~block.voted] = prior
        start += len(block.voted)
    return out


def _by_token(tables: Sequence[Floats]) -> Floats:
    """Return the tables one below the other, what a token says in a row."""
    return np.ascontiguousarray(np.concatenate(tables, axis=1).T)


@numba.njit(inline="always")
def _ones(word: np.uint64) -> np.uint64:
    """Count ones; the compiler knows these lines as one instruction."""
    word -= (word >> np.uint64(1)) & np.uint64(0x5555555555555555)
    twos = np.uint64(0x3333333333333333)
    word = (word & twos) + ((word >> np.uint64(2)) & twos)
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (word * np.uint64(0x0101010101010101)) >> np.uint64(56)


@_compile
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


@_compile
def _pack(votes: NDArray[np.int8], planes: Words) -> None:
    """Fill the planes; see BitLoops."""
    items, functions = votes.shape
    word = np.empty((len(planes), functions), dtype=np.uint64)
    for w in range(planes.shape[2]):
        word[:] = 0
        for bit in range(min(64, items - 64 * w)):
            shift = np.uint64(bit)
            row = votes[64 * w + bit]
            for j in range(functions):
                word[0, j] |= np.uint64(row[j] >= 0) << shift
            for d in range(1, len(planes)):
                for j in range(functions):
                    word[d, j] |= np.uint64((row[j] >> (d - 1)) & 1) << shift
        planes[:, :, w] = word


@_compile
def _count_votes(planes: Words, counts: NDArray[np.int64]) -> None:
    """Add to the counts; see BitLoops."""
    words = planes.shape[2]
    # a plane at a time: loops over words without a choice in them become vector instructions
    who = np.empty(words, dtype=np.uint64)
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


@_compile
def _count_bit_pairs(planes: Words, together: NDArray[np.int64], apart: NDArray[np.int64]) -> None:
    """Add to the pairs; see BitLoops."""
    digits, functions, words = planes.shape
    differ = np.empty(words, dtype=np.uint64)
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


@_compile
def _gather(ends: Cells, tokens: Cells, said: Floats, out: Floats) -> None:
    """Add what each item's tokens say: said (tokens, c) to the first c rows of out (k, rows)."""
    start = 0
    for i in range(len(ends)):
        for place in range(start, ends[i]):
            token = tokens[place]
            for c in range(said.shape[1]):
                out[c, i] += said[token, c]
        start = ends[i]


@_compile
def _scatter(
    ends: Cells,
    tokens: Cells,
    voted: NDArray[np.bool_],
    shares: Floats,
    sums: Floats,
    up_to: Floats,
) -> None:
    """Add each item's shares (c, rows) to the sums (tokens, c) of its tokens."""
    start = 0
    for i in range(len(ends)):
        for place in range(start, ends[i]):
            token = tokens[place]
            for c in range(len(shares)):
                sums[token, c] += shares[c, i]
        start = ends[i]
        if voted[i]:
            for c in range(len(shares)):
                up_to[c] += shares[c, i]


@_compile
def _to_odds(logits: Floats, table: Floats) -> None:
    """Turn whole logits (k, rows) into odds against the likeliest; see exponential."""
    classes, rows = logits.shape
    top = logits[0].copy()
    for c in range(1, classes):
        for i in range(rows):
            top[i] = max(top[i], logits[c, i])
    for c in range(classes):
        for i in range(rows):
            steps = min(top[i] - logits[c, i], _MOST) * _PER_STEP
            whole = np.floor(steps)
            rest = steps - whole
            value = rest * _CUBIC
            value += _SQUARE
            value *= rest
            value -= _LINEAR
            value *= rest
            value += 1.0
            logits[c, i] = value * table[np.int64(whole)]


@_compile
def _to_shares(logits: Floats, prior: Floats, table: Floats) -> None:
    """Turn leads (k, rows), the last zero, into shares; see evidence.cumulative_shares."""
    classes, rows = logits.shape
    for c in range(classes - 1):
        for i in range(rows):
            logits[c, i] += prior[c]
    _to_odds(logits, table)
    for c in range(1, classes):
        for i in range(rows):
            logits[c, i] += logits[c - 1, i]
    for i in range(rows):
        logits[classes - 1, i] = _SHARE / logits[classes - 1, i]
    for c in range(classes - 1):
        for i in range(rows):
            logits[c, i] = np.floor(logits[c, i] * logits[classes - 1, i] + 0.5)


@_compile
def _to_probabilities(
    logits: Floats, before: Floats, damping: float, table: Floats, out: Floats
) -> None:
    """Turn leads, and voices in the last row, into probabilities; see evidence.probabilities."""
    classes, rows = logits.shape
    for i in range(rows):
        voices = logits[classes - 1, i]
        scale = 1 / (1 + damping * max(voices / _UNIT - 1, 0.0))
        logits[classes - 1, i] = 0.0
        for c in range(classes - 1):
            logits[c, i] = np.rint((logits[c, i] + before[c]) * scale)
    _to_odds(logits, table)
    for i in range(rows):
        total = logits[0, i]
        for c in range(1, classes):
            total += logits[c, i]
        for c in range(classes):
            out[i, c] = (1 - _EVEN) * (logits[c, i] / total) + _EVEN / classes
