"""Updates of a whole network: trained on each device, cut to a length, in numbers that add up.

Parameters travel in steps of 2^-20, which float32 holds exactly up to ±16, so a device trains from
the very numbers the coordinator keeps. What comes back is not the new parameters but how far they
moved, cut to a length that was announced, times the items it was learnt from: a device can pull
the mean no further than its items say, and a sum over devices is the same bits under any split.

Bit budget: a length is at most 2^8, so an entry has 28 bits and a sign; times 2^25 whole items of
one device that is 53 bits, which leaves an int64 room for 2^10 devices that are all full to the
brim, and for 2^20 that hold 2^15 items.

Source: McMahan et al. 2017, arXiv:1602.05629, algorithm 1, weights by items; McMahan et al. 2018,
    arXiv:1710.06963, section 2.2, for flat clipping.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.aggregation.fixed_point import TOTAL_WEIGHT_LIMIT, WEIGHT_FRACTION

PARAMETER_FRACTION = 20
LARGEST_CLIP = 256.0
MOST_ITEMS = TOTAL_WEIGHT_LIMIT >> WEIGHT_FRACTION
# beyond this nothing was learnt but how to overflow
_LARGEST_PARAMETER = 1 << 12


def to_steps(parameters: Sequence[NDArray[np.float32]]) -> NDArray[np.int64]:
    """Return parameters as one vector of whole numbers, in the order given. Shape (p,).

    Raises:
        InputError: a parameter is not finite, or beyond 4,096.

    >>> to_steps([np.array([[0.5, -1.0]], np.float32), np.zeros(1, np.float32)])
    array([  524288, -1048576,        0])
    """
    flat = [np.asarray(array, np.float64).ravel() for array in parameters]
    values = np.concatenate(flat) if flat else np.empty(0)
    # a NaN fails the comparison too
    if not bool(np.all(np.abs(values) <= _LARGEST_PARAMETER)):
        raise InputError(f"a parameter is not within ±{_LARGEST_PARAMETER}; it does not travel")
    return np.rint(values * 2.0**PARAMETER_FRACTION).astype(np.int64)


def from_steps(
    vector: NDArray[np.int64], shapes: Sequence[tuple[int, ...]]
) -> list[NDArray[np.float32]]:
    """Return the parameters of these shapes that a vector holds, in order.

    Raises:
        ShapeError: the vector is longer or shorter than they are together.
        InputError: a parameter is beyond 4,096.
    """
    sizes = [int(np.prod(shape, dtype=np.int64)) for shape in shapes]
    if vector.shape != (sum(sizes),):
        raise ShapeError("parameters", vector.shape, (sum(sizes),))
    if np.any(np.abs(vector) > _LARGEST_PARAMETER << PARAMETER_FRACTION):
        raise InputError(f"a parameter is not within ±{_LARGEST_PARAMETER}; it is not trained from")
    values = (vector * 2.0**-PARAMETER_FRACTION).astype(np.float32)
    parts = np.split(values, np.cumsum(sizes)[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepUpdate:
    """How far parameters moved, times the items that moved them; adds up over devices.

    Attributes:
        product: Sum of moves (steps of 2^-20) times whole items. Shape (p,), int64.
        items: Sum of the items.
    """

    product: NDArray[np.int64]
    items: int

    @classmethod
    def empty(cls, size: int) -> Self:
        """Return the sum over no device."""
        return cls(product=np.zeros(size, dtype=np.int64), items=0)

    @classmethod
    def from_vector(cls, vector: NDArray[np.int64]) -> Self:
        """Read back what `to_vector` wrote."""
        if vector.ndim != 1 or len(vector) < 2 or vector.dtype != np.int64:
            raise ShapeError("deep update", vector.shape, ("1 + p",))
        return cls(product=vector[1:].copy(), items=int(vector[0]))

    def to_vector(self) -> NDArray[np.int64]:
        """Return the numbers that are summed. Shape (1 + p,)."""
        return np.concatenate([np.array([self.items], dtype=np.int64), self.product])

    def __add__(self, other: "DeepUpdate") -> "DeepUpdate":
        if other.product.shape != self.product.shape:
            raise ShapeError("deep update", other.product.shape, self.product.shape)
        return DeepUpdate(product=self.product + other.product, items=self.items + other.items)

    @property
    def mean(self) -> NDArray[np.float64]:
        """The mean move by items, in parameter units; zero where nobody trained. Shape (p,)."""
        return np.asarray(self.product * (2.0**-PARAMETER_FRACTION / max(self.items, 1)))


def deep_update(
    before: NDArray[np.int64], after: NDArray[np.int64], *, weight: float, clip: float
) -> DeepUpdate:
    """Return one device's move, no longer than the clip, weighted by its items.

    Args:
        before: Parameters that were sent. Shape (p,).
        after: Parameters after local training.
        weight: Sum of the sample weights; rounded up to whole items, for a sum tells less of whole
            numbers.
        clip: Largest L2 length let through, in parameter units; above 0, to 256.

    Raises:
        ShapeError: the two are not of one network.
        InputError: the weight or the clip is out of range.

    >>> moved = deep_update(np.zeros(2, np.int64), to_steps([np.float32([3, 4])]), weight=2, clip=1)
    >>> moved.mean.round(3), moved.items
    (array([0.6, 0.8]), 2)
    """
    if after.shape != before.shape or before.ndim != 1:
        raise ShapeError("trained parameters", after.shape, before.shape)
    if not 0.0 < clip <= LARGEST_CLIP:
        raise InputError(f"clip: expected above 0, to {LARGEST_CLIP:g}, got {clip}")
    if not 0.0 <= weight < MOST_ITEMS:
        raise InputError(f"lessons weigh {weight}; a device teaches with less than {MOST_ITEMS}")
    moved = after - before
    length = float(np.linalg.norm(moved.astype(np.float64))) * 2.0**-PARAMETER_FRACTION
    if length > clip:
        # towards zero, so that rounding makes no move longer
        moved = np.trunc(moved * (clip / length)).astype(np.int64)
    items = int(np.ceil(weight))
    return DeepUpdate(product=moved * items, items=items)


def is_deep_update(vector: NDArray[np.int64], *, size: int, clip: float) -> bool:
    """Return whether a device's vector is an update of so many parameters, cut to this clip.

    The length is checked for each entry only, but as a whole: who lies can move the mean by as much
    as its items say, and no further.
    """
    if len(vector) != size + 1 or not 0 <= vector[0] < MOST_ITEMS:
        return False
    longest = float(vector[0]) * clip * 2.0**PARAMETER_FRACTION
    # in floats: the square of a forged entry may not fit a whole number
    return bool(np.linalg.norm(vector[1:].astype(np.float64)) <= longest * (1 + 1e-9))
