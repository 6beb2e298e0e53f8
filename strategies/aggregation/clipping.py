"""Updates of a bounded length: what averaging over devices needs before it can hide one of them.

A device cuts its update to the bound, rounds it towards zero to whole steps, and adds one number
that says whether it had to cut. The ledger noises the vector; the coordinator averages, and may
move the bound towards the length that a chosen share of the devices keeps below.

With h = 1 where the update was within the bound and -1 where not, a device moves the sum, squared,
by at most STEPS² + FLAG²: the flag costs FLAG² / STEPS² = 1/100 of the budget.

Sources: McMahan et al. 2018, "Learning differentially private recurrent language models",
    arXiv:1710.06963, algorithm 1 (flat clipping, fixed denominator). Andrew et al. 2021,
    "Differentially private learning with adaptive clipping", arXiv:1905.03871, algorithm 1.
"""

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError

STEPS = 1 << 16
FLAG = STEPS // 10

L2_SQUARED = STEPS**2 + FLAG**2
"""Squared length by which one device moves the vector of a clipped update."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClippedUpdate:
    """One device's update, or a sum of them, before noise or after.

    Attributes:
        update: In steps of bound / 2^16. Shape (p,), int64.
        within: Updates within the bound less those beyond it, in steps of FLAG.
    """

    update: NDArray[np.int64]
    within: int

    @classmethod
    def from_vector(cls, vector: NDArray[np.int64]) -> Self:
        """Read back what `to_vector` wrote, noise and all."""
        if vector.ndim != 1 or len(vector) < 2 or vector.dtype != np.int64:
            raise ShapeError("clipped update", vector.shape, ("1 + p",))
        return cls(update=vector[1:].copy(), within=int(vector[0]))

    def to_vector(self) -> NDArray[np.int64]:
        """Return the numbers that are noised and summed. Shape (1 + p,)."""
        return np.concatenate([np.array([self.within], dtype=np.int64), self.update])

    def __add__(self, other: "ClippedUpdate") -> "ClippedUpdate":
        if other.update.shape != self.update.shape:
            raise ShapeError("update", other.update.shape, self.update.shape)
        return ClippedUpdate(update=self.update + other.update, within=self.within + other.within)


def clip_update(update: NDArray[np.floating], bound: float) -> ClippedUpdate:
    """Return the update, no longer than the bound.

    Args:
        update: New parameters less those that were sent. Shape (p,).
        bound: Largest L2 length let through, in parameter units. Positive.

    Raises:
        InputError: The update holds a value that is not finite: a NaN would pass any bound.

    >>> clip_update(np.array([3.0, 4.0]), 1.0).update / STEPS
    array([0.59999084, 0.79998779])
    """
    if update.ndim != 1 or not len(update):
        raise ShapeError("update", update.shape, ("1..",))
    if not 0 < bound < math.inf:
        raise InputError(f"bound must be positive and finite, got {bound}")
    scaled = update.astype(np.float64) / bound
    largest = float(np.abs(scaled).max())
    if not math.isfinite(largest):
        raise InputError("an update that is not finite was not sent")
    # divided by the largest first: the square of a huge value would be infinite
    length = largest * float(np.linalg.norm(scaled / largest)) if largest else 0.0
    whole = np.trunc(scaled / max(length, 1.0) * STEPS)
    if float((whole**2).sum()) > STEPS**2:
        # by the rounding of the length itself; one step less in every number is surely within
        whole = np.trunc(whole * (1.0 - 2.0**-17))
    return ClippedUpdate(update=whole.astype(np.int64), within=FLAG if length <= 1.0 else -FLAG)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveBound:
    """A bound that follows a quantile of the updates' lengths.

    Attributes:
        bound: In parameter units.
        quantile: Share of the devices that should be within it; 0.5 is the paper's choice.
        rate: How fast it moves; 0 keeps it.
    """

    bound: float
    quantile: float = 0.5
    rate: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.bound < math.inf:
            raise InputError(f"bound must be positive and finite, got {self.bound}")
        if not 0 < self.quantile < 1 or not 0 <= self.rate < math.inf:
            raise InputError("quantile lies between 0 and 1, and rate is not negative")

    def after(self, total: ClippedUpdate, *, devices: int) -> "AdaptiveBound":
        """Return the bound for the next round: bound · exp(-rate (share within - quantile)).

        Args:
            total: Sum over the devices, noised.
            devices: How many were asked: a public number, not how many answered.

        >>> bound = AdaptiveBound(bound=1.0)
        >>> total = clip_update(np.array([0.5]), 1.0) + clip_update(np.array([0.2]), 1.0)
        >>> round(bound.after(total, devices=2).bound, 3)
        0.905
        """
        within = 0.5 + 0.5 * total.within / FLAG / _positive(devices)
        # noise may say that more than all were within; one round moves the bound by e at most
        move = min(max(self.rate * (within - self.quantile), -1.0), 1.0)
        return replace(self, bound=self.bound * math.exp(-move))


def mean_update(total: ClippedUpdate, bound: float, *, devices: int) -> NDArray[np.float64]:
    """Return the mean update of so many devices. Shape (p,).

    Args:
        total: Sum over the devices, noised.
        bound: What they were clipped to.
        devices: How many were asked, not how many answered: a divisor that depends on who answers
            would tell of it.
    """
    return np.asarray(total.update * (bound / STEPS / _positive(devices)), dtype=np.float64)


def _positive(devices: int) -> int:
    """Refuse a divisor that is none."""
    if devices < 1:
        raise InputError(f"expected at least one device, got {devices}")
    return devices
