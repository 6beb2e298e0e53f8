"""Sums over labeled items that a softmax head can be solved from.

Two additive values: ``HeadSums`` (the Gram matrix, once per change of the labels) and
``GradientSums`` (one per exchange, at the head that was broadcast). Both are whole numbers and
obey one law: the sum over any split of the rows has the same bits (see ``fixed_point`` for the
budget). A device with few labeled items has a Gram matrix of low rank that gives its items away,
so neither may leave a device except under a sum.

Source: Böhning 1992, "Multinomial logistic regression algorithm", Ann. Inst. Stat. Math. 44, for
    why the Gram matrix is the second-order part that does not depend on the head.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.aggregation.fixed_point import (
    BLOCK_ROWS,
    INPUT_FRACTION,
    LOSS_LIMIT_NATS,
    MAX_WIDTH,
    TERM_FRACTION,
    TOTAL_WEIGHT_LIMIT,
    WEIGHT_FRACTION,
    check_inputs,
    fixed_weights,
    softmax,
)
from strategies.aggregation.head import Head, logits, predict

__all__ = ["GradientSums", "Head", "HeadSums", "gradient_sums", "head_sums", "predict"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadSums:
    """The weighted Gram matrix of the labeled inputs, summed over devices.

    Attributes:
        gram: Upper triangle by rows of sum of w·x·x', in steps of 2^-30. Shape (p(p+1)/2,), int64.
        weight: Sum of the sample weights in steps of 2^-12.
    """

    gram: NDArray[np.int64]
    weight: int

    def __post_init__(self) -> None:
        """Refuse a triangle that is none, and totals that could overflow."""
        _triangle_side(self.gram)
        _check_total(self.weight)

    @classmethod
    def empty(cls, *, width: int) -> Self:
        """Return the sums of no item."""
        return cls(gram=np.zeros(width * (width + 1) // 2, dtype=np.int64), weight=0)

    @classmethod
    def from_vector(cls, vector: NDArray[np.int64]) -> Self:
        """Read back what ``to_vector`` wrote; the width follows from the length."""
        _check_vector(vector, at_least=2)
        return cls(weight=int(vector[0]), gram=vector[1:].copy())

    def to_vector(self) -> NDArray[np.int64]:
        """Return the sums as one additive vector. Shape (1 + p(p+1)/2,)."""
        return np.concatenate([np.array([self.weight], dtype=np.int64), self.gram])

    def __add__(self, other: "HeadSums") -> "HeadSums":
        _check_same("gram", self.gram, other.gram)
        return HeadSums(gram=self.gram + other.gram, weight=self.weight + other.weight)

    def __sub__(self, other: "HeadSums") -> "HeadSums":
        _check_same("gram", self.gram, other.gram)
        return HeadSums(gram=self.gram - other.gram, weight=self.weight - other.weight)

    @property
    def width(self) -> int:
        """How many inputs, bias included."""
        return _triangle_side(self.gram)

    @property
    def total_weight(self) -> float:
        """The sum of the sample weights as a real number."""
        return self.weight * 2.0**-WEIGHT_FRACTION

    def matrix(self) -> NDArray[np.float64]:
        """Return the whole Gram matrix as real numbers. Shape (p, p)."""
        rows, columns = _triangle(self.width)
        full = np.zeros((self.width, self.width))
        full[rows, columns] = self.gram * 2.0 ** -(WEIGHT_FRACTION + 2 * INPUT_FRACTION)
        return full + np.triu(full, 1).T


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientSums:
    """Gradient and loss of the cross entropy at one head, summed over devices.

    Attributes:
        gradient: Sum of w·x·(p - t)', in steps of 2^-29. Shape (p, k), int64.
        loss: Sum of w times the cross entropy in nats, in steps of 2^-20.
        weight: Sum of the sample weights in steps of 2^-12.
    """

    gradient: NDArray[np.int64]
    loss: int
    weight: int

    def __post_init__(self) -> None:
        """Refuse totals that could overflow."""
        if self.gradient.ndim != 2 or 0 in self.gradient.shape:
            raise ShapeError("gradient", self.gradient.shape, ("p", "k"))
        _check_total(self.weight)

    @classmethod
    def empty(cls, *, width: int, classes: int) -> Self:
        """Return the sums of no item."""
        return cls(gradient=np.zeros((width, classes), dtype=np.int64), loss=0, weight=0)

    @classmethod
    def from_vector(cls, vector: NDArray[np.int64], *, classes: int) -> Self:
        """Read back what ``to_vector`` wrote."""
        _check_vector(vector, at_least=2 + classes)
        if classes < 1 or (len(vector) - 2) % classes:
            raise ShapeError("gradient sums", vector.shape, ("2 + p * k",))
        gradient = vector[2:].reshape(-1, classes).copy()
        return cls(loss=int(vector[0]), weight=int(vector[1]), gradient=gradient)

    def to_vector(self) -> NDArray[np.int64]:
        """Return the sums as one additive vector. Shape (2 + p·k,)."""
        return np.concatenate(
            [np.array([self.loss, self.weight], dtype=np.int64), self.gradient.ravel()]
        )

    def __add__(self, other: "GradientSums") -> "GradientSums":
        _check_same("gradient", self.gradient, other.gradient)
        return GradientSums(
            gradient=self.gradient + other.gradient,
            loss=self.loss + other.loss,
            weight=self.weight + other.weight,
        )

    @property
    def total_weight(self) -> float:
        """The sum of the sample weights as a real number."""
        return self.weight * 2.0**-WEIGHT_FRACTION

    @property
    def gradient_values(self) -> NDArray[np.float64]:
        """The gradient as real numbers. Shape (p, k)."""
        return self.gradient.astype(np.float64) * 2.0 ** -(TERM_FRACTION + INPUT_FRACTION)

    @property
    def loss_nats(self) -> float:
        """The summed cross entropy as a real number."""
        return self.loss * 2.0**-TERM_FRACTION


def head_sums(inputs: NDArray[np.float64], weight: NDArray[np.float64]) -> HeadSums:
    """Return the Gram matrix of these inputs, exactly.

    Args:
        inputs: What ``Representation.inputs`` gives. Shape (n, p).
        weight: Sample weights, 0 to 16. Shape (n,).

    >>> head_sums(np.array([[512.0, 1024.0]]), np.array([1.0])).matrix()
    array([[1., 2.],
           [2., 4.]])
    """
    check_inputs(inputs)
    steps = _row_weights(inputs, weight)
    width = inputs.shape[1]
    total = np.zeros((width, width), dtype=np.int64)
    for rows in _blocks(len(inputs)):
        block = inputs[rows]
        total += ((block * steps[rows, None]).T @ block).astype(np.int64)
    return HeadSums(gram=total[_triangle(width)], weight=int(steps.sum()))


def gradient_sums(
    inputs: NDArray[np.float64],
    targets: NDArray[np.float64],
    weight: NDArray[np.float64],
    head: Head,
) -> GradientSums:
    """Return gradient and loss of the weighted cross entropy at this head, exactly.

    Args:
        inputs: What ``Representation.inputs`` gives. Shape (n, p).
        targets: Soft labels; rows sum to 1. Shape (n, k).
        weight: Sample weights, 0 to 16. Shape (n,).
        head: The head that was broadcast.
    """
    steps = _row_weights(inputs, weight)
    if targets.shape != (len(inputs), head.classes):
        raise ShapeError("targets", targets.shape, (len(inputs), head.classes))
    if not bool(np.all(targets >= 0)) or not bool(np.all(np.abs(targets.sum(axis=1) - 1) < 1e-4)):
        raise InputError("targets must be probabilities whose rows sum to 1")
    probabilities, log_probabilities = softmax(logits(inputs, head))
    share = (steps * 2.0**-WEIGHT_FRACTION)[:, None]
    residual = np.rint(share * (probabilities - targets) * 2.0**TERM_FRACTION)
    # Class by class, each product rounded on its own: a dot product would depend on the kernel.
    nats = np.minimum(np.maximum(-log_probabilities * targets, 0.0), LOSS_LIMIT_NATS)
    loss = int(np.rint(share * nats * 2.0**TERM_FRACTION).astype(np.int64).sum())
    total = np.zeros((head.width, head.classes), dtype=np.int64)
    for rows in _blocks(len(inputs)):
        total += (inputs[rows].T @ residual[rows]).astype(np.int64)
    return GradientSums(gradient=total, loss=loss, weight=int(steps.sum()))


def _row_weights(inputs: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return one fixed-point weight per row of inputs."""
    if weight.shape != (len(inputs),):
        raise ShapeError("weight", weight.shape, (len(inputs),))
    return fixed_weights(weight)


