"""Compiled loops that lay votes out and look tokens up: the twins of layouts, equal to the bit.

What a token says stands in a row of a table, of one value or of fours: four sums at a time stay in
registers, and the compiler makes one instruction of them.
"""

from collections.abc import Iterator
from functools import partial

import numba
import numpy as np
from numpy.typing import NDArray

from strategies.labeling.incidence import Incidence
from strategies.labeling.layouts import (
    SEVEN_BITS,
    Block,
    LayoutLoops,
    PatternBlock,
    SparseBlock,
    Tokens,
    eight_columns,
    token_type,
)
from strategies.labeling.votes import BLOCK_ROWS, LOWEST_BITS

Floats = NDArray[np.float64]

# fast mathematics would reorder sums and fuse products into them: other bits on other machines
compile_loop = numba.njit(cache=True, nogil=True, fastmath=False, error_model="numpy")


def lay_out(
    votes: NDArray[np.int8], classes: int, *, pattern_functions: int | None = None
) -> Incidence:
    """Lay out checked votes; see Incidence.of."""
    functions = votes.shape[1]
    # the loop that lists votes writes each before it knows whether it is one
    most = min(len(votes), BLOCK_ROWS) * functions + 1
    room = np.empty(most, dtype=token_type(functions * classes))
    loops = LayoutLoops(partial(_list_votes, room), _number_patterns)
    return Incidence.of(votes, classes, pattern_functions=pattern_functions, loops=loops)


