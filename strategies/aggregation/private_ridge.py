"""A head from one noised release: ridge regression on a Gram matrix and cross products.

The private half of the summed head. A device brings every row to a length it can vouch for, sums,
and lets the ledger noise the sum; the coordinator solves what it gets. One release is all there is:
asking again, for an unchanged pool, would cost the same again.

A record's row x^ and target y^ are whole numbers, |x^| <= B and |y^| <= 3 B. The vector that is
noised holds 5 G_ii, 7 G_ij (i < j) and C = sum of x^ y^'. One record moves it, squared, by

    25 sum x_i^4 + 49 sum_{i<j} x_i² x_j² + |x|² |y|² <= 25 |x|^4 + |x|² |y|² <= 34 B^4,

since 49 < 2 · 25. The 5 and the 7 pay for the diagonal, which is there once, against the rest of
the matrix, which is there twice: the same budget leaves the rest 1.4 times less noise. The 3 gives
the Gram matrix three quarters of the budget; a quarter less or more moves no score by 0.2 points.

Re-centring has no place here: a device's mean moves all of its rows with one record.

Sources: Wang 2018, "Revisiting differentially private linear regression", arXiv:1803.02596,
    algorithm 1 (AdaSSP), with two changes: rows are clipped on the device, and the noised matrix is
    made positive by its eigenvalues before the penalty is added. Dwork et al. 2014, "Analyze
    Gauss", STOC, for the noised Gram matrix.
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.aggregation.fixed_point import (
    INPUT_FRACTION,
    WEIGHT_FRACTION,
    check_inputs,
    row_weights,
)
from strategies.aggregation.head import Head

# B: large enough that rounding to whole numbers loses nothing, small enough for 2^30 records.
ROW_BOUND = 1 << 8
DIAGONAL, PAIR, _AIM = 5, 7, 3
TARGET_BOUND = _AIM * ROW_BOUND

L2_SQUARED = (DIAGONAL**2 + _AIM**2) * ROW_BOUND**4
"""Squared length by which one record moves the vector of RidgeSums."""

LONGEST_SHARE = 0.75
"""Rows longer than this share of their usual length are shortened: nearly all of them, so that
nearly all count as much as the noise allows."""

# Of what noise alone reaches in any direction; measured on movement windows and on messages, where
# a quarter and a half are within 0.3 points of it.
_PENALTY = 0.3

# Ridge outputs are near 1 for the right class; times this they are logits of a sure answer.
SHARPNESS = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RidgeSums:
    """What a ridge head is solved from, before noise or after.

    Attributes:
        gram: Sum of x^ x^', in steps of 1/35: noise is not in whole steps of it. Shape (p, p),
            symmetric, int64.
        cross: Sum of x^ y^'. Shape (p, k), int64.
    """

    gram: NDArray[np.int64]
    cross: NDArray[np.int64]

    def __post_init__(self) -> None:
        width = len(self.gram)
        if self.gram.shape != (width, width) or not width:
            raise ShapeError("gram", self.gram.shape, ("p", "p"))
        if self.cross.ndim != 2 or len(self.cross) != width or self.cross.shape[1] < 2:
            raise ShapeError("cross", self.cross.shape, (width, "2.."))

    @classmethod
    def empty(cls, *, width: int, classes: int) -> Self:
        """Return the sums of no item."""
        return cls(
            gram=np.zeros((width, width), dtype=np.int64),
            cross=np.zeros((width, classes), dtype=np.int64),
        )

    @classmethod
    def from_vector(cls, vector: NDArray[np.int64], *, width: int, classes: int) -> Self:
        """Read back what `to_vector` wrote, noise and all."""
        if vector.shape != (ridge_length(width, classes),) or vector.dtype != np.int64:
            raise ShapeError("ridge sums", vector.shape, (ridge_length(width, classes),))
        entries = width * (width + 1) // 2
        rows, columns = np.triu_indices(width)
        gram = np.zeros((width, width), dtype=np.int64)
        gram[rows, columns] = vector[:entries] * np.where(rows == columns, PAIR, DIAGONAL)
        gram[columns, rows] = gram[rows, columns]
        return cls(gram=gram, cross=vector[entries:].reshape(width, classes).copy())

    def to_vector(self) -> NDArray[np.int64]:
        """Return the numbers that are noised and summed. Shape (p (p + 1) / 2 + p k,)."""
        rows, columns = np.triu_indices(len(self.gram))
        upper = self.gram[rows, columns] // np.where(rows == columns, PAIR, DIAGONAL)
        return np.concatenate([upper, self.cross.ravel()])

    def __add__(self, other: "RidgeSums") -> "RidgeSums":
        if (other.gram.shape, other.cross.shape) != (self.gram.shape, self.cross.shape):
            raise ShapeError("cross", other.cross.shape, self.cross.shape)
        return RidgeSums(gram=self.gram + other.gram, cross=self.cross + other.cross)


def ridge_sums(
    inputs: NDArray[np.float64],
    targets: NDArray[np.float64],
    weight: NDArray[np.float64],
    *,
    longest: float,
) -> RidgeSums:
    """Return the sums of these items, each moving them by no more than L2_SQUARED.

    Args:
        inputs: What ``Representation.inputs`` gives, without re-centring. Shape (n, p).
        targets: Soft labels; rows sum to 1. Shape (n, k).
        weight: Sample weights, 0 to 1: more than one record's worth would need more noise.
            Shape (n,).
        longest: Length in the units of the representation beyond which a row is shortened. The same
            on every device, and chosen without looking at anybody's data.
    """
    check_inputs(inputs)
    steps = row_weights(inputs, weight)
    if not 0 < longest < math.inf:
        raise InputError(f"longest must be positive and finite, got {longest}")
    if steps.max(initial=0) > 2**WEIGHT_FRACTION:
        raise InputError("under differential privacy no record weighs more than 1")
    if targets.shape != (len(inputs), targets.shape[-1]) or targets.shape[1] < 2:
        raise ShapeError("targets", targets.shape, (len(inputs), "2.."))
    if not bool(np.all(targets >= 0)) or not bool(np.all(np.abs(targets.sum(axis=1) - 1) < 1e-4)):
        raise InputError("targets must be probabilities whose rows sum to 1")
    shares = np.sqrt(steps * 2.0**-WEIGHT_FRACTION)[:, None]
    rows = bounded(inputs * 2.0**-INPUT_FRACTION / longest * shares, shares, ROW_BOUND)
    classes = targets.shape[1]
    centred = (targets - 1.0 / classes) / math.sqrt(1.0 - 1.0 / classes)
    aims = bounded(centred * shares, shares, TARGET_BOUND)
    gram, cross = rows.T @ rows, rows.T @ aims  # exact: whole numbers below 2^53
    return RidgeSums(gram=DIAGONAL * PAIR * gram.astype(np.int64), cross=cross.astype(np.int64))


def ridge_head(sums: RidgeSums, *, stddev: float, longest: float) -> Head:
    """Return the head that noised sums tell of.

    Eigenvalues below zero can only be noise, and the penalty is a share of what noise alone reaches
    in any direction, 2 stddev sqrt(p) (Wigner): no data is needed to choose it, and with more data
    it means less.

    Args:
        sums: Over all devices, noised.
        stddev: Of the noise on each number of the vector; 0 for none.
        longest: What `ridge_sums` was given.

    Raises:
        InputError: stddev is negative or not finite.
    """
    if not 0 <= stddev < math.inf:
        raise InputError(f"stddev must be finite and not negative, got {stddev}")
    width, classes = sums.cross.shape
    eigenvalues, vectors = np.linalg.eigh(sums.gram / (DIAGONAL * PAIR))
    penalty = _PENALTY * 2.0 * stddev / PAIR * math.sqrt(width)
    # without noise: just enough that a direction nobody has seen is no division by zero
    floor = 1e-9 * max(float(eigenvalues[-1]), 1.0)
    held = np.maximum(eigenvalues, 0.0) + max(penalty, floor)
    solved = vectors @ ((vectors.T @ sums.cross) / held[:, None])
    # back from steps of x^ and y^ to the units of inputs and of one-hot targets
    scale = ROW_BOUND / TARGET_BOUND / longest * math.sqrt(1.0 - 1.0 / classes)
    return Head.from_values(SHARPNESS * scale * solved)


def ridge_length(width: int, classes: int) -> int:
    """Return how many numbers `RidgeSums.to_vector` gives."""
    return width * (width + 1) // 2 + width * classes


def bounded(
    values: NDArray[np.float64], most: NDArray[np.float64], bound: int
) -> NDArray[np.float64]:
    """Return rows as whole numbers no longer than most times bound, rounded towards zero.

    Args:
        values: Rows in units of the bound. Shape (n, d).
        most: Largest length of each row, 0 to 1. Shape (n, 1).
        bound: Length of 1, in steps.
    """
    lengths = np.sqrt((values**2).sum(axis=1, keepdims=True))
    shrink = np.minimum(1.0, most / np.maximum(lengths, np.finfo(np.float64).tiny))
    # A length of at most 2,048 numbers errs by less than 2^-40 of itself, and the squares of whole
    # numbers add up to a whole number: it cannot pass bound² by less than one.
    return np.asarray(np.trunc(values * shrink * bound))
