"""Picking before there is a model to ask: items that are typical of many.

Labels are ignored by all of these, and so is what the model says; they read embeddings only.

Sources: Settles and Craven 2008, EMNLP, section 3.5 (density); Hacohen, Dekel and Weinshall 2022,
arXiv:2202.02794, algorithm 1 (TypiClust); Yehuda et al. 2022, arXiv:2205.11320, algorithm 1
(ProbCover).
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from strategies.acquisition.clustering import weighted_kmeans
from strategies.acquisition.distances import (
    check_pairs,
    neighbour_distances,
    squared_distances,
)
from strategies.acquisition.protocol import Candidates, checked_count, points_of
from strategies.acquisition.ranking import highest

NEIGHBOURS = 20
"""How many neighbours an item is typical of (TypiClust, section 3.2)."""
LEAST_GROUP = 5
"""Smaller groups have no typical item (TypiClust, section 3.2)."""
MOST_GROUPS = 500
"""More groups than this are not made, however much is labeled (TypiClust, section 3.2)."""
BALL_NEIGHBOUR = 10
"""A ball of ProbCover reaches so far that half of the items have this many neighbours in it."""


def density(candidates: Candidates, k: int, rng: Generator) -> NDArray[np.int64]:
    """Pick the items whose embeddings are most like those of all others (see Acquisition).

    The mean cosine to all items is one product with the mean direction.

    Raises:
        InputError: k is negative, or there are no embeddings.
    """
    points = points_of(candidates, "density")
    count = checked_count(k, candidates.items)
    return highest(mean_cosines(points), count)


def mean_cosines(points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the mean cosine of each item to all, itself included; 0 for an embedding of 0.

    Args:
        points: Shape (n, d).

    Returns:
        Shape (n,), from -1 to 1.

    >>> mean_cosines(np.array([[1.0, 0.0], [0.0, 2.0]])).tolist()
    [0.5, 0.5]
    """
    values = np.asarray(points, dtype=np.float64)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    units = np.divide(values, lengths, out=np.zeros_like(values), where=lengths > 0)
    return np.asarray(units @ units.mean(axis=0) if len(units) else np.zeros(0))


def typiclust(candidates: Candidates, k: int, rng: Generator) -> NDArray[np.int64]:
    """Pick the most typical item of each group, groups without a label first (see Acquisition).

    Labeled items are grouped with the others; the group with fewest labels, and of these the
    largest, is served first.

    Raises:
        InputError: k is negative, there are no embeddings, or more than 16,384 items.

    >>> e = [[0.0], [0.1], [0.2], [9.0], [9.1], [9.2]]
    >>> items = Candidates(probabilities=[[1.0]] * 6, embeddings=e)
    >>> sorted(typiclust(items, 2, np.random.default_rng(0)).tolist())
    [1, 4]
    """
    points = points_of(candidates, "typiclust")
    count = checked_count(k, candidates.items)
    check_pairs("typiclust", len(points))
    if not count:
        return np.empty(0, dtype=np.int64)
    labeled = np.empty((0, points.shape[1])) if candidates.labeled is None else candidates.labeled
    together = np.concatenate([points, labeled]).astype(np.float64)
    groups = min(len(labeled) + count, MOST_GROUPS)
    group = weighted_kmeans(together, np.ones(len(together)), groups, rng)
    own = group[: len(points)]
    known = np.bincount(group[len(points) :], minlength=groups)
    size = np.bincount(own, minlength=groups)
    typical = _typicality(points, own, groups)
    picks: list[int] = []
    ranked = [highest(np.where(own == g, typical, -np.inf), int(size[g])) for g in range(groups)]
    served = np.zeros(groups, dtype=np.int64)
    while len(picks) < count:
        left = size - served
        # groups with none left, or too few to be typical of, come last
        order = np.lexsort((-left, known, size < LEAST_GROUP, left == 0))
        best = int(order[0])
        picks.append(int(ranked[best][served[best]]))
        served[best] += 1
        known[best] += 1
    return np.array(picks, dtype=np.int64)


def _typicality(
    points: NDArray[np.floating], group: NDArray[np.int64], groups: int
) -> NDArray[np.float64]:
    """Return one over the mean distance of each item to its neighbours within its group."""
    out = np.zeros(len(points))
    for g in range(groups):
        rows = np.flatnonzero(group == g)
        near = neighbour_distances(points[rows], NEIGHBOURS)
        if near.shape[1]:
            out[rows] = 1 / np.maximum(near.mean(axis=1), np.finfo(np.float64).tiny)
    return out


def prob_cover(candidates: Candidates, k: int, rng: Generator) -> NDArray[np.int64]:
    """Pick items whose balls cover most that is not covered yet (see Acquisition).

    The radius is the median distance to the tenth neighbour. What labeled items cover is covered.
    When all is covered, items go by how many are in their ball.

    Raises:
        InputError: k is negative, there are no embeddings, or more than 16,384 items.

    >>> e = [[float(x)] for x in (0, 0, 0, 9, 9)]
    >>> items = Candidates(probabilities=[[1.0]] * 5, embeddings=e)
    >>> prob_cover(items, 2, np.random.default_rng(0)).tolist()
    [0, 1]
    """
    points = points_of(candidates, "prob_cover")
    count = checked_count(k, candidates.items)
    check_pairs("prob_cover", len(points))
    if not count:
        return np.empty(0, dtype=np.int64)
    near = neighbour_distances(points, BALL_NEIGHBOUR)
    radius = float(np.median(near[:, -1])) if near.size else 0.0
    within = squared_distances(points, points) <= np.float32(radius**2)
    np.fill_diagonal(within, val=True)
    crowd = within.sum(axis=1)
    covers = crowd.copy()
    if candidates.labeled is not None and len(candidates.labeled):
        done = (squared_distances(points, candidates.labeled) <= radius**2).any(axis=1)
        covers -= within[done].sum(axis=0)
        within[done] = False
    picks: list[int] = []
    while len(picks) < count:
        # of those that cover nothing new, the most crowded
        best = int(np.lexsort((np.arange(len(points)), -crowd, -covers))[0])
        picks.append(best)
        new = np.flatnonzero(within[:, best])
        covers -= within[new].sum(axis=0)
        within[new] = False
        covers[best], crowd[best] = -1, -1
    return np.array(picks, dtype=np.int64)
