"""Two layouts of a vote matrix as tokens, and what looking the tokens up in a table gives.

X is the one-hot matrix of the votes, a row per item and a column per function and class; it is
never formed.

- sparse: a token per vote that was cast;
- patterns: functions in small groups, and per item and group the number of the pattern of votes.
  One token then stands for several votes, cast or not.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from strategies.labeling.votes import LOWEST_BITS, cast_cells

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Tokens = NDArray[np.integer]

SEVEN_BITS = np.uint64(0x7F7F7F7F7F7F7F7F)
JOINING = (
    (8, np.uint64(0x00FF00FF00FF00FF)),
    (16, np.uint64(0x0000FFFF0000FFFF)),
    (32, np.uint64(0x00000000FFFFFFFF)),
)


class Block(Protocol):
    """Some items of a vote matrix."""

    @property
    def voted(self) -> NDArray[np.bool_]:
        """Which items have a vote. Shape (rows,)."""
        ...

    def gather(self, table: Floats) -> Floats:
        """Return X times the values of a table (c, tokens): (c, rows)."""
        ...

    def scatter(self, weights: Floats, tally: Floats) -> None:
        """Add X transposed times weights (c, rows) to a tally (c, tokens)."""
        ...


class LayoutLoops(NamedTuple):
    """The work of laying out a block of votes (rows, m); both count the tokens, too.

    Attributes:
        list_votes: Of the votes, and the counts (m * k,), both in: where each item's tokens end,
            and the tokens, which are function * k + vote.
        number_patterns: Of the votes, functions per group, the counts (tokens,): the number of the
            pattern per group and item, (groups, rows).
    """

    list_votes: Callable[[NDArray[np.int8], Counts], tuple[NDArray[np.int32], Tokens]]
    number_patterns: Callable[[NDArray[np.int8], int, int, Counts], NDArray[np.uint16]]


class Layout(Protocol):
    """How values per vote are spread for blocks to look up, and tallies collected from them."""

    @property
    def tokens(self) -> int:
        """How many tokens there are."""
        ...

    def block(self, votes: NDArray[np.int8], loops: LayoutLoops, counts: Counts) -> Block:
        """Lay out some rows, and count their tokens."""
        ...

    def spread(self, values: Floats) -> Floats:
        """Return values (c, m * k) as a table (c, tokens)."""
        ...

    def collect(self, tally: Floats) -> Floats:
        """Return a tally (c, tokens) as sums per vote: (c, m * k)."""
        ...


class SparseBlock(NamedTuple):
    """The votes of some items, by item. See Sparse."""

    ends: NDArray[np.int32]
    cells: Tokens
    voted: NDArray[np.bool_]

    @property
    def row(self) -> NDArray[np.intp]:
        """Which item each vote is about. Shape (votes,)."""
        return np.repeat(np.arange(len(self.ends)), np.diff(self.ends, prepend=0))

    def gather(self, table: Floats) -> Floats:
        """Return X times the values of a table."""
        row, cells = self.row, self.cells.astype(np.intp)
        rows = len(self.voted)
        sums = [np.bincount(row, weights=said.take(cells), minlength=rows) for said in table]
        return np.asarray(sums, dtype=np.float64).reshape(len(table), rows)

    def scatter(self, weights: Floats, tally: Floats) -> None:
        """Add X transposed times weights."""
        row, cells = self.row, self.cells.astype(np.intp)
        for sums, weight in zip(tally, weights, strict=True):
            sums += np.bincount(cells, weights=weight.take(row), minlength=len(sums))


class Sparse(NamedTuple):
    """A list of the votes that were cast: row, and function * k + vote."""

    functions: int
    classes: int

    @property
    def tokens(self) -> int:
        """One per function and class."""
        return self.functions * self.classes

    def block(self, votes: NDArray[np.int8], loops: LayoutLoops, counts: Counts) -> SparseBlock:
        """Lay out some rows."""
        ends, cells = loops.list_votes(votes, counts)
        return SparseBlock(ends=ends, cells=cells, voted=np.diff(ends, prepend=0) > 0)

    def spread(self, values: Floats) -> Floats:
        """Return the values as they are."""
        return np.ascontiguousarray(values)

    def collect(self, tally: Floats) -> Floats:
        """Return the tally as it is."""
        return tally


class PatternBlock(NamedTuple):
    """The patterns of some items; the tokens of a group start where its first begins."""

    codes: NDArray[np.uint16]
    starts: NDArray[np.int64]
    voted: NDArray[np.bool_]

    def gather(self, table: Floats) -> Floats:
        """Return X times the values of a table."""
        out = np.zeros((len(table), len(self.voted)))
        for code, start in zip(self.codes, self.starts, strict=True):
            tokens = code + start
            for sums, said in zip(out, table, strict=True):
                sums += said.take(tokens)
        return out

    def scatter(self, weights: Floats, tally: Floats) -> None:
        """Add X transposed times weights."""
        for code, start in zip(self.codes, self.starts, strict=True):
            tokens = code.astype(np.intp)
            for sums, weight in zip(tally, weights, strict=True):
                cast = np.bincount(tokens, weights=weight)
                sums[start : start + len(cast)] += cast


class Patterns(NamedTuple):
    """Functions in groups; a pattern's digits to the base k + 1 are vote + 1, first function last.

    Attributes:
        functions: Number of labeling functions, m.
        classes: Number of classes, k.
        size: How many functions a group has, in order; the last may have fewer.
    """

    functions: int
    classes: int
    size: int

    @property
    def groups(self) -> list[range]:
        """Positions of the functions of each group."""
        starts = range(0, self.functions, self.size)
        return [range(start, min(start + self.size, self.functions)) for start in starts]

    @property
    def bounds(self) -> NDArray[np.int64]:
        """Where the tokens of each group start, and where the last end. Shape (groups + 1,)."""
        sizes = [(self.classes + 1) ** len(group) for group in self.groups]
        return np.cumsum([0, *sizes], dtype=np.int64)

    @property
    def tokens(self) -> int:
        """One per group and pattern."""
        return int(self.bounds[-1])

    def block(self, votes: NDArray[np.int8], loops: LayoutLoops, counts: Counts) -> PatternBlock:
        """Lay out some rows."""
        codes = loops.number_patterns(votes, self.classes + 1, self.size, counts)
        return PatternBlock(
            codes=codes, starts=self.bounds[:-1], voted=np.asarray(codes.any(axis=0))
        )

    def spread(self, values: Floats) -> Floats:
        """Return per group and pattern the sum of what its votes say."""
        said = values.reshape(len(values), -1, self.classes)
        silence = np.zeros((len(values), 1))
        tables = []
        for group in self.groups:
            table = silence
            for function in reversed(group):
                digit = np.concatenate([silence, said[:, function]], axis=1)
                table = (table[:, :, None] + digit[:, None, :]).reshape(len(values), -1)
            tables.append(table)
        return np.concatenate(tables, axis=1)

    def collect(self, tally: Floats) -> Floats:
        """Return the sums of all patterns that hold each vote."""
        columns = []
        for start, group in zip(self.bounds, self.groups, strict=False):  # one bound over
            base, width = self.classes + 1, len(group)
            digits = tally[:, start : start + base**width].reshape(len(tally), *[base] * width)
            axes = range(1, 1 + width)
            for position in range(width):
                here = width - position
                others = tuple(axis for axis in axes if axis != here)
                columns.append(digits.sum(axis=others)[:, 1:])
        return np.concatenate(columns, axis=1)


def token_type(tokens: int) -> type[np.uint16] | type[np.int32]:
    """Return the shortest integers that number so many tokens."""
    return np.uint16 if tokens <= 1 << 16 else np.int32


def list_votes(votes: NDArray[np.int8], counts: Counts) -> tuple[NDArray[np.int32], Tokens]:
    """List votes; see LayoutLoops."""
    rows, functions = votes.shape
    row, cells = cast_cells(votes, len(counts) // max(functions, 1))
    counts += np.bincount(cells, minlength=len(counts))
    ends = np.cumsum(np.bincount(row, minlength=rows), dtype=np.int32)
    return ends, cells.astype(token_type(len(counts)))


def number_patterns(
    votes: NDArray[np.int8], base: int, size: int, counts: Counts
) -> NDArray[np.uint16]:
    """Number patterns; see LayoutLoops.

    Eight votes to a word: the bytes become digits, then neighbours join to numbers of two digits,
    of four, of eight.
    """
    rows, functions = votes.shape
    codes = np.empty((-(-functions // size), rows), dtype=np.uint16)
    start = 0
    for code, first in zip(codes, range(0, functions, size), strict=True):
        width = min(size, functions - first)
        words = eight_columns(votes, first)
        words &= SEVEN_BITS
        words += LOWEST_BITS  # seven bits hold any class and one more; of -1 none is left
        words &= SEVEN_BITS >> np.uint64(64 - 8 * width)
        for bits, mask in JOINING:
            if 8 * width > bits:
                high = words >> np.uint64(bits)
                high &= mask
                high *= np.uint64(base ** (bits // 8))
                words &= mask
                words += high
        code[:] = words
        counts[start : start + base**width] += np.bincount(code, minlength=base**width)
        start += base**width
    return codes


def eight_columns(votes: NDArray[np.int8], first: int) -> NDArray[np.uint64]:
    """Return eight columns of votes as the bytes of a word, the first lowest. Shape (rows,).

    Where there are fewer than eight from the first on, what the others hold is not said.
    """
    rows, functions = votes.shape
    if functions < 8:
        wider = np.zeros((rows, 8), dtype=np.int8)
        wider[:, :functions] = votes
        return eight_columns(wider, first)
    start = min(first, functions - 8)  # never past the end of the last row
    words = np.ndarray((rows,), "<u8", buffer=votes, offset=start, strides=(functions,))
    return words.astype(np.uint64) >> np.uint64(8 * (first - start))
