"""Weighted k-means against the same rule with a matrix of who belongs where."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from strategies.acquisition.clustering import ITERATIONS, weighted_kmeans


def plain(
    points: NDArray[np.float64], weights: NDArray[np.float64], clusters: int, seed: int
) -> NDArray[np.int64]:
    """The rule as it is written down: every distance anew, every mean from a full product."""
    rng = np.random.default_rng(seed)

    def gaps(centers: NDArray[np.float64]) -> NDArray[np.float64]:
        norms = (points**2).sum(axis=1)[:, None]
        return norms + (centers**2).sum(axis=1) - 2 * (points @ centers.T)

    tries, chosen = 2 + int(np.log(clusters)), list[int]()
    distance = np.full(len(points), np.inf)
    while len(chosen) < min(clusters, len(points)):
        mass = np.cumsum(weights * distance if chosen else weights)
        if mass[-1] <= 0:
            break
        drawn = np.searchsorted(mass, rng.random(tries) * mass[-1], side="right")
        drawn = np.minimum(drawn, len(points) - 1)
        left = np.minimum(distance[:, None], np.maximum(gaps(points[drawn]), 0.0))
        best = int((weights @ left).argmin())
        distance = left[:, best]
        chosen.append(int(drawn[best]))
    centers = points[chosen].copy()
    nearest = (gaps(centers)).argmin(axis=1)
    for _ in range(ITERATIONS):
        belongs = np.zeros((len(centers), len(points)))
        belongs[nearest, np.arange(len(points))] = weights
        mass = belongs.sum(axis=1)
        centers[mass > 0] = (belongs @ points)[mass > 0] / mass[mass > 0, None]
        moved = gaps(centers).argmin(axis=1)
        if np.array_equal(moved, nearest):
            break
        nearest = moved
    return nearest


@pytest.mark.parametrize("clusters", [1, 3, 20, 60, 90])
@pytest.mark.parametrize("seed", range(6))
def test_sketches_are_grouped_as_by_the_plain_rule(seed: int, clusters: int) -> None:
    rng = np.random.default_rng(seed)
    # scores of an offer are whole numbers; a tenth of the sketches are there twice
    points = np.where(rng.random((80, 64)) < 0.5, -1.0, 1.0)
    points[72:] = points[:8]
    weights = rng.integers(0, 65536, 80) + 1e-3
    found = weighted_kmeans(points, weights, clusters, np.random.default_rng(seed))
    assert found.tolist() == plain(points, weights, clusters, seed).tolist()


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 200), st.integers(1, 12), st.integers(1, 220))
def test_points_are_grouped_as_by_the_plain_rule(
    seed: int, items: int, width: int, clusters: int
) -> None:
    rng = np.random.default_rng(seed)
    points, weights = rng.standard_normal((items, width)), rng.random(items) + 1e-3
    found = weighted_kmeans(points, weights, clusters, np.random.default_rng(seed))
    assert found.tolist() == plain(points, weights, clusters, seed).tolist()
