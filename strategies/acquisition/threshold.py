"""Selection without offers: a summed histogram of scores goes up, one threshold comes back.

The coordinator sees how many items of the whole fleet score how high, and nothing of any item or
any device. It answers with the score from which on items are shipped, and with the share of those
at the edge. What this mode cannot do is what takes an item apart from its likes: no diversity, no
near-duplicates, no quotas.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from fieldvote.errors import InputError
from strategies.acquisition.ranking import highest

BINS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """From which score on items are shipped.

    Attributes:
        edge: Bins above this one are shipped whole.
        shipped: Of the items in the edge bin, so many go ...
        there: ... out of so many: each with that chance, drawn on its device.

    Raises:
        InputError: More are shipped than there are, or a negative number.
    """

    edge: int
    shipped: int
    there: int

    def __post_init__(self) -> None:
        if self.edge < 0 or not 0 <= self.shipped <= self.there:
            raise InputError(
                f"expected 0 <= shipped <= there, got {self.shipped} of {self.there} "
                f"at bin {self.edge}"
            )


def score_histogram(scores: ArrayLike, *, bins: int = BINS) -> NDArray[np.int64]:
    """Return how many items score how high; the histogram of all items is the sum over devices.

    Args:
        scores: 0 to 1, higher is more wanted. Shape (n,).
        bins: Of equal width.

    Returns:
        Shape (bins,).

    Raises:
        InputError: A score outside 0 to 1, or no bins.

    >>> score_histogram([0.0, 0.1, 0.9, 1.0], bins=4).tolist()
    [2, 0, 0, 2]
    """
    return np.bincount(_bins(scores, bins), minlength=bins).astype(np.int64)


def threshold_for(histogram: NDArray[np.int64], budget: int) -> Threshold:
    """Return the threshold at which the fleet ships as many items as the budget buys, on average.

    Args:
        histogram: Summed over the fleet; noise may have made a count negative. Shape (bins,).
        budget: How many to ship. The bins above the edge hold no more.

    Raises:
        InputError: No bins, or a negative budget.

    >>> threshold_for(np.array([5, 4, 2]), 3)
    Threshold(edge=1, shipped=1, there=4)
    >>> threshold_for(np.array([5, 4, 2]), 99)
    Threshold(edge=0, shipped=5, there=5)
    """
    if histogram.ndim != 1 or not len(histogram) or budget < 0:
        raise InputError("expected at least one bin and a budget of 0 or more")
    counts = np.maximum(histogram, 0)
    from_above = np.cumsum(counts[::-1])[::-1]
    # the highest bin with which the budget is reached, or the lowest there is
    reached = np.flatnonzero(from_above >= max(budget, 1))
    edge = int(reached[-1]) if len(reached) else 0
    there = int(counts[edge])
    above = int(from_above[edge]) - there
    return Threshold(edge=edge, shipped=min(max(budget - above, 0), there), there=there)


def above(
    scores: ArrayLike, threshold: Threshold, rng: Generator, *, bins: int = BINS
) -> NDArray[np.int64]:
    """Return the positions of the items a device ships, the highest scores first.

    Args:
        scores: Those the histogram was made of. Shape (n,).
        threshold: What the coordinator answered.
        rng: Draws among the items at the edge.
        bins: As in the histogram.

    Raises:
        InputError: A score outside 0 to 1, or no bins.

    >>> edge = Threshold(edge=1, shipped=0, there=4)
    >>> above([0.1, 0.9, 0.6], edge, np.random.default_rng(0), bins=4).tolist()
    [1, 2]
    """
    values = np.asarray(scores, dtype=np.float64)
    where = _bins(values, bins)
    # whole numbers: a share of one is everyone, not almost everyone
    lucky = rng.integers(0, max(threshold.there, 1), len(values)) < threshold.shipped
    ships = np.flatnonzero((where > threshold.edge) | ((where == threshold.edge) & lucky))
    return ships[highest(values[ships], len(ships))]


def _bins(scores: ArrayLike, bins: int) -> NDArray[np.int64]:
    """Return the bin of each score; the highest score belongs to the last."""
    values = np.asarray(scores, dtype=np.float64)
    if bins < 1 or values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise InputError("expected scores of 0 to 1 in one column, and at least one bin")
    return np.minimum((values * bins).astype(np.int64), bins - 1)
