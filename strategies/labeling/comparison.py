"""Model against majority vote, item by item, where the truth is known: which of the two to use.

Both are always reported. Majority is used only where it is better beyond a paired 95 % interval:
on a few answers the difference is mostly luck, and the model is the better bet before any.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.labeling.majority import majority_vote
from strategies.labeling.model import LabelModel
from strategies.labeling.votes import checked_labels, checked_votes

UNIT = 1 << 20
"""Points are counted in multiples of 2^-20: who shares first place gets a share of the point."""
TIE = 1e-12
NORMAL_95 = 1.959963984540054  # two-sided 95 % point of the normal distribution
FEWEST_ITEMS = 10  # below, no interval of this kind means anything


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedComparison:
    """Points of both on answered items, summed; adds up over devices.

    Attributes:
        items: How many were compared.
        model: Points of the label model, in multiples of 2^-20.
        majority: Points of the majority vote, in multiples of 2^-20.
        squares: Squared differences of points, in multiples of 2^-20.

    >>> sums = PairedComparison(items=100, model=60 * UNIT, majority=80 * UNIT, squares=30 * UNIT)
    >>> sums.difference, [round(end, 2) for end in sums.interval]
    (-0.2, [-0.3, -0.1])
    >>> sums.majority_is_better
    True
    """

    items: int
    model: int
    majority: int
    squares: int

    @classmethod
    def none(cls) -> "PairedComparison":
        """Return the comparison of nothing, the start of every sum."""
        return cls(items=0, model=0, majority=0, squares=0)

    @classmethod
    def from_votes(
        cls, model: LabelModel, votes: ArrayLike, labels: ArrayLike
    ) -> "PairedComparison":
        """Compare on answered items.

        Args:
            model: The model as received.
            votes: Shape (n, m), integers, -1 abstains.
            labels: True classes. Shape (n,).

        Raises:
            ShapeError, InputError: votes or labels are not what they should be.
        """
        matrix = checked_votes(votes, model.classes, functions=model.functions)
        truth = checked_labels(labels, model.classes, items=len(matrix))
        ours = _points(model.predict(matrix), truth)
        theirs = _points(majority_vote(matrix, model.classes), truth)
        apart = (ours - theirs) / UNIT
        return cls(
            items=len(truth),
            model=int(ours.sum()),
            majority=int(theirs.sum()),
            squares=int(np.floor(apart * apart * UNIT + 0.5).astype(np.int64).sum()),
        )

    def __add__(self, other: "PairedComparison") -> "PairedComparison":
        """Return the comparison over both sets of items."""
        if not isinstance(other, PairedComparison):
            return NotImplemented
        return PairedComparison(
            items=self.items + other.items,
            model=self.model + other.model,
            majority=self.majority + other.majority,
            squares=self.squares + other.squares,
        )

    @property
    def difference(self) -> float:
        """Accuracy of the model less that of the majority vote; 0 where nothing was compared."""
        return (self.model - self.majority) / UNIT / max(self.items, 1)

    @property
    def interval(self) -> tuple[float, float]:
        """The paired 95 % interval of the difference; everything where little was compared."""
        if self.items < FEWEST_ITEMS:
            return -1.0, 1.0
        variance = self.squares / UNIT / self.items - self.difference**2
        half = NORMAL_95 * float(np.sqrt(max(variance, 0.0) / (self.items - 1)))
        return self.difference - half, self.difference + half

    @property
    def majority_is_better(self) -> bool:
        """Whether majority vote is to be used in place of the model."""
        return self.interval[1] < 0

    def to_vector(self) -> NDArray[np.int64]:
        """Return the numbers to send: items, model, majority, squares."""
        return np.array([self.items, self.model, self.majority, self.squares], dtype=np.int64)

    @classmethod
    def from_vector(cls, vector: NDArray[np.int64]) -> "PairedComparison":
        """Return the comparison that to_vector sent.

        Raises:
            ShapeError: vector does not hold four numbers.
            InputError: vector does not hold integers.
        """
        if vector.shape != (4,):
            raise ShapeError("vector", vector.shape, (4,))
        if vector.dtype != np.int64:
            raise InputError(f"a comparison is sent as int64, got {vector.dtype}")
        items, model, majority, squares = (int(number) for number in vector)
        return cls(items=items, model=model, majority=majority, squares=squares)


def _points(p: NDArray[np.float64], truth: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return one point per item, shared among the likeliest classes. Shape (n,)."""
    first = p >= p.max(axis=1, keepdims=True, initial=0.0) - TIE
    share = first[np.arange(len(p)), truth] / np.maximum(first.sum(axis=1), 1)
    return np.asarray(np.floor(share * UNIT + 0.5), dtype=np.int64)
