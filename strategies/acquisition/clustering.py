"""Weighted k-means, small and reproducible: the same points, weights and rng give the same groups.

Source: Arthur and Vassilvitskii 2007, SODA, "k-means++", section 2, and the greedy variant that its
experiments mention, for the start; Lloyd 1982, IEEE Transactions on Information Theory 28(2), for
the rest.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

ITERATIONS = 20


def weighted_kmeans(
    points: NDArray[np.float64],
    weights: NDArray[np.float64],
    clusters: int,
    rng: Generator,
) -> NDArray[np.int64]:
    """Return the cluster of each point.

    Args:
        points: Shape (n, d).
        weights: Positive. Shape (n,).
        clusters: How many at most; fewer where there are fewer distinct points.
        rng: Draws the start.

    Returns:
        Shape (n,), values 0 to clusters - 1, not all of them necessarily used.
    """
    if len(points) == 0 or clusters < 1:
        return np.zeros(len(points), dtype=np.int64)
    norms = (points**2).sum(axis=1)
    centers = _spread_start(points, norms, weights, clusters, rng)
    nearest = _nearest(points, norms, centers)
    weighted = points * weights[:, None]
    for _ in range(ITERATIONS):
        mass = np.bincount(nearest, weights=weights, minlength=len(centers))
        kept = mass > 0  # a cluster that lost its points stays where it is
        centers[kept] = _sums(weighted, nearest) / mass[kept, None]
        moved = _nearest(points, norms, centers)
        if np.array_equal(moved, nearest):
            break
        nearest = moved
    return nearest


def _sums(weighted: NDArray[np.float64], nearest: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the sum over each cluster that has points, in the order of clusters.

    Points are put in order and added up in runs: a product with a matrix of who belongs where
    would take as many steps for each cluster as there are points.
    """
    order = np.argsort(nearest, kind="stable")
    starts = np.flatnonzero(np.diff(nearest[order], prepend=-1))
    return np.asarray(np.add.reduceat(weighted[order], starts, axis=0))


def _spread_start(
    points: NDArray[np.float64],
    norms: NDArray[np.float64],
    weights: NDArray[np.float64],
    clusters: int,
    rng: Generator,
) -> NDArray[np.float64]:
    """Draw centers by weight times squared distance to those drawn before.

    Of a few draws, the one that leaves the least distance is kept: a single unlucky draw would put
    two centers into one group for good.
    """
    tries = 2 + int(np.log(clusters))
    chosen: list[int] = []
    distance = np.full(len(points), np.inf)
    across = np.ascontiguousarray(points.T)
    gaps, mass = np.empty((tries, len(points))), np.cumsum(weights)
    for _ in range(min(clusters, len(points))):
        if mass[-1] <= 0:
            break
        drawn = np.searchsorted(mass, rng.random(tries) * mass[-1], side="right")
        drawn = np.minimum(drawn, len(points) - 1)
        # one row per try, in place: most of the time would go into temporary arrays
        np.matmul(points[drawn], across, out=gaps)
        gaps *= -2
        gaps += norms
        gaps += norms[drawn, None]
        np.maximum(gaps, 0.0, out=gaps)
        np.minimum(gaps, distance, out=gaps)
        best = int((gaps @ weights).argmin())
        distance[:] = gaps[best]
        np.multiply(weights, distance, out=mass)
        np.cumsum(mass, out=mass)
        chosen.append(int(drawn[best]))
    return points[chosen].copy()


def _nearest(
    points: NDArray[np.float64], norms: NDArray[np.float64], centers: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return the nearest center of each point, the first of equals."""
    gaps = norms[:, None] - 2 * (points @ centers.T) + (centers**2).sum(axis=1)
    return np.asarray(gaps.argmin(axis=1), dtype=np.int64)
