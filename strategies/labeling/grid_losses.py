"""Log-losses summed over items at every point of a grid: one exchange settles a setting."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError

UNIT = 1 << 16
LEAST_PROBABILITY = 1e-6  # bounds what one vote or item can add


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GridLosses:
    """Losses of one device, or of many, in multiples of 2^-16 nats.

    Attributes:
        count: How many predictions were scored.
        losses: Their summed log-loss at each point of the grid. Shape (g,), int64.

    >>> a = GridLosses.of([np.array([1.0, 0.5]), np.array([0.25, 0.5])])
    >>> a.count, (a.losses / UNIT).round(3).tolist()
    (2, [0.693, 2.079])
    >>> (a + a).count
    4
    """

    count: int
    losses: NDArray[np.int64]

    @classmethod
    def none(cls, points: int) -> "GridLosses":
        """Return the losses of nothing, the start of every sum."""
        return cls(count=0, losses=np.zeros(points, dtype=np.int64))

    @classmethod
    def of(cls, probabilities: list[NDArray[np.float64]]) -> "GridLosses":
        """Sum the losses of what came true.

        Args:
            probabilities: Per point of the grid, what was given to what came true. Each (s,).
        """
        # rounded one by one, so that no way of sharing items out changes the sum
        losses = []
        for given in probabilities:
            loss = np.log(np.maximum(given, LEAST_PROBABILITY))
            loss *= -UNIT
            loss += 0.5
            losses.append(int(np.floor(loss, out=loss).sum()))
        return cls(count=len(probabilities[0]), losses=np.asarray(losses, dtype=np.int64))

    def __add__(self, other: "GridLosses") -> "GridLosses":
        """Return the losses over both sets of items."""
        if not isinstance(other, GridLosses):
            return NotImplemented
        if self.losses.shape != other.losses.shape:
            raise ShapeError("losses", other.losses.shape, self.losses.shape)
        return GridLosses(count=self.count + other.count, losses=self.losses + other.losses)

    @property
    def nats(self) -> NDArray[np.float64]:
        """The summed loss at each point of the grid. Shape (g,)."""
        return self.losses / UNIT

    def to_vector(self) -> NDArray[np.int64]:
        """Return the numbers to send: the count, then the losses."""
        return np.concatenate([np.array([self.count], dtype=np.int64), self.losses])

    @classmethod
    def from_vector(cls, vector: NDArray[np.int64], *, points: int) -> "GridLosses":
        """Return the losses that to_vector sent.

        Raises:
            ShapeError: vector has not the length of so many points.
            InputError: vector does not hold integers.
        """
        if vector.shape != (points + 1,):
            raise ShapeError("vector", vector.shape, (points + 1,))
        if vector.dtype != np.int64:
            raise InputError(f"losses are sent as int64, got {vector.dtype}")
        return cls(count=int(vector[0]), losses=vector[1:].copy())
