"""How often every two votes were cast on one item: the sums that Snorkel's fit needs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.labeling.votes import blocks, cast_votes, checked_classes, checked_votes

MOST_VOTES = 4_096  # functions times classes; beyond, the square takes more than 128 MB


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OverlapSummary:
    """Pairs of votes of one device, or of many; adds up like VoteSummary, at a far higher price.

    Attributes:
        items: How many items were voted on, those without a vote included.
        classes: Number of classes, k.
        overlaps: How often vote v of function j and vote u of function l were cast on one item, at
            [j * k + v, l * k + u]. Shape (m * k, m * k), int64, symmetric.

    >>> summary = OverlapSummary.from_votes([[0, 1], [0, -1]], classes=2)
    >>> summary.overlaps[0].tolist()
    [2, 0, 0, 1]
    """

    items: int
    classes: int
    overlaps: NDArray[np.int64]

    def __post_init__(self) -> None:
        checked_classes(self.classes)
        side = len(self.overlaps)
        if self.overlaps.shape != (side, side) or side % self.classes:
            raise ShapeError("overlaps", self.overlaps.shape, ("m * k", "m * k"))

    @property
    def functions(self) -> int:
        """Number of labeling functions, m."""
        return len(self.overlaps) // self.classes

    @classmethod
    def from_votes(cls, votes: ArrayLike, *, classes: int) -> "OverlapSummary":
        """Sum pairs of votes.

        Args:
            votes: Shape (n, m), integers, -1 abstains.
            classes: Number of classes, k.

        Raises:
            ShapeError, InputError: votes is not a vote matrix, or one of too many functions.
        """
        matrix = checked_votes(votes, classes)
        side = matrix.shape[1] * classes
        if side > MOST_VOTES:
            raise InputError(f"overlaps of {side} votes, at most {MOST_VOTES}: use VoteSummary")
        overlaps = np.zeros((side, side), dtype=np.int64)
        for rows in blocks(matrix):
            cast = cast_votes(matrix[rows], classes)
            # a block has under 2^24 rows, so these counts are exact in float32
            ones = np.zeros((len(matrix[rows]), side), dtype=np.float32)
            ones[cast.row, cast.cell] = 1.0
            overlaps += (ones.T @ ones).astype(np.int64)
        return cls(items=len(matrix), classes=classes, overlaps=overlaps)

    def __add__(self, other: "OverlapSummary") -> "OverlapSummary":
        """Return the summary of both sets of items."""
        if not isinstance(other, OverlapSummary):
            return NotImplemented
        if (self.classes, self.overlaps.shape) != (other.classes, other.overlaps.shape):
            raise ShapeError("overlaps", other.overlaps.shape, self.overlaps.shape)
        return OverlapSummary(
            items=self.items + other.items,
            classes=self.classes,
            overlaps=self.overlaps + other.overlaps,
        )
