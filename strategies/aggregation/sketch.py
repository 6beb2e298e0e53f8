"""A sketch of the labeled inputs' Gram matrix: all of it that a solver's step needs.

The Gram matrix G = sum of w·x·x' shapes the steps of the solver and never its answer, so a device
does not send it. It sends Y = G·Omega instead, with Omega a matrix of random signs that the whole
fleet makes from one seed: p·r whole numbers in place of p(p+1)/2. Y adds up as G does, and the
sum over any split of the rows has the same bits (see ``fixed_point`` for the budget). A sketch of
few items gives them away as their Gram matrix would: it may leave a device only under a sum.

Source: Frangella, Tropp and Udell 2021, "Randomized Nyström preconditioning", arXiv:2110.02820,
    algorithm 2.1 step 3, with signs in place of orthonormalised Gaussians: signs are whole numbers.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from fieldvote.rng import stream
from strategies.aggregation.fixed_point import (
    INPUT_FRACTION,
    INPUT_LIMIT,
    MAX_WIDTH,
    ROOT_FRACTION,
    WEIGHT_FRACTION,
    check_inputs,
    check_total_weight,
    row_blocks,
    row_weights,
)

# Twice as wide saves half an exchange a round and costs two where there are two classes.
MAX_RANK = 8

# Rounding makes a row longer by at most this, squared: 16.5² / 16² at the least weight there is.
_ROUNDING = 1.07


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadSums:
    """The sketched Gram matrix of the labeled inputs, summed over devices.

    Attributes:
        sketch: Sum of w·x·(x'·Omega), in steps of 2^-12. Shape (p, r), int64, r = min(p, 8).
        weight: Sum of the sample weights in steps of 2^-12.
    """

    sketch: NDArray[np.int64]
    weight: int

    def __post_init__(self) -> None:
        """Refuse what is no sketch, and totals that could overflow."""
        width = len(self.sketch)
        if self.sketch.shape != (width, rank_of(width)) or not 1 <= width <= MAX_WIDTH:
            raise ShapeError("sketch", self.sketch.shape, ("p", f"min(p, {MAX_RANK})"))
        check_total_weight(self.weight)

    @classmethod
    def empty(cls, *, width: int) -> Self:
        """Return the sums of no item."""
        return cls(sketch=np.zeros((width, rank_of(width)), dtype=np.int64), weight=0)

    @classmethod
    def from_vector(cls, vector: NDArray[np.int64]) -> Self:
        """Read back what ``to_vector`` wrote; the width follows from the length.

        Raises:
            ShapeError: No sketch has this length.
            InputError: No items of this weight have such a sketch; sums with it might overflow.
        """
        if vector.ndim != 1 or vector.dtype != np.int64 or not len(vector):
            raise ShapeError("head sums", vector.shape, ("1 + p * r, int64",))
        width = _width_of(len(vector) - 1)
        sums = cls(weight=int(vector[0]), sketch=vector[1:].reshape(width, -1).copy())
        longest = INPUT_LIMIT * 2.0 ** (ROOT_FRACTION - INPUT_FRACTION)
        # As floats: the magnitude of the lowest int64 is none.
        if np.abs(vector[1:] * 1.0).max() > _ROUNDING * sums.total_weight * width * longest**2:
            raise InputError("a sketch must not be larger than its weight allows")
        return sums

    def to_vector(self) -> NDArray[np.int64]:
        """Return the sums as one additive vector. Shape (1 + p·r,)."""
        return np.concatenate([np.array([self.weight], dtype=np.int64), self.sketch.ravel()])

    def __add__(self, other: "HeadSums") -> "HeadSums":
        self._check_same(other)
        return HeadSums(sketch=self.sketch + other.sketch, weight=self.weight + other.weight)

    def __sub__(self, other: "HeadSums") -> "HeadSums":
        self._check_same(other)
        return HeadSums(sketch=self.sketch - other.sketch, weight=self.weight - other.weight)

    def scaled(self, share: float) -> "HeadSums":
        """Return the sums as if every item weighed this share of what it does, rounded.

        Args:
            share: 0 to 1.
        """
        return HeadSums(
            sketch=np.rint(self.sketch * share).astype(np.int64), weight=round(self.weight * share)
        )

    @property
    def width(self) -> int:
        """How many inputs, bias included."""
        return len(self.sketch)

    @property
    def total_weight(self) -> float:
        """The sum of the sample weights as a real number."""
        return self.weight * 2.0**-WEIGHT_FRACTION

    @property
    def sketch_values(self) -> NDArray[np.float64]:
        """The sketch as real numbers. Shape (p, r)."""
        return self.sketch.astype(np.float64) * 4.0**-ROOT_FRACTION

    def _check_same(self, other: "HeadSums") -> None:
        if other.sketch.shape != self.sketch.shape:
            raise ShapeError("sketch", other.sketch.shape, self.sketch.shape)


def head_sums(inputs: NDArray[np.float64], weight: NDArray[np.float64], *, seed: int) -> HeadSums:
    """Return the sketched Gram matrix of these inputs, exactly but for the rounding of each row.

    Args:
        inputs: What ``Representation.inputs`` gives. Shape (n, p).
        weight: Sample weights, 0 to 16. Shape (n,).
        seed: Names the projection; sums add only under one seed.

    >>> head_sums(np.array([[512.0, 1024.0]]), np.array([1.0]), seed=1).sketch_values
    array([[1., 2.],
           [2., 4.]])
    """
    check_inputs(inputs)
    steps = row_weights(inputs, weight)
    # Half of the weight in each factor: the sketch is then exactly that of the rounded rows' Gram
    # matrix, which is positive whatever the rounding.
    roots = np.sqrt(steps * 2.0**-WEIGHT_FRACTION) * 2.0 ** (ROOT_FRACTION - INPUT_FRACTION)
    width = inputs.shape[1]
    signs = projection(width, seed=seed)
    total = np.zeros(signs.shape, dtype=np.int64)
    for rows in row_blocks(len(inputs)):
        rounded = np.rint(inputs[rows] * roots[rows, None])
        total += (rounded.T @ (rounded @ signs)).astype(np.int64)
    return HeadSums(sketch=total, weight=int(steps.sum()))


@lru_cache(maxsize=4)
def projection(width: int, *, seed: int) -> NDArray[np.float64]:
    """Return Omega: random signs, or the identity where the whole matrix is as small as a sketch.

    Returns:
        Shape (p, min(p, 8)); not to be written to.
    """
    rank = rank_of(width)
    if rank == width:
        return _frozen(np.eye(width))
    signs = stream(seed, "sketch of the head", width).integers(0, 2, size=(width, rank))
    return _frozen(2.0 * signs.astype(np.float64) - 1.0)


def rank_of(width: int) -> int:
    """Return how many columns the sketch of so many inputs has, r."""
    return min(width, MAX_RANK)


def sketch_length(width: int) -> int:
    """Return how many numbers ``HeadSums.to_vector`` gives for so many inputs."""
    return 1 + width * rank_of(width)


def _width_of(entries: int) -> int:
    """Return the width whose sketch has so many entries."""
    width = math.isqrt(entries) if entries <= MAX_RANK**2 else entries // MAX_RANK
    if not 1 <= width <= MAX_WIDTH or width * rank_of(width) != entries:
        raise ShapeError("head sums", (entries + 1,), (f"1 + p * min(p, {MAX_RANK})",))
    return width


def _frozen(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    matrix.setflags(write=False)
    return matrix