def by_token(values: Floats) -> Floats:
    """Return values (c, tokens) with a row per token; of more than one, fours, for the loops."""
    values_per_token, tokens = values.shape
    width = values_per_token if values_per_token == 1 else -(-values_per_token // 4) * 4
    table = np.zeros((tokens, width))
    table[:, :values_per_token] = values.T
    return table


def gathered(
    votes: Incidence, table: Floats, before: Floats
) -> Iterator[tuple[Block, NDArray[np.float64]]]:
    """Yield each block, and what its tokens say together with what was before, in shared room.

    Args:
        votes: What to go through.
        table: What each token says, from by_token. Shape (tokens, width).
        before: Shape (c,), c at most width.

    Yields:
        The sums (width, rows); a last row is spare where a single value was asked for.
    """
    width = table.shape[1]
    start = np.zeros(width)
    start[: len(before)] = before
    height = max(width, len(before) + 1)
    room = np.empty(height * BLOCK_ROWS)
    for block in votes.blocks:
        # contiguous for any number of rows: what is not is a type of its own to the compiler
        sums = room[: height * len(block.voted)].reshape(height, -1)
        if isinstance(block, PatternBlock):
            _gather_patterns(block.codes, block.starts, table, start, sums)
        elif isinstance(block, SparseBlock):
            _gather_votes(block.ends, block.cells, table, start, sums)
        yield block, sums


def scatter(block: Block, shares: Floats, tally: Floats) -> None:
    """Add each row's shares (c, rows) to its tokens in a tally (tokens, width)."""
    if isinstance(block, PatternBlock):
        _scatter_patterns(block.codes, block.starts, shares, tally)
    elif isinstance(block, SparseBlock):
        _scatter_votes(block.ends, block.cells, shares, tally)


def _list_votes(
    room: Tokens, votes: NDArray[np.int8], counts: NDArray[np.int64]
) -> tuple[NDArray[np.int32], Tokens]:
    """List votes; see layouts.LayoutLoops."""
    rows, functions = votes.shape
    ends = np.empty(rows, dtype=np.int32)
    _fill_votes(votes, len(counts) // max(functions, 1), ends, room)
    cells = room[: ends[-1] if rows else 0].copy()
    _count(cells, counts)
    return ends, cells


def _number_patterns(
    votes: NDArray[np.int8], base: int, size: int, counts: NDArray[np.int64]
) -> NDArray[np.uint16]:
    """Number patterns; see layouts.LayoutLoops."""
    rows, functions = votes.shape
    codes = np.empty((-(-functions // size), rows), dtype=np.uint16)
    start = 0
    for code, first in zip(codes, range(0, functions, size), strict=True):
        width = min(size, functions - first)
        _fill_patterns(eight_columns(votes, first), np.uint64(base), np.uint64(width), code)
        _count(code, counts[start : start + base**width])
        start += base**width
    return codes


@compile_loop
def _fill_votes(
    votes: NDArray[np.int8], classes: int, ends: NDArray[np.int32], cells: Tokens
) -> None:
    """List the votes, and where each row's end."""
    place = np.uint32(0)
    for i in range(votes.shape[0]):
        row = votes[i]
        cell = np.int32(0)
        for j in range(votes.shape[1]):
            vote = np.int32(row[j])
            cells[place] = cell + vote
            place += np.uint32(vote >= 0)
            cell += np.int32(classes)
        ends[i] = place


@compile_loop
def _fill_patterns(
    words: NDArray[np.uint64], base: np.uint64, width: np.uint64, codes: NDArray[np.uint16]
) -> None:
    """Number the patterns of the first functions of each word; see layouts."""
    seven, one = np.uint64(SEVEN_BITS), np.uint64(LOWEST_BITS)
    twos, fours = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0000FFFF0000FFFF)
    kept = seven >> (np.uint64(64) - np.uint64(8) * width)
    square = base * base
    for i in range(len(words)):
        word = ((words[i] & seven) + one) & kept
        word = (word & twos) + ((word >> np.uint64(8)) & twos) * base
        word = (word & fours) + ((word >> np.uint64(16)) & fours) * square
        codes[i] = (word & np.uint64(0xFFFFFFFF)) + (word >> np.uint64(32)) * (square * square)


@compile_loop
def _count(tokens: Tokens, counts: NDArray[np.int64]) -> None:
    """Count tokens; by turns in four tables, for the same one often comes twice in a row."""
    tables = np.zeros((4, len(counts)), dtype=np.int64)
    fours = len(tokens) // 4 * 4
    for i in range(0, fours, 4):
        tables[0, tokens[i]] += 1
        tables[1, tokens[i + 1]] += 1
        tables[2, tokens[i + 2]] += 1
        tables[3, tokens[i + 3]] += 1
    for i in range(fours, len(tokens)):
        counts[tokens[i]] += 1
    for table in tables:
        counts += table


@compile_loop
def _gather_patterns(
    codes: NDArray[np.uint16],
    starts: NDArray[np.int64],
    table: Floats,
    before: Floats,
    out: Floats,
) -> None:
    """Add what each item's tokens say to what was before; see gathered."""
    for c in range(table.shape[1]):
        sums = out[c]
        sums[:] = before[c]
        for g in range(len(codes)):
            said = table[starts[g] :, c]
            for i in range(codes.shape[1]):
                sums[i] += said[codes[g, i]]


@compile_loop
def _gather_votes(
    ends: NDArray[np.int32], cells: Tokens, table: Floats, before: Floats, out: Floats
) -> None:
    """Add what each item's tokens say to what was before; see gathered."""
    if table.shape[1] == 1:
        start = 0
        for i in range(len(ends)):
            total = before[0]
            for p in range(start, ends[i]):
                total += table[cells[p], 0]
            out[0, i] = total
            start = ends[i]
        return
    for c in range(0, table.shape[1], 4):
        start = 0
        for i in range(len(ends)):
            one, two, three, four = before[c], before[c + 1], before[c + 2], before[c + 3]
            for p in range(start, ends[i]):
                said = table[cells[p]]
                one += said[c]
                two += said[c + 1]
                three += said[c + 2]
                four += said[c + 3]
            out[c, i], out[c + 1, i], out[c + 2, i], out[c + 3, i] = one, two, three, four
            start = ends[i]


@compile_loop
def _scatter_patterns(
    codes: NDArray[np.uint16], starts: NDArray[np.int64], shares: Floats, tally: Floats
) -> None:
    """Add each item's shares (c, rows) to its tokens in the tally (tokens, c)."""
    for c in range(tally.shape[1]):
        for g in range(len(codes)):
            sums = tally[starts[g] :, c]
            for i in range(codes.shape[1]):
                sums[codes[g, i]] += shares[c, i]


@compile_loop
def _scatter_votes(ends: NDArray[np.int32], cells: Tokens, shares: Floats, tally: Floats) -> None:
    """Add each item's shares (c, rows) to its tokens in the tally (tokens, c)."""
    if tally.shape[1] == 1:
        start = 0
        for i in range(len(ends)):
            for p in range(start, ends[i]):
                tally[cells[p], 0] += shares[0, i]
            start = ends[i]
        return
    for c in range(0, tally.shape[1], 4):
        start = 0
        for i in range(len(ends)):
            one, two = shares[c, i], shares[c + 1, i]
            three, four = shares[c + 2, i], shares[c + 3, i]
            for p in range(start, ends[i]):
                sums = tally[cells[p]]
                sums[c] += one
                sums[c + 1] += two
                sums[c + 2] += three
                sums[c + 3] += four
            start = ends[i]
