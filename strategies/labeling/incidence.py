"""A vote matrix as the one-hot matrix X of its votes, which is never formed.

X has a row per item and a column per function and class, with a one where that vote was cast. An
exchange needs two products with it: X times what each vote says, and X transposed times how
probable the classes are. Two layouts do that fast:

- sparse: a list of the votes that were cast;
- patterns: functions in small groups, and per item and group the number of the pattern of votes.
  One look-up then stands for several votes, cast or not.

All sums are of whole numbers in float64, exact in any order, so the layouts give the same bits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from strategies.labeling.votes import blocks, cast_cells, votes_per_item

Floats = NDArray[np.float64]

MOST_PATTERNS = 4096  # a table of them stays in the nearest cache
# nanoseconds, measured: a vote in the sparse layout; an item's pattern; an entry of a table
VOTE_COST, PATTERN_COST, ENTRY_COST = 6.0, 4.5, 12.0


class Block(Protocol):
    """Some items of a vote matrix."""

    @property
    def voted(self) -> NDArray[np.bool_]:
        """Which items have a vote. Shape (rows,)."""
        ...

    def gather(self, tables: Sequence[Floats]) -> Floats:
        """Return X times the spread values: (c, rows)."""
        ...

    def scatter(self, weights: Floats, tally: Sequence[Floats]) -> None:
        """Add X transposed times weights (c, rows) to a tally."""
        ...

    def add_ones(self, tally: Sequence[Floats]) -> None:
        """Add what scatter adds for one row of ones."""
        ...

    def tokens(self, tables: Sequence[Floats]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return what is looked up, for loops: where each item's tokens end, and the tokens.

        Args:
            tables: As spread; a token is a position in all of them side by side.
        """
        ...


class Layout(Protocol):
    """How values per vote are spread for blocks to look up, and tallies collected from them."""

    def spread(self, values: Floats) -> list[Floats]:
        """Return tables of values (c, m * k)."""
        ...

    def tally(self, width: int) -> list[Floats]:
        """Return an empty tally for c = width weights."""
        ...

    def collect(self, tally: Sequence[Floats]) -> Floats:
        """Return a tally as sums per vote: (c, m * k)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Incidence:
    """One device's votes, laid out once for all exchanges of a fit.

    Attributes:
        functions: Number of labeling functions, m.
        classes: Number of classes, k.
        items: How many rows.
        counts: How often each vote was cast. Shape (m * k,), int64.
        layout: How values are spread and tallies collected.
        blocks: The rows.
    """

    functions: int
    classes: int
    items: int
    counts: NDArray[np.int64]
    layout: Layout
    blocks: tuple[Block, ...]

    @classmethod
    def of(
        cls, votes: NDArray[np.int8], classes: int, *, pattern_functions: int | None = None
    ) -> "Incidence":
        """Lay out checked votes.

        Args:
            votes: Shape (n, m).
            classes: Number of classes, k.
            pattern_functions: Functions per pattern; 0 is the sparse layout, None the cheapest.
        """
        functions = votes.shape[1]
        size = pattern_functions
        if size is None:
            size = cheapest_pattern(votes, classes)
        layout = Patterns.of(functions, classes, size) if size else Sparse(functions, classes)
        parts = tuple(layout.block(votes[rows]) for rows in blocks(votes))
        tally = layout.tally(1)
        for part in parts:
            part.add_ones(tally)
        return cls(
            functions=functions,
            classes=classes,
            items=len(votes),
            counts=layout.collect(tally)[0].astype(np.int64),
            layout=layout,
            blocks=parts,
        )


def cheapest_pattern(votes: NDArray[np.int8], classes: int) -> int:
    """Return how many functions a pattern should hold, or 0 where the sparse layout is cheaper."""
    items, functions = votes.shape
    if not items or not functions:
        return 0
    costs = {0: VOTE_COST * items * votes_per_item(votes)}
    size = 1
    while size <= functions and (patterns := (classes + 1) ** size) <= MOST_PATTERNS:
        groups = -(-functions // size)
        costs[size] = groups * (PATTERN_COST * items + ENTRY_COST * patterns)
        size += 1
    return min(costs, key=lambda size: costs[size])


class SparseBlock(NamedTuple):
    """The votes of some items, by item. See Sparse."""

    row: NDArray[np.intp]
    cell: NDArray[np.intp]
    voted: NDArray[np.bool_]

    def gather(self, tables: Sequence[Floats]) -> Floats:
        """Return X times values."""
        rows = len(self.voted)
        out = np.zeros((len(tables[0]), rows))
        for sums, said in zip(out, tables[0], strict=True):
            sums += np.bincount(self.row, weights=said.take(self.cell), minlength=rows)
        return out

    def scatter(self, weights: Floats, tally: Sequence[Floats]) -> None:
        """Add X transposed times weights."""
        for sums, weight in zip(tally[0], weights, strict=True):
            cast = np.bincount(self.cell, weights=weight.take(self.row), minlength=len(sums))
            sums += cast

    def add_ones(self, tally: Sequence[Floats]) -> None:
        """Add a scatter of ones."""
        tally[0][0] += np.bincount(self.cell, minlength=tally[0].shape[1])

    def tokens(self, tables: Sequence[Floats]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the votes: a token is a cell."""
        ends = np.cumsum(np.bincount(self.row, minlength=len(self.voted)))
        return ends, self.cell