def _blocks(rows: int) -> list[slice]:
    """Cut rows into blocks whose sums a float64 holds exactly."""
    return [slice(start, start + BLOCK_ROWS) for start in range(0, rows, BLOCK_ROWS)]


@lru_cache(maxsize=4)
def _triangle(width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return row and column numbers of the upper triangle."""
    rows, columns = np.triu_indices(width)
    return rows, columns


def _triangle_side(gram: NDArray[np.int64]) -> int:
    """Return the width whose upper triangle this is."""
    side = (math.isqrt(8 * gram.size + 1) - 1) // 2
    if gram.ndim != 1 or side * (side + 1) // 2 != gram.size or not 1 <= side <= MAX_WIDTH:
        raise ShapeError("gram", gram.shape, ("p(p+1)/2",))
    return side


def _check_vector(vector: NDArray[np.int64], *, at_least: int) -> None:
    if vector.ndim != 1 or len(vector) < at_least or vector.dtype != np.int64:
        raise ShapeError("vector", vector.shape, (f"{at_least}.., int64",))


def _check_total(weight: int) -> None:
    if not 0 <= weight < TOTAL_WEIGHT_LIMIT:
        raise InputError("summed sample weights must lie in 0..2^25; use smaller weights")


def _check_same(name: str, ours: NDArray[np.int64], theirs: NDArray[np.int64]) -> None:
    if ours.shape != theirs.shape:
        raise ShapeError(name, theirs.shape, ours.shape)
