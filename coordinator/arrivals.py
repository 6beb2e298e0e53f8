"""Where histograms of new items are added up, and which of them a device can have sent."""

from dataclasses import dataclass

import numpy as np

from coordinator.plausible import MOST_ITEMS
from fieldvote.codec import IntVector
from strategies.arrivals import Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivalSums:
    """One watch over new items.

    Attributes:
        since: The round it began with.
        layout: Where each histogram stands.
        noisy: Whether counts carry noise, and so need not add up.
    """

    since: int
    layout: Layout
    noisy: bool = False

    @property
    def name(self) -> str:
        """What the store calls its sum."""
        return f"arrivals since {self.since}"

    def holds(self, vector: IntVector) -> bool:
        """Return whether these are histograms of this watch, from one device or many.

        Without noise each of them holds every item once, so nobody can move one bin alone.
        """
        if vector.shape != (self.layout.length,):
            return False
        if self.noisy:
            return bool((np.abs(vector) <= MOST_ITEMS).all())
        return self.layout.is_exact(vector) and 0 <= vector[0] <= MOST_ITEMS
