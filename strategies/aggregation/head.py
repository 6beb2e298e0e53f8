"""The softmax head in fixed point: what is broadcast, and what it predicts.

Logits are exact whole numbers (see ``fixed_point``), so a prediction has the same bits on every
machine and in any batch.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.aggregation.fixed_point import (
    HEAD_COLUMN_LIMIT,
    HEAD_FRACTION,
    MAX_WIDTH,
    check_inputs,
    probabilities,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A softmax head in fixed point, as it is broadcast.

    Attributes:
        weights: In steps of 2^-20, the last row is the bias. Shape (p, k), int64.
    """

    weights: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Refuse a head whose logits might not be exact."""
        if self.weights.ndim != 2 or 0 in self.weights.shape or len(self.weights) > MAX_WIDTH:
            raise ShapeError("head weights", self.weights.shape, (f"1..{MAX_WIDTH}", "k"))
        if self.weights.dtype != np.int64:
            raise InputError(f"head weights must be int64, got {self.weights.dtype}")
        # Summed as floats: the integer sum of hostile weights could wrap around to something small.
        if np.any(np.abs(self.weights.astype(np.float64)).sum(axis=0) >= HEAD_COLUMN_LIMIT):
            raise InputError("head weights of one class must sum to less than 2^20 in magnitude")

    @classmethod
    def zeros(cls, *, width: int, classes: int) -> Self:
        """Return the head that finds every class equally likely."""
        return cls(weights=np.zeros((width, classes), dtype=np.int64))

    @classmethod
    def from_values(cls, values: NDArray[np.float64]) -> Self:
        """Round real weights to steps of 2^-20.

        Args:
            values: Real weights. Shape (p, k).

        Raises:
            InputError: A weight is not finite, or a class's weights are beyond 2^20.

        >>> Head.from_values(np.array([[0.5, -0.5]])).values
        array([[ 0.5, -0.5]])
        """
        steps = np.rint(np.asarray(values, dtype=np.float64) * 2.0**HEAD_FRACTION)
        if not bool(np.all(np.abs(steps) < HEAD_COLUMN_LIMIT)):
            raise InputError("head weights must be finite and below 2^20")
        return cls(weights=steps.astype(np.int64))

    @property
    def values(self) -> NDArray[np.float64]:
        """The weights as real numbers. Shape (p, k)."""
        return self.weights.astype(np.float64) * 2.0**-HEAD_FRACTION

    @property
    def width(self) -> int:
        """How many inputs the head takes, bias included."""
        return int(self.weights.shape[0])

    @property
    def classes(self) -> int:
        """How many classes the head tells apart."""
        return int(self.weights.shape[1])


def predict(inputs: NDArray[np.float64], head: Head) -> NDArray[np.float64]:
    """Return class probabilities, the same bits on every machine. Shape (n, k).

    >>> predict(np.array([[512.0]]), Head.zeros(width=1, classes=4))
    array([[0.25, 0.25, 0.25, 0.25]])
    """
    return probabilities(logits(inputs, head))


def logits(inputs: NDArray[np.float64], head: Head) -> NDArray[np.float64]:
    """Return exact logits in steps of 2^-29. Shape (n, k)."""
    check_inputs(inputs)
    if inputs.shape[1] != head.width:
        raise ShapeError("inputs", inputs.shape, ("n", head.width))
    return inputs @ head.weights.astype(np.float64)
