"""How many may, and how many must, be picked of a device, of a class, and of what looks alike."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil, isfinite

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError
from strategies.acquisition.duplicates import duplicate_groups
from strategies.acquisition.offers import Offers

DUPLICATE_BITS = 2
"""Bits in which sketches of near-duplicates differ at most where nobody says: 6 degrees of 64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetLimits:
    """What a selection must keep to; where not all of it can be kept, the first that is named wins.

    Attributes:
        per_device_cap: Most picks from one device; None for no limit.
        duplicate_bits: An offer whose sketch differs from that of a pick, or of a pending item, in
            so many bits or fewer is not picked, whichever device it is from; None keeps duplicates.
        chained: Whether a chain of near-duplicates counts as one, so that of a text that was
            changed a little by each who sent it on, one version is asked.
        class_shares: Class to its least share of the picks and pending items together, by the
            class that is predicted; a share is rounded up to a whole number of items.
        per_device_floor: Least picks from each device that offers.

    Raises:
        InputError: A negative limit, a floor above the cap, or shares that are not 0 to 1 together.
    """

    per_device_cap: int | None = None
    duplicate_bits: int | None = DUPLICATE_BITS
    chained: bool = False
    class_shares: Mapping[int, float] = field(default_factory=dict)
    per_device_floor: int = 0

    def __post_init__(self) -> None:
        limits = (self.per_device_cap or 0, self.duplicate_bits or 0, self.per_device_floor)
        if min(limits) < 0:
            raise InputError(f"expected limits of 0 or more, got {limits}")
        if self.per_device_cap is not None and self.per_device_floor > self.per_device_cap:
            raise InputError(
                f"a floor of {self.per_device_floor} is above the cap of {self.per_device_cap}"
            )
        shares = self.class_shares.values()
        if not all(isfinite(share) and share >= 0 for share in shares) or sum(shares) > 1 + 1e-9:
            raise InputError("shares of classes are 0 or more, and 1 at most together")

    def wanted(self, offers: Offers, budget: int, pending: Offers) -> list[tuple[int, int]]:
        """Return how many picks each declared class lacks, the one with fewest offers first.

        >>> offers = Offers.none(sketch_bytes=8)
        >>> FleetLimits(class_shares={1: 0.25}).wanted(offers, 10, offers)
        [(1, 3)]
        """
        offered, waiting = Counter(offers.predicted.tolist()), Counter(pending.predicted.tolist())
        # rounded first: 0.07 of 100 is 7, whatever floats make of it
        least = {
            name: ceil(round(share * (budget + len(pending)), 9))
            for name, share in self.class_shares.items()
        }
        rarest = sorted(least, key=lambda name: (offered[name], name))
        return [(name, max(least[name] - waiting[name], 0)) for name in rarest]


def take(
    preferred: NDArray[np.int64],
    offers: Offers,
    budget: int,
    limits: FleetLimits,
    pending: Offers,
    known: NDArray[np.uint8],
) -> NDArray[np.int64]:
    """Take offers in this order, within limits; what classes and devices must have goes first.

    Args:
        preferred: Positions, the most wanted first; repeats are passed over.
        offers: What there is.
        budget: How many at most.
        limits: What is kept to.
        pending: Granted before and not answered yet.
        known: Sketches of these and of all else that was asked. Shape (a, b).

    Returns:
        Distinct positions, in the order preferred.
    """
    picks = _Picks(offers, min(budget, len(offers)), limits, known)
    for name, count in limits.wanted(offers, budget, pending):
        picks.add(preferred[offers.predicted[preferred] == name], count)
    for turn in range(1, limits.per_device_floor + 1):
        picks.add(preferred, budget, of_device=turn)
    reserved = len(picks.taken)
    picks.add(preferred, budget)
    taken = np.array(picks.taken, dtype=np.int64)
    if not reserved:
        return taken
    # what was reserved is no more wanted than the rest: back into the order preferred
    distinct, first = np.unique(preferred, return_index=True)
    return taken[np.argsort(first[np.searchsorted(distinct, taken)])]


class _Picks:
    """What is taken so far, and what may not be any more."""

    def __init__(
        self, offers: Offers, most: int, limits: FleetLimits, known: NDArray[np.uint8]
    ) -> None:
        self.taken: list[int] = []
        self._most, self._cap = most, limits.per_device_cap
        self._device = offers.device
        self._of_device: Counter[int] = Counter()
        # without bits there is nothing to tell duplicates by
        self._apart = limits.duplicate_bits if offers.sketch.shape[1] else None
        self._words = _words(offers.sketch)
        self._asked = np.concatenate(
            [_words(known), np.zeros((most, self._words.shape[1]), dtype=np.uint64)]
        )
        self._count = len(known)
        self._barred = np.zeros(len(offers), dtype=bool)
        self._group = np.arange(0)
        self._groups_asked: set[int] = set()
        if limits.chained and self._apart is not None:
            both = np.concatenate([offers.sketch, known])
            self._group = duplicate_groups(both, self._apart)
            self._groups_asked.update(self._group[len(offers) :].tolist())

    def add(self, order: NDArray[np.int64], count: int, *, of_device: int | None = None) -> None:
        """Take so many of these, and no more than that of any device."""
        limits = [limit for limit in (self._cap, of_device) if limit is not None]
        for position in order:
            if not count or len(self.taken) == self._most:
                return
            if self._barred[position]:
                continue
            device = int(self._device[position])
            if limits and self._of_device[device] >= min(limits):
                continue
            # it is taken now, or looks like something that is: either way, not again
            self._barred[position] = True
            if self._looks_asked(int(position)):
                continue
            self._remember(int(position))
            self.taken.append(int(position))
            self._of_device[device] += 1
            count -= 1

    def _looks_asked(self, position: int) -> bool:
        """Return whether this is a near-duplicate of what is taken or pending."""
        if self._apart is None:
            return False
        if len(self._group):
            return int(self._group[position]) in self._groups_asked
        differing = np.bitwise_count(self._asked[: self._count] ^ self._words[position])
        return bool((differing.sum(axis=1, dtype=np.int64) <= self._apart).any())

    def _remember(self, position: int) -> None:
        """Take no more of what looks like this."""
        self._asked[self._count] = self._words[position]
        self._count += 1
        if len(self._group):
            self._groups_asked.add(int(self._group[position]))


def _words(sketches: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return sketches in words of 64 bits, which are compared eight bytes at a time."""
    missing = -sketches.shape[1] % 8
    padded = np.pad(sketches, ((0, 0), (0, missing)))
    return np.ascontiguousarray(padded).view(np.uint64)
