"""Sums over labeled items that a softmax head can be solved from.

Two additive values: ``HeadSums`` (a sketch of the Gram matrix, once per change of the labels; see
``sketch``) and ``GradientSums`` (one per exchange, at the head that was broadcast). Both are whole
numbers and obey one law: the sum over any split of the rows has the same bits (see
``fixed_point`` for the budget). Few labeled items can be read off either, so neither may leave a
device except under a sum.

Source: Böhning 1992, "Multinomial logistic regression algorithm", Ann. Inst. Stat. Math. 44, for
    why the Gram matrix is the second-order part that does not depend on the head.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.aggregation.fixed_point import (
    INPUT_FRACTION,
    LOSS_FRACTION,
    LOSS_LIMIT_NATS,
    RESIDUAL_FRACTION,
    WEIGHT_FRACTION,
    check_total_weight,
    row_blocks,
    row_weights,
    softmax,
)
from strategies.aggregation.head import Head, logits, predict
from strategies.aggregation.sketch import HeadSums, head_sums

__all__ = [
    "GradientSums",
    "Head",
    "HeadSums",
    "gradient_length",
    "gradient_sums",
    "head_sums",
    "predict",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientSums:
    """Gradient and loss of the cross entropy at one head, summed over devices.

    Attributes:
        gradient: Sum of w·x·(p - t)', in steps of 2^-21; rows sum to 0. Shape (p, k), int64.
        loss: Sum of w times the cross entropy in nats, in steps of 2^-16.
        weight: Sum of the sample weights in steps of 2^-12.
    """

    gradient: NDArray[np.int64]
    loss: int
    weight: int

    def __post_init__(self) -> None:
        """Refuse what is no gradient of a softmax, and totals that could overflow."""
        if self.gradient.ndim != 2 or not len(self.gradient) or self.gradient.shape[1] < 2:
            raise ShapeError("gradient", self.gradient.shape, ("p", "2.."))
        # The last class is not sent: it could not be brought back if this did not hold.
        if self.gradient.sum(axis=1).any():
            raise InputError("the gradient of a softmax sums to zero over the classes")
        check_total_weight(self.weight)

    @classmethod
    def empty(cls, *, width: int, classes: int) -> Self:
        """Return the sums of no item."""
        return cls(gradient=np.zeros((width, classes), dtype=np.int64), loss=0, weight=0)

    @classmethod
    def from_vector(cls, vector: NDArray[np.int64], *, classes: int) -> Self:
        """Read back what ``to_vector`` wrote."""
        if vector.ndim != 1 or vector.dtype != np.int64 or classes < 2:
            raise ShapeError("gradient sums", vector.shape, ("2 + p * (k - 1), int64",))
        if len(vector) < 1 + classes or (len(vector) - 2) % (classes - 1):
            raise ShapeError("gradient sums", vector.shape, ("2 + p * (k - 1)",))
        sent = vector[2:].reshape(-1, classes - 1)
        return cls(
            loss=int(vector[0]),
            weight=int(vector[1]),
            gradient=np.hstack([sent, -sent.sum(axis=1, keepdims=True)]),
        )

    def to_vector(self) -> NDArray[np.int64]:
        """Return the sums as one additive vector, without the last class. Shape (2 + p·(k-1),)."""
        opening = np.array([self.loss, self.weight], dtype=np.int64)
        return np.concatenate([opening, self.gradient[:, :-1].ravel()])

    def __add__(self, other: "GradientSums") -> "GradientSums":
        if other.gradient.shape != self.gradient.shape:
            raise ShapeError("gradient", other.gradient.shape, self.gradient.shape)
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
        return self.gradient.astype(np.float64) * 2.0 ** -(RESIDUAL_FRACTION + INPUT_FRACTION)

    @property
    def loss_nats(self) -> float:
        """The summed cross entropy as a real number."""
        return self.loss * 2.0**-LOSS_FRACTION


def gradient_sums(
    inputs: NDArray[np.float64],
    targets: NDArray[np.float64],
    weight: NDArray[np.float64],
    head: Head,
) -> GradientSums:
    """Return gradient and loss of the weighted cross entropy at this head, each item rounded once.

    Args:
        inputs: What ``Representation.inputs`` gives. Shape (n, p).
        targets: Soft labels; rows sum to 1. Shape (n, k).
        weight: Sample weights, 0 to 16. Shape (n,).
        head: The head that was broadcast.
    """
    steps = row_weights(inputs, weight)
    if targets.shape != (len(inputs), head.classes):
        raise ShapeError("targets", targets.shape, (len(inputs), head.classes))
    if not bool(np.all(targets >= 0)) or not bool(np.all(np.abs(targets.sum(axis=1) - 1) < 1e-4)):
        raise InputError("targets must be probabilities whose rows sum to 1")
    probabilities, log_probabilities = softmax(logits(inputs, head))
    share = (steps * 2.0**-WEIGHT_FRACTION)[:, None]
    residual = np.rint(share * (probabilities - targets) * 2.0**RESIDUAL_FRACTION)
    # Whole numbers sum exactly: the last class balances the others to the bit, rounding included.
    residual[:, -1] = -residual[:, :-1].sum(axis=1)
    # Class by class, each product rounded on its own: a dot product would depend on the kernel.
    nats = np.minimum(np.maximum(-log_probabilities * targets, 0.0), LOSS_LIMIT_NATS)
    loss = int(np.rint(share * nats * 2.0**LOSS_FRACTION).astype(np.int64).sum())
    total = np.zeros((head.width, head.classes), dtype=np.int64)
    for rows in row_blocks(len(inputs)):
        total += (inputs[rows].T @ residual[rows]).astype(np.int64)
    return GradientSums(gradient=total, loss=loss, weight=int(steps.sum()))


def gradient_length(*, width: int, classes: int) -> int:
    """Return how many numbers ``GradientSums.to_vector`` gives for a head of this shape."""
    return 2 + width * (classes - 1)
