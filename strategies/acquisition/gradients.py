"""Picking by the gradient a label would bring.

The last layer's gradient for an item with label y is the outer product of `p - onehot(y)` with the
embedding. It has k times d entries and is never formed: the scalar product of two such gradients is
the product of the scalar products of their factors.

Sources: Settles and Craven 2008, EMNLP, section 3.4 (expected gradient length); Ash et al. 2020,
arXiv:1906.03671, algorithm 1 (BADGE); Arthur and Vassilvitskii 2007, SODA, section 2 (the draw).
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from strategies.acquisition.protocol import Candidates, checked_count, points_of
from strategies.acquisition.ranking import highest

WAITING = 48
"""Picks that are gathered before all items learn of them, in one matrix product."""
DRAWS = 256
"""Draws that are made at once; more are made where none of them is kept."""


def gradient_length(candidates: Candidates, k: int, rng: Generator) -> NDArray[np.int64]:
    """Pick the items whose label is expected to move the last layer most (see Acquisition).

    Without embeddings all are taken to be of length 1.

    >>> p = [[0.9, 0.1], [0.5, 0.5]]
    >>> items = Candidates(probabilities=p, embeddings=[[9.0], [1.0]])
    >>> gradient_length(items, 1, np.random.default_rng(0)).tolist()
    [0]
    """
    count = checked_count(k, candidates.items)
    scores = expected_lengths(candidates.probabilities)
    if candidates.embeddings is not None:
        scores = scores * np.linalg.norm(candidates.embeddings, axis=1)
    return highest(scores, count)


def expected_lengths(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the expected length of p - onehot(y), with y drawn from p.

    Args:
        probabilities: Shape (n, k).

    Returns:
        Shape (n,).

    >>> expected_lengths(np.array([[1.0, 0.0], [0.5, 0.5]])).round(4).tolist()
    [0.0, 0.7071]
    """
    p = np.asarray(probabilities, dtype=np.float64)
    squares = (p**2).sum(axis=1, keepdims=True) - 2 * p + 1
    return np.asarray((p * np.sqrt(np.maximum(squares, 0))).sum(axis=1))


def badge(candidates: Candidates, k: int, rng: Generator) -> NDArray[np.int64]:
    """Pick items whose gradients are long and unlike one another (see Acquisition).

    Each is drawn with a chance that grows with the squared distance of its gradient, with the label
    the model would give it, to those picked before. The first is the longest.

    Raises:
        InputError: k is negative, or there are no embeddings.

    >>> p, e = [[0.5, 0.5], [0.5, 0.5], [1.0, 0.0]], [[1.0], [-1.0], [5.0]]
    >>> items = Candidates(probabilities=p, embeddings=e)
    >>> sorted(badge(items, 2, np.random.default_rng(0)).tolist())
    [0, 1]
    """
    points = points_of(candidates, "badge")
    count = checked_count(k, candidates.items)
    errors = candidates.probabilities.astype(points.dtype)
    errors[np.arange(len(errors)), errors.argmax(axis=1)] -= 1
    return _Draws(errors, points).picks(count, rng)


class _Draws:
    """Draws by squared distance, from distances that lag behind by a few picks.

    An item drawn by its old, longer distance is kept with chance new / old, which makes the draw
    one by the new distance; only what is drawn has its new distance worked out.
    """

    def __init__(self, errors: NDArray[np.floating], points: NDArray[np.floating]) -> None:
        """Take the two factors of each gradient, of shapes (n, k) and (n, d)."""
        self._errors, self._points = errors, points
        self._lengths = np.einsum("ij,ij->i", errors, errors) * np.einsum(
            "ij,ij->i", points, points
        )
        self._distances = np.full(len(points), np.inf, dtype=points.dtype)

    def picks(self, count: int, rng: Generator) -> NDArray[np.int64]:
        """Return so many picks, in order; those of distance 0 last, by position."""
        picks: list[int] = []
        if count:
            picks.append(int(self._lengths.argmax()))
            self._reach(picks)
        while len(picks) < count:
            mass = np.cumsum(self._distances, dtype=np.float64)
            if not mass[-1] > 0:
                rest = np.setdiff1d(np.arange(len(self._distances)), picks)
                picks += rest[: count - len(picks)].tolist()
                break
            found = self._draw(mass, min(count - len(picks), WAITING), rng)
            picks += found
            self._reach(found)
        return np.array(picks, dtype=np.int64)

    def _draw(self, mass: NDArray[np.float64], limit: int, rng: Generator) -> list[int]:
        """Return the next picks, at least one; fewer than limit where many draws were in vain."""
        found: list[int] = []
        while not found:
            places = np.searchsorted(mass, rng.random(DRAWS) * mass[-1], side="right")
            chances = rng.random(DRAWS)
            for place, chance in zip(places.tolist(), chances.tolist(), strict=True):
                old = self._distances[place]
                if chance * old < self._now(place, found, old):
                    found.append(place)
                    if len(found) == limit:
                        return found
        return found

    def _now(self, place: int, found: list[int], old: np.floating) -> float:
        """Return the squared distance of one item to all picks, those found just now included."""
        if not found:
            return float(old)
        if place in found:
            return 0.0
        alike = (self._errors[found] @ self._errors[place]) * (
            self._points[found] @ self._points[place]
        )
        gaps = self._lengths[found] + self._lengths[place] - 2 * alike
        return float(min(old, max(gaps.min(), 0.0)))

    def _reach(self, found: list[int]) -> None:
        """Shorten all distances by these picks."""
        alike = self._points @ self._points[found].T
        alike *= self._errors @ self._errors[found].T
        alike *= -2
        alike += self._lengths[found]
        least = alike.min(axis=1)
        least += self._lengths
        np.maximum(least, 0, out=least)
        np.minimum(self._distances, least, out=self._distances)
        self._distances[found] = 0
