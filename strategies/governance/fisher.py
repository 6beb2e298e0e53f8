"""Elastic weight consolidation: weights that what was learned rests on are held, others move.

The Fisher diagonal says how much the model's answers depend on each weight. It is a sum over items,
of whole numbers: the sum over any split has the same bits, and it can be summed under masks. The
head's has a closed form; deeper layers give squares of per-sample gradients.

Source: Kirkpatrick et al. 2017, arXiv:1612.00796, equation 3 (the penalty); the head's diagonal is
the expectation over the model's own answers, which for a softmax is w·x²·p(1 - p).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.aggregation.fixed_point import (
    INPUT_FRACTION,
    RESIDUAL_FRACTION,
    WEIGHT_FRACTION,
    check_total_weight,
    row_blocks,
    row_weights,
)
from strategies.aggregation.head import Head, predict

FISHER_FRACTION = 2 * INPUT_FRACTION + RESIDUAL_FRACTION
MOST_SQUARE = float(1 << 7)
"""The largest squared gradient of one sample that is counted; a larger one is cut to it. With all
weights below 2^25 a sum stays below 2^62."""
_MOST_PER_WEIGHT = FISHER_FRACTION - WEIGHT_FRACTION + 7  # bits, of either kind of sample


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FisherSums:
    """The Fisher diagonal of flat parameters, summed over samples.

    Attributes:
        diagonal: In steps of 2^-30. Shape (p,), int64.
        weight: Sum of the sample weights in steps of 2^-12.
    """

    diagonal: NDArray[np.int64]
    weight: int

    def __post_init__(self) -> None:
        if self.diagonal.ndim != 1:
            raise ShapeError("diagonal", self.diagonal.shape, ("p",))
        if self.diagonal.dtype != np.int64 or not bool(np.all(self.diagonal >= 0)):
            raise InputError("a Fisher diagonal is int64 and never negative")
        check_total_weight(self.weight)
        # A device that claims more than its weight could hold the model in place for good.
        if bool(np.any(self.diagonal > self.weight << _MOST_PER_WEIGHT)):
            raise InputError("a Fisher diagonal is beyond what so much weight can have")

    @classmethod
    def none(cls, *, parameters: int) -> "FisherSums":
        """Return the sums of no sample."""
        return cls(diagonal=np.zeros(parameters, dtype=np.int64), weight=0)

    def __add__(self, other: "FisherSums") -> "FisherSums":
        """Return the sums over both sets of samples."""
        if not isinstance(other, FisherSums):
            return NotImplemented
        if other.diagonal.shape != self.diagonal.shape:
            raise ShapeError("diagonal", other.diagonal.shape, self.diagonal.shape)
        return FisherSums(
            diagonal=self.diagonal + other.diagonal, weight=self.weight + other.weight
        )

    @property
    def total(self) -> NDArray[np.float64]:
        """The summed diagonal in real numbers: as strong as the samples are many. Shape (p,)."""
        return self.diagonal.astype(np.float64) * 2.0**-FISHER_FRACTION

    @property
    def mean(self) -> NDArray[np.float64]:
        """The diagonal per unit of sample weight; 0 without samples. Shape (p,)."""
        return self.total / max(self.weight * 2.0**-WEIGHT_FRACTION, 2.0**-WEIGHT_FRACTION)

    def to_vector(self) -> NDArray[np.int64]:
        """Return the numbers to send. Shape (1 + p,)."""
        return np.concatenate([np.array([self.weight], dtype=np.int64), self.diagonal])

    @classmethod
    def from_vector(cls, vector: NDArray[np.int64]) -> "FisherSums":
        """Return the sums that to_vector sent."""
        if vector.ndim != 1 or not len(vector):
            raise ShapeError("vector", vector.shape, ("1 + p",))
        return cls(weight=int(vector[0]), diagonal=vector[1:].copy())


def head_fisher(inputs: NDArray[np.float64], weight: NDArray[np.float64], head: Head) -> FisherSums:
    """Return the head's diagonal, flattened as its weights are: the sum of w·x²·p(1 - p).

    Bit budget: x² is below 2^26, w·p(1 - p) below 2^14, and 2^11 of their products below 2^51.

    Args:
        inputs: What ``Representation.inputs`` gives. Shape (n, p).
        weight: Sample weights, 0 to 16. Shape (n,).
        head: Whose answers are to be kept.

    >>> one = head_fisher(np.array([[512.0]]), np.ones(1), Head.zeros(width=1, classes=2))
    >>> one.total.tolist()
    [0.25, 0.25]
    """
    steps = row_weights(inputs, weight)
    p = predict(inputs, head)
    share = (steps * 2.0**-WEIGHT_FRACTION)[:, None]
    bend = np.rint(share * p * (1 - p) * 2.0**RESIDUAL_FRACTION)
    total = np.zeros(head.weights.shape, dtype=np.int64)
    for rows in row_blocks(len(inputs)):
        total += ((inputs[rows] ** 2).T @ bend[rows]).astype(np.int64)
    return FisherSums(diagonal=total.ravel(), weight=int(steps.sum()))


def gradient_fisher(gradients: NDArray[np.float64], weight: NDArray[np.float64]) -> FisherSums:
    """Return the diagonal of deeper layers, from the gradient of each sample's log-probability.

    The answers should be drawn from the model (the true Fisher) or be the labels (the empirical
    one); each sample is rounded by itself.

    Args:
        gradients: One flat gradient per sample. Shape (n, p).
        weight: Sample weights, 0 to 16. Shape (n,).
    """
    if gradients.ndim != 2:
        raise ShapeError("gradients", gradients.shape, ("n", "p"))
    if not bool(np.all(np.isfinite(gradients))):
        raise InputError("gradients must be finite")
    steps = row_weights(gradients, weight)
    share = (steps * 2.0**-WEIGHT_FRACTION)[:, None]
    # cut before it is squared, so that nothing overflows
    cut = np.clip(gradients, -math.sqrt(MOST_SQUARE), math.sqrt(MOST_SQUARE))
    squares = np.minimum(cut * cut, MOST_SQUARE) * share
    whole = np.rint(squares * 2.0**FISHER_FRACTION).astype(np.int64)
    return FisherSums(diagonal=whole.sum(axis=0), weight=int(steps.sum()))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ElasticPenalty:
    """½ · strength · sum of F·(θ - θ*)²: what it costs to forget.

    Attributes:
        anchor: The parameters that were good, θ*. Shape (p,).
        importance: The Fisher diagonal, F. Shape (p,).
        strength: 1 with the summed diagonal weighs old samples as much as new ones.
    """

    anchor: NDArray[np.float64]
    importance: NDArray[np.float64]
    strength: float

    def __post_init__(self) -> None:
        if self.importance.shape != self.anchor.shape or self.anchor.ndim != 1:
            raise ShapeError("importance", self.importance.shape, self.anchor.shape)
        if not bool(np.all((self.importance >= 0) & np.isfinite(self.importance))):
            raise InputError("importance must be finite and not negative")
        if not bool(np.all(np.isfinite(self.anchor))) or not 0 <= self.strength < np.inf:
            raise InputError("expected finite parameters, and a finite strength of 0 or more")

    def value(self, parameters: NDArray[np.float64]) -> float:
        """Return the penalty at these parameters. Shape of parameters (p,)."""
        moved = self._moved(parameters)
        return 0.5 * self.strength * float((self.importance * moved * moved).sum())

    def gradient(self, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return its gradient. Shape (p,).

        >>> kept = ElasticPenalty(anchor=np.zeros(2), importance=np.array([1.0, 0.0]), strength=2.0)
        >>> kept.gradient(np.array([3.0, 3.0])).tolist()
        [6.0, 0.0]
        """
        return self.strength * self.importance * self._moved(parameters)

    def _moved(self, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how far the parameters are from where they were good."""
        if parameters.shape != self.anchor.shape:
            raise ShapeError("parameters", parameters.shape, self.anchor.shape)
        return parameters - self.anchor
