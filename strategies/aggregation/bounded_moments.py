"""Mean and spread of embeddings, from sums that one record moves by a known length.

The exact moments (`moments`) take any value and cannot be noised: one record may move them by any
amount. Here an embedding is shortened to a length that everybody knows beforehand, and only its
direction and its squared length are summed. So the noise on a feature does not grow with their
number; what is told in return is one spread for all features, not one for each.
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.aggregation.moments import finite

_STEPS = 1 << 8

MOMENTS_L2_SQUARED = 3 * _STEPS**2
"""Squared length by which one record moves the totals: itself, its square, and its direction."""

_LEAST_SPREAD = 1e-2


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundedMoments:
    """Summed embeddings and their squared lengths, before noise or after.

    Attributes:
        longest: Embeddings are shortened to this length.
        totals: How many items, the sum of their squared lengths, and of the items, all over longest
            and in steps of 2^-8. Shape (2 + d,), int64.
    """

    longest: float
    totals: NDArray[np.int64]

    def __post_init__(self) -> None:
        _check_longest(self.longest)
        if self.totals.ndim != 1 or len(self.totals) < 3:
            raise ShapeError("totals", self.totals.shape, ("2 + d",))

    @classmethod
    def from_embeddings(cls, embeddings: NDArray[np.floating], *, longest: float) -> Self:
        """Sum a device's embeddings.

        Args:
            embeddings: Shape (n, d).
            longest: Chosen without looking at anybody's data; the same on every device.

        >>> made = BoundedMoments.from_embeddings(np.array([[1.0], [-1.0], [9.0]]), longest=2.0)
        >>> made.totals.tolist(), made.mean_and_spread()[0]
        ([768, 384, 256], array([0.66666667]))
        """
        _check_longest(longest)
        rows = finite(embeddings) / longest
        lengths = np.sqrt((rows**2).sum(axis=1, keepdims=True))
        # towards zero, so that no row of whole numbers is longer than the steps
        cut = np.trunc(rows / np.maximum(lengths, 1.0) * _STEPS)
        squares = np.trunc(np.minimum(lengths, 1.0) ** 2 * _STEPS)
        counts = np.array([len(rows) * _STEPS, int(squares.sum())], dtype=np.int64)
        return cls(
            longest=longest, totals=np.concatenate([counts, cut.sum(axis=0).astype(np.int64)])
        )

    def __add__(self, other: "BoundedMoments") -> "BoundedMoments":
        if other.totals.shape != self.totals.shape or other.longest != self.longest:
            raise ShapeError("totals", other.totals.shape, self.totals.shape)
        return BoundedMoments(longest=self.longest, totals=self.totals + other.totals)

    def mean_and_spread(self) -> tuple[NDArray[np.float64], float]:
        """Return the mean, and the spread of an average feature, as far as noise lets them be told.

        A spread that noise has made smaller than a hundredth of the length is put there: what is
        divided by it must not be noise alone.
        """
        items = max(float(self.totals[0]), float(_STEPS))
        mean = self.totals[2:].astype(np.float64) / items
        left = float(self.totals[1]) / items - float((mean**2).sum())
        spread = math.sqrt(max(left, _LEAST_SPREAD**2) / len(mean))
        return mean * self.longest, spread * self.longest


def _check_longest(longest: float) -> None:
    """Refuse a length to which nothing, or everything, is cut."""
    if not 0 < longest < np.inf:
        raise InputError(f"longest must be positive and finite, got {longest}")