class Sparse(NamedTuple):
    """A list of the votes that were cast: row, and function * k + vote."""

    functions: int
    classes: int

    def block(self, votes: NDArray[np.int8]) -> SparseBlock:
        """Lay out some rows."""
        row, cell = cast_cells(votes, self.classes)
        return SparseBlock(
            row=row,
            cell=cell,
            voted=np.bincount(row, minlength=len(votes)) > 0,
        )

    def spread(self, values: Floats) -> list[Floats]:
        """Return the values, in one table."""
        return [np.ascontiguousarray(values)]

    def tally(self, width: int) -> list[Floats]:
        """Return zeros, in one table."""
        return [np.zeros((width, self.functions * self.classes))]

    def collect(self, tally: Sequence[Floats]) -> Floats:
        """Return the tally as it is."""
        return tally[0]


class PatternBlock(NamedTuple):
    """The patterns of some items. See Patterns."""

    codes: NDArray[np.intp]
    voted: NDArray[np.bool_]

    def gather(self, tables: Sequence[Floats]) -> Floats:
        """Return X times values."""
        out = np.zeros((len(tables[0]), len(self.voted)))
        for said, code in zip(tables, self.codes, strict=True):
            for sums, row in zip(out, said, strict=True):
                sums += row.take(code)
        return out

    def scatter(self, weights: Floats, tally: Sequence[Floats]) -> None:
        """Add X transposed times weights."""
        for sums, code in zip(tally, self.codes, strict=True):
            for total, weight in zip(sums, weights, strict=True):
                total += np.bincount(code, weights=weight, minlength=len(total))

    def add_ones(self, tally: Sequence[Floats]) -> None:
        """Add a scatter of ones."""
        for sums, code in zip(tally, self.codes, strict=True):
            sums[0] += np.bincount(code, minlength=sums.shape[1])

    def tokens(self, tables: Sequence[Floats]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the patterns: a token is a pattern of a group."""
        sizes = np.array([table.shape[1] for table in tables])
        tokens = self.codes.T + (np.cumsum(sizes) - sizes)
        return np.arange(1, len(self.voted) + 1) * len(sizes), tokens.ravel()


class Patterns(NamedTuple):
    """Functions in groups; a pattern's digits to the base k + 1 are vote + 1, first function last.

    Attributes:
        groups: Positions of the functions of each group.
        classes: Number of classes, k.
    """

    groups: tuple[range, ...]
    classes: int

    @classmethod
    def of(cls, functions: int, classes: int, size: int) -> "Patterns":
        """Group functions in order, size at a time."""
        starts = range(0, functions, size)
        return cls(tuple(range(s, min(s + size, functions)) for s in starts), classes)

    def block(self, votes: NDArray[np.int8]) -> PatternBlock:
        """Lay out some rows."""
        codes = np.empty((len(self.groups), len(votes)), dtype=np.intp)
        voted = np.zeros(len(votes), dtype=np.bool_)
        for code, group in zip(codes, self.groups, strict=True):
            # patterns fit 16 bits, and short numbers add up faster than indices do
            short = np.zeros(len(votes), dtype=np.uint16)
            for function in reversed(group):
                short *= self.classes + 1
                short += (votes[:, function] + np.int8(1)).view(np.uint8)
            code[:] = short
            voted |= short > 0
        return PatternBlock(codes=codes, voted=voted)

    def spread(self, values: Floats) -> list[Floats]:
        """Return per group the sum of what the votes of each pattern say: (c, patterns)."""
        said = values.reshape(len(values), -1, self.classes)
        silence = np.zeros((len(values), 1))
        tables = []
        for group in self.groups:
            table = silence
            for function in reversed(group):
                digit = np.concatenate([silence, said[:, function]], axis=1)
                table = (table[:, :, None] + digit[:, None, :]).reshape(len(values), -1)
            tables.append(table)
        return tables

    def tally(self, width: int) -> list[Floats]:
        """Return zeros per group."""
        return [np.zeros((width, (self.classes + 1) ** len(group))) for group in self.groups]

    def collect(self, tally: Sequence[Floats]) -> Floats:
        """Return the sums of all patterns that hold each vote."""
        columns = []
        for sums, group in zip(tally, self.groups, strict=True):
            digits = sums.reshape(len(sums), *[self.classes + 1] * len(group))
            axes = range(1, 1 + len(group))
            for position in range(len(group)):
                here = len(group) - position
                others = tuple(axis for axis in axes if axis != here)
                columns.append(digits.sum(axis=others)[:, 1:])
        return np.concatenate(columns, axis=1)
