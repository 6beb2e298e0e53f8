"""Picking what the model is unsure of, spread out over what it sees.

Sources: Citovsky et al. 2021, arXiv:2107.14263, section 3 (cluster-margin); Bae, Oliveira and
Sutherland 2024, arXiv:2412.20644, section 3 (uncertainty herding); Prabhu et al. 2021,
arXiv:2010.08666, section 3.2 (CLUE).
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
from strategies.acquisition.facility import greedy
from strategies.acquisition.protocol import Candidates, checked_count, points_of
from strategies.acquisition.ranking import highest
from strategies.acquisition.uncertainty import entropy_scores, margin_scores

PREFILTER = 4
"""How many times the picks of most uncertain items are grouped."""
LEAST_WEIGHT = 1e-3
"""A certain item still has a place among its neighbours."""
KERNEL_NEIGHBOUR = 9
"""The kernel is as wide as the median distance to this neighbour..."""
KERNEL_WIDENING = 4.0
"""...squared and taken so many times."""


def cluster_margin(candidates: Candidates, k: int, rng: Generator) -> NDArray[np.int64]:
    """Pick the most uncertain item of each group of the most uncertain items (see Acquisition).

    Raises:
        InputError: k is negative, or there are no embeddings.

    >>> p, e = [[0.5, 0.5], [0.51, 0.49], [0.6, 0.4], [1.0, 0.0]], [[0.0], [0.1], [9.0], [4.0]]
    >>> items = Candidates(probabilities=p, embeddings=e)
    >>> cluster_margin(items, 2, np.random.default_rng(0)).tolist()
    [0, 2]
    """
    points = points_of(candidates, "cluster_margin")
    count = checked_count(k, candidates.items)
    scores = np.asarray(margin_scores(candidates.probabilities), dtype=np.float64)
    pool = highest(scores, min(PREFILTER * count, candidates.items))
    if len(pool) == count:
        return pool
    weights = scores[pool] + LEAST_WEIGHT
    group = weighted_kmeans(points[pool].astype(np.float64), weights, count, rng)
    _, first = np.unique(group, return_index=True)
    heads = np.sort(first)
    rest = np.setdiff1d(np.arange(len(pool)), heads)
    chosen: NDArray[np.int64] = pool[np.concatenate([heads, rest])[:count]]
    return chosen


def herding(candidates: Candidates, k: int, rng: Generator) -> NDArray[np.int64]:
    """Pick items that stand for what is uncertain and not yet labeled (see Acquisition).

    Greedy coverage under a Gaussian kernel, each item counting by its squared margin score.

    Raises:
        InputError: k is negative, there are no embeddings, or more than 16,384 items.

    >>> p, e = [[0.5, 0.5], [0.5, 0.5], [0.9, 0.1], [1.0, 0.0]], [[0.0], [0.1], [9.0], [20.0]]
    >>> items = Candidates(probabilities=p, embeddings=e)
    >>> herding(items, 2, np.random.default_rng(0)).tolist()
    [1, 2]
    """
    points = points_of(candidates, "herding")
    count = checked_count(k, candidates.items)
    check_pairs("herding", len(points))
    if not count:
        return np.empty(0, dtype=np.int64)
    near = neighbour_distances(points, KERNEL_NEIGHBOUR)
    width = KERNEL_WIDENING * float(np.median(near[:, -1] ** 2)) if near.size else 0.0
    scale = np.float32(-1 / width) if width > 0 else np.float32(0)
    alike = np.exp(squared_distances(points, points) * scale)
    covered = np.zeros(len(points), dtype=np.float32)
    if candidates.labeled is not None and len(candidates.labeled):
        nearest = squared_distances(points, candidates.labeled).min(axis=1)
        covered = np.exp(nearest * scale)
    weights = np.maximum(margin_scores(candidates.probabilities), LEAST_WEIGHT) ** 2
    # an item's weight scales what it has to gain, and so its row
    own = weights.astype(np.float32)
    return greedy(alike * own[:, None], covered * own, count, most=own)


def clue(candidates: Candidates, k: int, rng: Generator) -> NDArray[np.int64]:
    """Pick the item nearest the middle of each of k groups weighted by entropy (see Acquisition).

    Raises:
        InputError: k is negative, or there are no embeddings.

    >>> p, e = [[0.5, 0.5], [0.5, 0.5], [0.6, 0.4]], [[0.0], [0.0], [9.0]]
    >>> items = Candidates(probabilities=p, embeddings=e)
    >>> sorted(clue(items, 2, np.random.default_rng(0)).tolist())
    [0, 2]
    """
    points = points_of(candidates, "clue").astype(np.float64)
    count = checked_count(k, candidates.items)
    if not count:
        return np.empty(0, dtype=np.int64)
    scores = np.asarray(entropy_scores(candidates.probabilities), dtype=np.float64)
    weights = scores + LEAST_WEIGHT
    group = weighted_kmeans(points, weights, count, rng)
    picks = []
    for g in np.unique(group):
        rows = np.flatnonzero(group == g)
        middle = weights[rows] @ points[rows] / weights[rows].sum()
        picks.append(int(rows[((points[rows] - middle) ** 2).sum(axis=1).argmin()]))
    heads = np.array(sorted(picks, key=lambda item: (-scores[item], item)), dtype=np.int64)
    rest = np.setdiff1d(highest(scores, len(scores)), heads, assume_unique=True)
    return np.concatenate([heads, rest])[:count]
