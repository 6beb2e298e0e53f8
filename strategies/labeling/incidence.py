"""A vote matrix as the one-hot matrix X of its votes, laid out once for a whole fit.

X has a row per item and a column per function and class, with a one where that vote was cast. An
exchange needs two products with it: X times what each vote says, and X transposed times how
probable the classes are. Both look up tokens (strategies.labeling.layouts). All sums are of whole
numbers in float64, exact in any order, so the layouts give the same bits.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from strategies.labeling.layouts import (
    Block,
    Counts,
    Floats,
    Layout,
    LayoutLoops,
    Patterns,
    Sparse,
    list_votes,
    number_patterns,
)
from strategies.labeling.votes import blocks, votes_per_item

MOST_PATTERNS = 4096  # a table of them stays in the nearest cache; and 16 bits number them
# nanoseconds, measured: a vote in the sparse layout; an item's pattern; an entry of a table
VOTE_COST, PATTERN_COST, ENTRY_COST = 6.0, 4.5, 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Incidence:
    """One device's votes, laid out once for all exchanges of a fit.

    Attributes:
        classes: Number of classes, k.
        votes: The matrix laid out, itself and not a copy. Shape (n, m).
        counts: How often each vote was cast. Shape (m * k,), int64.
        layout: How values are spread and tallies collected.
        blocks: The rows.
    """

    classes: int
    votes: NDArray[np.int8] = field(repr=False)
    counts: Counts
    layout: Layout
    blocks: tuple[Block, ...]

    @property
    def items(self) -> int:
        """How many rows, n."""
        return len(self.votes)

    @property
    def functions(self) -> int:
        """Number of labeling functions, m."""
        return int(self.votes.shape[1])

    @classmethod
    def of(
        cls,
        votes: NDArray[np.int8],
        classes: int,
        *,
        pattern_functions: int | None = None,
        loops: LayoutLoops | None = None,
    ) -> "Incidence":
        """Lay out checked votes.

        Args:
            votes: Shape (n, m).
            classes: Number of classes, k.
            pattern_functions: Functions per pattern; 0 is the sparse layout, None the cheapest.
            loops: What does the work; None is the numpy way.
        """
        votes = np.ascontiguousarray(votes)
        functions = votes.shape[1]
        size = pattern_functions
        if size is None:
            size = cheapest_pattern(votes, classes)
        layout = Patterns(functions, classes, size) if size else Sparse(functions, classes)
        loops = loops or LayoutLoops(list_votes, number_patterns)
        counts = np.zeros(layout.tokens, dtype=np.int64)
        parts = tuple(layout.block(votes[rows], loops, counts) for rows in blocks(votes))
        return cls(
            classes=classes,
            votes=votes,
            counts=layout.collect(counts[None].astype(np.float64))[0].astype(np.int64),
            layout=layout,
            blocks=parts,
        )


def row_sums(values: Floats, votes: Incidence) -> Floats:
    """Return, per row, the sum of the values (m * k,) of its votes. Shape (n,)."""
    table = votes.layout.spread(values[None])
    parts = [block.gather(table)[0] for block in votes.blocks]
    return np.concatenate([np.zeros(0), *parts])


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
