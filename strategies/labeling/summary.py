"""Vote summaries: what a device says about its votes, as integers that add up.

Laws, for any way of cutting a vote matrix into shards:

- from_votes(a stacked on b) == from_votes(a) + from_votes(b), bit for bit;
- (a + b) - b == a, and a - b refuses where b was never in a;
- from_votes(votes).select(p) == from_votes(votes[:, p]), and retire leaves the others out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.labeling.kernels import NUMPY, Kernels
from strategies.labeling.sensitivity import Sensitivity, summary_sensitivity
from strategies.labeling.votes import checked_classes, checked_votes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VoteSummary:
    """Votes of one device, or of many, summed over items; no row survives the sum.

    Attributes:
        items: How many items were voted on, those without a vote included.
        counts: How often a function voted for a class. Shape (m, k), int64.
        co_votes: How often two functions both voted. Shape (m, m), symmetric, diagonal zero.
        agreements: How often they voted the same. Shape (m, m), symmetric, diagonal zero.

    >>> a = VoteSummary.from_votes([[0, 0], [1, -1]], classes=2)
    >>> b = VoteSummary.from_votes([[1, 0]], classes=2)
    >>> (a + b).counts.tolist(), int((a + b).co_votes[0, 1]), int((a + b).agreements[0, 1])
    ([[1, 2], [2, 0]], 2, 1)
    """

    items: int
    counts: NDArray[np.int64]
    co_votes: NDArray[np.int64]
    agreements: NDArray[np.int64]

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
        ):
            array = getattr(self, name)
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
        )

    @classmethod
    def from_votes(
        cls, votes: ArrayLike, *, classes: int, kernels: Kernels = NUMPY
    ) -> "VoteSummary":
        """Sum votes.

        Args:
            votes: Shape (n, m), integers, -1 abstains. Neither items nor functions are required.
            classes: Number of classes, k.
            kernels: What does the counting; the result is the same to the bit.

        Raises:
            ShapeError, InputError: votes is not a vote matrix (see checked_votes).
        """
        matrix = checked_votes(votes, classes)
        pairs = kernels.count_pairs(matrix, classes)
        return cls(
            items=len(matrix),
            counts=pairs.counts,
            co_votes=pairs.co_votes,
            agreements=pairs.agreements,
        )

    def __add__(self, other: "VoteSummary") -> "VoteSummary":
        """Return the summary of both sets of items."""
        return self._combine(other, 1)

    def __sub__(self, other: "VoteSummary") -> "VoteSummary":
        """Take out what was added before, such as a window that has passed or a device that left.

        Raises:
            ShapeError: other is about other functions or classes.
            InputError: A count would fall below zero: other was never added, or twice taken out.
        """
        left = self._combine(other, -1)
        if isinstance(left, VoteSummary) and (vector := left.to_vector()).min() < 0:
            raise InputError(
                f"{int((vector < 0).sum())} of {len(vector)} counts would fall below zero: "
                "take out only what was added, once"
            )
        return left

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, VoteSummary):
            return NotImplemented
        return self.counts.shape == other.counts.shape and bool(
            np.array_equal(self.to_vector(), other.to_vector())
        )

    __hash__ = None  # type: ignore[assignment]  # arrays inside: equal by content, not hashable

    def select(self, positions: Sequence[int]) -> "VoteSummary":
        """Return the summary of the functions at these positions only, in this order.

        Raises:
            InputError: A position is not that of a function, or is named twice.
        """
        kept = np.asarray(positions, dtype=np.int64)
        if len(kept) and not (kept.min() >= 0 and kept.max() < self.functions):
            raise InputError(f"expected positions in 0..{self.functions - 1}")
        if len(np.unique(kept)) != len(kept):
            raise InputError("a function was selected twice: two columns would be one voice")
        square = np.ix_(kept, kept)
        return VoteSummary(
            items=self.items,
            counts=self.counts[kept],
            co_votes=self.co_votes[square],
            agreements=self.agreements[square],
        )

    def retire(self, positions: Sequence[int]) -> "VoteSummary":
        """Return the summary as if the functions at these positions had never voted.

        Raises:
            InputError: A position is not that of a function.
        """
        gone = set(positions)
        if any(not 0 <= position < self.functions for position in gone):
            raise InputError(f"expected positions in 0..{self.functions - 1} to retire")
        return self.select([j for j in range(self.functions) if j not in gone])

    @staticmethod
    def vector_length(*, functions: int, classes: int) -> int:
        """Return the length of to_vector.

        >>> VoteSummary.vector_length(functions=20, classes=4)
        461
        """
        return 1 + functions * classes + functions * (functions - 1)

    def sensitivity(self, *, cap: int) -> Sensitivity:
        """Return how far one item can move to_vector, if at most cap functions vote on an item.

        With one item more or less; strategies.labeling.sensitivity has the derivation, other
        neighbours, and cap_votes, which enforces the cap.
        """
        return summary_sensitivity(functions=self.functions, cap=cap)

    def to_vector(self) -> NDArray[np.int64]:
        """Return the numbers to send, once each: items, counts, co-votes and agreements of j < l.

        Item by item each number grows by 0 or 1; strategies.labeling.sensitivity says by how much
        an item can change them all.
        """
        upper = np.triu_indices(self.functions, 1)
        return np.concatenate(
            [
                np.array([self.items], dtype=np.int64),
                self.counts.ravel(),
                self.co_votes[upper],
                self.agreements[upper],
            ]
        )

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
        length = cls.vector_length(functions=functions, classes=classes)
        if vector.shape != (length,):
            raise ShapeError("vector", vector.shape, (length,))
        if vector.dtype != np.int64:
            raise InputError(f"a summary is sent as int64, got {vector.dtype}")
        pairs = functions * (functions - 1) // 2
        _, counts, together, same = np.split(
            vector, [1, 1 + functions * classes, 1 + functions * classes + pairs]
        )
        return cls(
            items=int(vector[0]),
            counts=counts.reshape(functions, classes).copy(),
            co_votes=_symmetric(together, functions),
            agreements=_symmetric(same, functions),
        )

    def _combine(self, other: "VoteSummary", sign: int) -> "VoteSummary":
        if not isinstance(other, VoteSummary):
            return NotImplemented
        if self.counts.shape != other.counts.shape:
            raise ShapeError("counts", other.counts.shape, self.counts.shape)
        return VoteSummary(
            items=self.items + sign * other.items,
            counts=self.counts + sign * other.counts,
            co_votes=self.co_votes + sign * other.co_votes,
            agreements=self.agreements + sign * other.agreements,
        )


def _symmetric(upper: NDArray[np.int64], functions: int) -> NDArray[np.int64]:
    """Unfold an upper triangle into a symmetric matrix with a diagonal of zeros."""
    square = np.zeros((functions, functions), dtype=np.int64)
    square[np.triu_indices(functions, 1)] = upper
    return square + square.T
