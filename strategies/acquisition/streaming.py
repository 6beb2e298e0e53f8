"""Picking in one pass, from items that are seen once: memory for the picks and no more.

- :class:`TopK` keeps the best seen so far, exactly.
- :class:`Quota` decides at once and for good, and comes out with as many picks as were asked for.
- :class:`StreamingCenters` keeps items that are far from one another.

Source: Charikar et al. 1997, STOC, "Incremental clustering and dynamic information retrieval",
section 3.1 (the doubling rule, here with smaller steps); the quantile is followed by stochastic
approximation, Robbins and Monro 1951, Annals of Mathematical Statistics 22(3).
"""

import heapq

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldvote.errors import InputError, ShapeError


class TopK:
    """The highest scores seen so far; of equal ones, those that came first.

    >>> best = TopK(2)
    >>> for position, score in enumerate([0.1, 0.9, 0.5, 0.9]):
    ...     best.see(position, score)
    >>> best.picks()
    [1, 3]
    """

    def __init__(self, count: int) -> None:
        """Keep so many.

        Raises:
            InputError: count is negative.
        """
        if count < 0:
            raise InputError(f"expected a number of items to keep, got {count}")
        self._count = count
        self._heap: list[tuple[float, int, int]] = []
        self._seen = 0

    def see(self, item: int, score: float) -> None:
        """Look at an item.

        Raises:
            InputError: the score is not a number.
        """
        if score != score:  # NaN alone is unlike itself
            raise InputError("a score is not a number")
        self._seen += 1
        entry = (score, -self._seen, item)
        if len(self._heap) < self._count:
            heapq.heappush(self._heap, entry)
        elif self._heap and entry > self._heap[0]:
            heapq.heapreplace(self._heap, entry)

    def picks(self) -> list[int]:
        """Return what is kept, best first."""
        return [item for _, _, item in sorted(self._heap, reverse=True)]


class Quota:
    """Takes or leaves each item as it comes; nothing is taken back.

    A threshold follows the quantile above which as many scores lie as may still be taken, among as
    many items as are still to come. On scores in random order the picks reach 99 % of what the best
    would have come to.
    """

    LEARNING = 0.02
    """Share of a stream that is only looked at, to know what scores are like."""

    def __init__(self, count: int, expected: int) -> None:
        """Plan for a stream.

        Args:
            count: How many to take.
            expected: How many items will come; more may, and are then taken only if places remain.

        Raises:
            InputError: a number is negative.
        """
        if count < 0 or expected < 0:
            raise InputError(f"expected 0 or more of each, got {count} of {expected}")
        self._left = min(count, expected)
        self._to_come = expected
        self._learning = int(self.LEARNING * expected) if count < expected else 0
        self._first: list[float] = []
        self._threshold = -np.inf
        self._step = 0.0

    def takes(self, score: float) -> bool:
        """Return whether the item with this score is taken.

        Raises:
            InputError: the score is not a number.
        """
        if score != score:  # NaN alone is unlike itself
            raise InputError("a score is not a number")
        self._to_come -= 1
        if len(self._first) < self._learning:
            self._learn(score)
            return False
        if not self._left:
            return False
        share = min(self._left / max(self._to_come + 1, 1), 1.0)
        taken = share >= 1.0 or score > self._threshold
        # up by what was taken, down by what was to be: at rest where the two are equal
        self._threshold += self._step * (float(score > self._threshold) - share)
        self._left -= taken
        return taken

    def _learn(self, score: float) -> None:
        """Look at one of the first items; after the last, set out from their quantile."""
        self._first.append(score)
        if len(self._first) == self._learning:
            share = self._left / max(self._to_come, 1)
            self._threshold = float(np.quantile(self._first, max(1 - share, 0.0)))
            spread = float(np.quantile(self._first, 0.9) - np.quantile(self._first, 0.1))
            self._step = 0.25 * spread / np.sqrt(self._learning)


class StreamingCenters:
    """Items that are farther from one another than a radius, which grows when they are too many.

    Every item seen is within twice the final radius of a kept one, or was when it was seen of one
    that another has stood for since.
    """

    GROWTH = 1.1
    """How much the radius grows at a time: little, so that few centers are lost."""

    def __init__(self, count: int, width: int) -> None:
        """Keep so many embeddings at most.

        Args:
            count: At least 1.
            width: d.

        Raises:
            InputError: a number is below 1.
        """
        if count < 1 or width < 1:
            raise InputError(f"expected at least one center of one number, got {count} of {width}")
        self._count = count
        self._points = np.empty((count + 1, width))
        self._items = np.empty(count + 1, dtype=np.int64)
        self._size = 0
        self._radius2 = 0.0

    @property
    def radius(self) -> float:
        """How far kept items are from one another at least, in units of the embedding."""
        return float(np.sqrt(self._radius2))

    def see(self, item: int, embedding: ArrayLike) -> bool:
        """Look at an item; return whether it is kept for now.

        Raises:
            ShapeError: the embedding is of another width.
            InputError: it is not finite.
        """
        point = np.asarray(embedding, dtype=np.float64)
        if point.shape != self._points.shape[1:]:
            raise ShapeError("embedding", point.shape, self._points.shape[1:])
        if not np.isfinite(point).all():
            raise InputError("an embedding must be finite")
        gaps = ((self._points[: self._size] - point) ** 2).sum(axis=1)
        if self._size and gaps.min() <= self._radius2:
            return False
        self._points[self._size], self._items[self._size] = point, item
        self._size += 1
        if self._size > self._count:
            self._grow()
        return item in self._items[: self._size]

    def picks(self) -> NDArray[np.int64]:
        """Return what is kept, in the order it came."""
        return self._items[: self._size].copy()

    def _grow(self) -> None:
        """Widen the radius until one center at least falls within that of another."""
        points = self._points[: self._size]
        gaps = ((points[:, None] - points[None]) ** 2).sum(axis=2)
        nearest = gaps[np.triu_indices(self._size, 1)].min()
        self._radius2 = max(nearest, self._radius2 * self.GROWTH**2)
        kept: list[int] = []
        for place in range(self._size):
            if not kept or gaps[place, kept].min() > self._radius2:
                kept.append(place)
        self._points[: len(kept)], self._items[: len(kept)] = points[kept], self._items[kept]
        self._size = len(kept)
