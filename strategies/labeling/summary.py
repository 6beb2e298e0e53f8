"""Vote summaries: what a device says about its votes, as integers that add up.

Laws, for any way of cutting a vote matrix into shards:

- from_votes(a stacked on b) == from_votes(a) + from_votes(b), bit for bit;
- (a + b) - b == a;
- from_votes(votes).retire(p) == from_votes(votes without the columns p).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.labeling.pair_counts import count_pairs
from strategies.labeling.votes import checked_classes, checked_votes

PAIR_CLASS_CELLS = 65_536
"""Votes per class are kept per pair only while m * m * k stays within this: half a megabyte on the
device. It admits 80 functions of 10 classes; beyond, the copy test uses each function's own
vote shares instead, which is slightly weaker."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VoteSummary:
    """Votes of one device, or of many, summed over items; no row survives the sum.

    Attributes:
        items: How many items were voted on, those without a vote included.
        counts: How often a function voted for a class. Shape (m, k), int64.
        co_votes: How often two functions both voted. Shape (m, m), symmetric, diagonal zero.
        agreements: How often they voted the same. Shape (m, m), symmetric, diagonal zero.
        pair_classes: At [j, l, v], how often l voted while j voted v. Shape (m, m, k), diagonal
            zero; None where there are too many cells (see PAIR_CLASS_CELLS).

    >>> a = VoteSummary.from_votes([[0, 0], [1, -1]], classes=2)
    >>> b = VoteSummary.from_votes([[1, 0]], classes=2)
    >>> (a + b).counts.tolist(), int((a + b).co_votes[0, 1]), int((a + b).agreements[0, 1])
    ([[1, 2], [2, 0]], 2, 1)
    """

    items: int
    counts: NDArray[np.int64]
    co_votes: NDArray[np.int64]
    agreements: NDArray[np.int64]
    pair_classes: NDArray[np.int64] | None

    def __post_init__(self) -> None:
        if self.counts.ndim != 2:
            raise ShapeError("counts", self.counts.shape, ("m", "k"))
        functions, classes = self.counts.shape
        checked_classes(classes)
        square = (functions, functions)
        for name, shape in (
            ("counts", (functions, classes)),
            ("co_votes", square),
            ("agreements", square),
            ("pair_classes", (*square, classes)),
        ):
            array = getattr(self, name)
            if array is None and name == "pair_classes":
                continue
            if array.shape != shape:
                raise ShapeError(name, array.shape, shape)
            if array.dtype != np.int64:
                raise InputError(f"{name} must be int64, got {array.dtype}")

    @property
    def functions(self) -> int:
        """Number of labeling functions, m."""
        return int(self.counts.shape[0])

    @property
    def classes(self) -> int:
        """Number of classes, k."""
        return int(self.counts.shape[1])

    @classmethod
    def empty(cls, *, functions: int, classes: int) -> "VoteSummary":
        """Return the summary of no items, the start of every sum."""
        checked_classes(classes)
        if functions < 0:
            raise InputError(f"expected a number of functions, got {functions}")
        square = (functions, functions)
        return cls(
            items=0,
            counts=np.zeros((functions, classes), dtype=np.int64),
            co_votes=np.zeros(square, dtype=np.int64),
            agreements=np.zeros(square, dtype=np.int64),
            pair_classes=np.zeros((*square, classes), dtype=np.int64)
            if _keeps_pair_classes(functions, classes)
            else None,
        )

    @classmethod
    def from_votes(cls, votes: ArrayLike, *, classes: int) -> "VoteSummary":
        """Sum votes.

        Args:
            votes: Shape (n, m), integers, -1 abstains. Neither items nor functions are required.
            classes: Number of classes, k.

        Raises:
            ShapeError, InputError: votes is not a vote matrix (see checked_votes).
        """
        matrix = checked_votes(votes, classes)
        pairs = count_pairs(
            matrix, classes, per_class=_keeps_pair_classes(matrix.shape[1], classes)
        )
        return cls(
            items=len(matrix),
            counts=pairs.counts,
            co_votes=pairs.co_votes,
            agreements=pairs.agreements,
            pair_classes=pairs.pair_classes,
        )

    def __add__(self, other: "VoteSummary") -> "VoteSummary":
        """Return the summary of both sets of items."""
        return self._combine(other, 1)

    def __sub__(self, other: "VoteSummary") -> "VoteSummary":
        """Take out what was added before, such as a window that has passed."""
        return self._combine(other, -1)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, VoteSummary):
            return NotImplemented
        return self.counts.shape == other.counts.shape and bool(
            np.array_equal(self.to_vector(), other.to_vector())
        )

    __hash__ = None  # type: ignore[assignment]  # arrays inside: equal by content, not hashable

    def retire(self, positions: Sequence[int]) -> "VoteSummary":
        """Return the summary as if the functions at these positions had never voted.

        Raises:
            InputError: A position is not that of a function.
        """
        if any(not 0 <= position < self.functions for position in positions):
            raise InputError(f"expected positions in 0..{self.functions - 1} to retire")
        kept = np.setdiff1d(np.arange(self.functions), np.asarray(positions, dtype=np.int64))
        square = np.ix_(kept, kept)
        return VoteSummary(
            items=self.items,
            counts=self.counts[kept],
            co_votes=self.co_votes[square],
            agreements=self.agreements[square],
            pair_classes=None if self.pair_classes is None else self.pair_classes[square],
        )

    def to_vector(self) -> NDArray[np.int64]:
        """Return the numbers to send, once each.

        items, counts, then per pair j < l: co-votes, agreements, and, where kept, the classes j
        voted beside l and l beside j but for the last class, which is what is left of the co-votes.
        """
        upper = np.triu_indices(self.functions, 1)
        parts = [
            np.array([self.items], dtype=np.int64),
            self.counts.ravel(),
            self.co_votes[upper],
            self.agreements[upper],
        ]
        if self.pair_classes is not None:
            parts.append(self.pair_classes[upper][:, :-1].ravel())
            parts.append(self.pair_classes[upper[::-1]][:, :-1].ravel())
        return np.concatenate(parts)

    @classmethod
    def from_vector(
        cls, vector: NDArray[np.int64], *, functions: int, classes: int
    ) -> "VoteSummary":
        """Return the summary that to_vector sent.

        Raises:
            ShapeError: vector has not the length of so many functions and classes.
            InputError: vector does not hold integers.
        """
        checked_classes(classes)
        if vector.dtype != np.int64:
            raise InputError(f"a summary is sent as int64, got {vector.dtype}")
        upper = np.triu_indices(functions, 1)
        pairs = len(upper[0])
        sizes = [1, functions * classes, pairs, pairs]
        with_classes = [*sizes, *[pairs * (classes - 1)] * 2]
        # a summary that came down to few functions by retiring some may not have them
        if _keeps_pair_classes(functions, classes) and vector.shape == (sum(with_classes),):
            sizes = with_classes
        if vector.shape != (sum(sizes),):
            raise ShapeError("vector", vector.shape, (sum(sizes),))
        items, counts, together, same, *halves = np.split(vector, np.cumsum(sizes)[:-1])
        pair_classes = np.zeros((functions, functions, classes), dtype=np.int64) if halves else None
        for where, half in zip((upper, upper[::-1]), halves, strict=False):
            most = half.reshape(pairs, classes - 1)
            rest = together - most.sum(axis=1)
            if pair_classes is not None:
                pair_classes[where] = np.column_stack([most, rest])
        return cls(
            items=int(items[0]),
            counts=counts.reshape(functions, classes).copy(),
            co_votes=_symmetric(together, functions),
            agreements=_symmetric(same, functions),
            pair_classes=pair_classes,
        )

    def _combine(self, other: "VoteSummary", sign: int) -> "VoteSummary":
        if not isinstance(other, VoteSummary):
            return NotImplemented
        if self.counts.shape != other.counts.shape:
            raise ShapeError("counts", other.counts.shape, self.counts.shape)
        pair_classes = None
        if self.pair_classes is not None and other.pair_classes is not None:
            pair_classes = self.pair_classes + sign * other.pair_classes
        return VoteSummary(
            items=self.items + sign * other.items,
            counts=self.counts + sign * other.counts,
            co_votes=self.co_votes + sign * other.co_votes,
            agreements=self.agreements + sign * other.agreements,
            pair_classes=pair_classes,
        )


def _keeps_pair_classes(functions: int, classes: int) -> bool:
    return functions * functions * classes <= PAIR_CLASS_CELLS


def _symmetric(upper: NDArray[np.int64], functions: int) -> NDArray[np.int64]:
    """Unfold an upper triangle into a symmetric matrix with a diagonal of zeros."""
    square = np.zeros((functions, functions), dtype=np.int64)
    square[np.triu_indices(functions, 1)] = upper
    return square + square.T
