"""Mean and spread of a fleet's embeddings, from whole numbers that add up.

A value and its square are cut into limbs of 32 bits and the limbs are summed, so the sums over any
split of the items have the same bits, in any unit of measure.
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError

# Four limbs reach from 2^-64 to 2^64, which holds the square of any value let through.
_LIMB_EXPONENTS = (32, 0, -32, -64)
_VALUE_LIMIT = 2.0**31

# Below this share of its mean a spread is rounding noise (float32 resolves 6e-8).
_CONSTANT = 1e-7


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Count, sum and sum of squares of embeddings, as whole numbers that add up exactly.

    Attributes:
        count: How many items.
        sums: Limbs of the sum, highest first; limb i counts 2^(32 - 32 i). Shape (4, d), int64.
        squares: Limbs of the sum of squares. Shape (4, d), int64.
    """

    count: int
    sums: NDArray[np.int64]
    squares: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Refuse limbs that do not belong together."""
        if self.sums.shape != self.squares.shape or len(self.sums) != len(_LIMB_EXPONENTS):
            raise ShapeError("moments", self.squares.shape, (len(_LIMB_EXPONENTS), "d"))
        if not 0 <= self.count < 1 << 31:
            raise InputError(f"moments hold 0 to 2^31 items, got {self.count}")

    @classmethod
    def empty(cls, *, width: int) -> Self:
        """Return the moments of no item."""
        none = np.zeros((len(_LIMB_EXPONENTS), width), dtype=np.int64)
        return cls(count=0, sums=none, squares=none)

    @classmethod
    def from_embeddings(cls, embeddings: NDArray[np.floating]) -> Self:
        """Sum the embeddings of one pool.

        Args:
            embeddings: One row per item. Shape (n, d).

        Raises:
            InputError: A value is not finite or beyond 2^31.

        >>> total = Moments.from_embeddings(np.array([[1.0], [3.0]]))
        >>> total.count, total.mean_and_stddev()
        (2, (array([2.]), array([1.])))
        """
        values = finite(embeddings)
        return cls(count=len(values), sums=_limbs(values), squares=_limbs(values * values))

    @classmethod
    def from_vector(cls, vector: NDArray[np.int64]) -> Self:
        """Read back what ``to_vector`` wrote."""
        limbs = 2 * len(_LIMB_EXPONENTS)
        if vector.ndim != 1 or len(vector) % limbs != 1 or vector.dtype != np.int64:
            raise ShapeError("moments", vector.shape, (f"1 + {limbs} * d, int64",))
        sums, squares = vector[1:].reshape(2, len(_LIMB_EXPONENTS), -1).copy()
        return cls(count=int(vector[0]), sums=sums, squares=squares)

    def to_vector(self) -> NDArray[np.int64]:
        """Return the moments as one additive vector. Shape (1 + 8 d,)."""
        head = np.array([self.count], dtype=np.int64)
        return np.concatenate([head, self.sums.ravel(), self.squares.ravel()])

    def __add__(self, other: "Moments") -> "Moments":
        self._check_width(other)
        return Moments(
            count=self.count + other.count,
            sums=self.sums + other.sums,
            squares=self.squares + other.squares,
        )

    def __sub__(self, other: "Moments") -> "Moments":
        self._check_width(other)
        return Moments(
            count=self.count - other.count,
            sums=self.sums - other.sums,
            squares=self.squares - other.squares,
        )

    @property
    def width(self) -> int:
        """How many features, d."""
        return int(self.sums.shape[1])

    def mean_and_stddev(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return mean and standard deviation per feature; a constant feature has exactly 0.

        Raises:
            InputError: There is no item.
        """
        if self.count == 0:
            raise InputError("moments of no item have no mean; survey at least one device first")
        means, stddevs = [], []
        for total, square in zip(_whole(self.sums), _whole(self.squares), strict=True):
            # Whole numbers of any size: floats would lose a small spread around a large mean.
            mean = total / self.count / 2**64
            spread = (square * self.count << 64) - total * total
            stddev = math.sqrt(max(spread, 0)) / self.count / 2**64
            means.append(mean)
            stddevs.append(stddev if stddev > _CONSTANT * abs(mean) else 0.0)
        return np.array(means), np.array(stddevs)

    def _check_width(self, other: "Moments") -> None:
        if other.sums.shape != self.sums.shape:
            raise ShapeError("moments", other.sums.shape, self.sums.shape)


def finite(embeddings: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return embeddings as float64 if every value can be summed exactly."""
    if embeddings.ndim != 2:
        raise ShapeError("embeddings", embeddings.shape, ("n", "d"))
    values = embeddings.astype(np.float64)
    # A NaN fails the comparison too.
    if not bool(np.all(np.abs(values) <= _VALUE_LIMIT)):
        raise InputError("embeddings must be finite and within ±2^31")
    return values


def _limbs(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Cut values below 2^64 into limbs and sum each over the rows. Shape (4, d)."""
    rest = values
    sums = []
    for exponent in _LIMB_EXPONENTS:
        # Towards zero: what is left is the low bits of rest, sign kept, so nothing is rounded.
        limb = np.trunc(np.ldexp(rest, -exponent))
        rest = rest - np.ldexp(limb, exponent)
        sums.append(limb.astype(np.int64).sum(axis=0))
    return np.array(sums)


def _whole(limbs: NDArray[np.int64]) -> list[int]:
    """Join limbs into one whole number per feature, in steps of 2^-64."""
    return [
        sum(
            int(limb) << (exponent + 64)
            for limb, exponent in zip(column, _LIMB_EXPONENTS, strict=True)
        )
        for column in limbs.T
    ]
