"""Mean and spread of embeddings, from sums that one record moves by a known length.

The exact moments (`moments`) take any value and cannot be noised: one record may move them by any
amount. Here features are cut at a bound that everybody knows beforehand.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.aggregation.moments import finite

_STEPS = 1 << 8


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundedMoments:
    """Summed features and their squares, before noise or after.

    Attributes:
        limit: Features are cut at this magnitude.
        totals: Number of items (in steps of 2^-8), sum of features over limit (2^-8), and of their
            squares (2^-8). Shape (1 + 2 d,), int64.
    """

    limit: float
    totals: NDArray[np.int64]

    def __post_init__(self) -> None:
        _check_limit(self.limit)
        if self.totals.ndim != 1 or len(self.totals) < 3 or len(self.totals) % 2 == 0:
            raise ShapeError("totals", self.totals.shape, ("1 + 2 d",))

    @classmethod
    def from_embeddings(cls, embeddings: NDArray[np.floating], *, limit: float) -> Self:
        """Sum a device's embeddings.

        Args:
            embeddings: Shape (n, d).
            limit: Chosen without looking at anybody's data; the same on every device.

        >>> made = BoundedMoments.from_embeddings(np.array([[1.0], [-1.0], [9.0]]), limit=2.0)
        >>> made.mean_and_stddev()[0]
        array([0.66666667])
        """
        _check_limit(limit)
        cut = np.clip(finite(embeddings) / limit, -1.0, 1.0)
        ones = np.full((1,), len(cut) * _STEPS, dtype=np.int64)
        sums = [np.trunc(part * _STEPS).astype(np.int64).sum(axis=0) for part in (cut, cut**2)]
        return cls(limit=limit, totals=np.concatenate([ones, *sums]))

    def __add__(self, other: "BoundedMoments") -> "BoundedMoments":
        if other.totals.shape != self.totals.shape or other.limit != self.limit:
            raise ShapeError("totals", other.totals.shape, self.totals.shape)
        return BoundedMoments(limit=self.limit, totals=self.totals + other.totals)

    def mean_and_stddev(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return both as far as noise lets them be told. Shapes (d,).

        A spread that noise has made smaller than a hundredth of the limit is put there: what is
        divided by it must not be noise alone.
        """
        items = max(float(self.totals[0]), float(_STEPS))
        first, second = (part / items for part in np.split(self.totals[1:].astype(np.float64), 2))
        spread = np.sqrt(np.maximum(second - first**2, 1e-4))
        return first * self.limit, spread * self.limit


def _check_limit(limit: float) -> None:
    """Refuse a limit that would cut nothing, or everything."""
    if not 0 < limit < np.inf:
        raise InputError(f"limit must be positive and finite, got {limit}")


def moments_l2_squared(width: int) -> int:
    """Return the squared length by which one record moves the totals of d features.

    >>> moments_l2_squared(2)
    327680
    """
    return _STEPS**2 * (1 + 2 * width)
