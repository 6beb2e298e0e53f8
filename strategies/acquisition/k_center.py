"""Farthest-first traversal: each pick is the item farthest from all that is picked or labeled.

The greedy 2-approximation of the k-center problem (Gonzalez 1985, Theoretical Computer Science 38,
section 2), used to choose a core-set (Sener and Savarese 2018, arXiv:1708.00489, algorithm 1).

The picks are those of the plain greedy rule, found with fewer passes over the embeddings:

- Distances only ever shrink. So among the farthest few, the rule may go on by itself for as long as
  its next pick is farther than everything outside was at the start; all of these picks then reach
  the other items in one matrix product.
- By the triangle inequality, a new center cannot be nearer to an item than its own center is, where
  the two centers are twice as far apart (Elkan 2003, ICML, lemma 1). Few items are left to look at
  while the picks still jump from group to group.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from strategies.acquisition.protocol import Candidates, checked_count, points_of

NEAR = 512
"""How many of the farthest items are followed at once: their distances fit a core's cache."""
WIDE = 16
"""From so many picks on, one product over all items is faster than leaving items out."""
SLACK = 1e-3
"""Share of a distance that rounding may hide; only items beyond it are left out."""


def k_center(candidates: Candidates, k: int, rng: Generator) -> NDArray[np.int64]:
    """Pick items that leave no other far from a pick (see Acquisition).

    Without labeled items the first pick is the item nearest the mean.

    Raises:
        InputError: k is negative, or there are no embeddings.

    >>> line = Candidates(probabilities=[[1.0]] * 4, embeddings=[[0.0], [4.0], [5.0], [9.0]])
    >>> k_center(line, 3, np.random.default_rng(0)).tolist()
    [1, 3, 0]
    """
    points = points_of(candidates, "k_center")
    count = checked_count(k, candidates.items)
    return Traversal(points, candidates.labeled).picks(count)


class Traversal:
    """Distances of items to the nearest center, while centers are added."""

    def __init__(
        self, points: NDArray[np.floating], labeled: NDArray[np.floating] | None = None
    ) -> None:
        """Begin with labeled items as centers, if any.

        Args:
            points: Shape (n, d).
            labeled: Shape (l, d).
        """
        self._points = points
        self._norms = np.einsum("ij,ij->i", points, points)
        self._distances = np.full(len(points), np.inf, dtype=points.dtype)
        self._owner = np.zeros(len(points), dtype=np.int64)
        self._centers = np.empty((0, points.shape[1]), dtype=points.dtype)
        if labeled is not None and len(labeled):
            self._reach(labeled.astype(points.dtype, copy=False))

    def picks(self, count: int) -> NDArray[np.int64]:
        """Return so many picks, in order; ties go by position."""
        picks = np.empty(count, dtype=np.int64)
        done = 0
        if count and not len(self._centers):
            gaps = ((self._points - self._points.mean(axis=0)) ** 2).sum(axis=1)
            picks[0] = gaps.argmin()
            self._take(picks[:1])
            done = 1
        while done < count:
            if self._distances.max() <= 0:
                # duplicates of the centers only: any of them, in order
                rest = np.flatnonzero(self._distances == 0)
                picks[done:] = rest[: count - done]
                break
            certain = self._certain(count - done)
            picks[done : done + len(certain)] = certain
            self._take(certain)
            done += len(certain)
        return picks

    def _certain(self, limit: int) -> NDArray[np.int64]:
        """Return the next picks, at least one, that follow from the farthest items alone."""
        distances = self._distances
        if len(distances) > NEAR:
            cut = len(distances) - NEAR
            order = np.argpartition(distances, cut - 1)
            near, beyond = np.sort(order[cut:]), distances[order[cut - 1]]
        else:
            near, beyond = np.arange(len(distances)), distances.dtype.type(-1)
        points, norms, own = self._points[near], self._norms[near], distances[near]
        found: list[int] = []
        while len(found) < min(limit, len(near)):
            best = int(own.argmax())
            if own[best] <= beyond or (own[best] <= 0 and found):
                break
            found.append(best)
            gaps = norms + norms[best] - 2 * (points @ points[best])
            np.minimum(own, np.maximum(gaps, 0), out=own)
            own[best] = -1
        if not found:  # the farthest inside and outside are equally far: the first of them
            return np.array([distances.argmax()], dtype=np.int64)
        return near[found]

    def _take(self, picks: NDArray[np.int64]) -> None:
        """Make centers of picks."""
        self._reach(self._points[picks])
        self._distances[picks] = -1

    def _reach(self, centers: NDArray[np.floating]) -> None:
        """Shorten distances by new centers."""
        first = len(self._centers)
        rows = self._reachable(centers) if first and len(centers) < WIDE else slice(None)
        self._centers = np.concatenate([self._centers, centers])
        points, own = self._points[rows], self._distances[rows]
        if not len(points):
            return
        norms = np.einsum("ij,ij->i", centers, centers)
        gaps = points @ centers.T
        gaps *= -2
        gaps += norms
        nearest = gaps.argmin(axis=1)
        least = np.maximum(gaps[np.arange(len(gaps)), nearest] + self._norms[rows], 0)
        closer = least < own
        self._distances[rows] = np.where(closer, least, own)
        self._owner[rows] = np.where(closer, first + nearest, self._owner[rows])

    def _reachable(self, centers: NDArray[np.floating]) -> NDArray[np.int64]:
        """Return the items to which one of these centers may be nearer than their own is."""
        may = np.zeros(len(self._points), dtype=bool)
        for center in centers:
            apart = ((self._centers - center) ** 2).sum(axis=1)
            may |= (apart * (0.25 * (1 - SLACK)))[self._owner] < self._distances
        return np.flatnonzero(may)
