"""Ranking by score, where equal scores go by position."""

import numpy as np
from numpy.typing import NDArray


def highest(scores: NDArray[np.floating], count: int) -> NDArray[np.int64]:
    """Return the positions of the highest scores, best first, ties by position.

    Args:
        scores: Shape (n,).
        count: How many; at most n.

    >>> highest(np.array([0.1, 0.9, 0.9, 0.5]), 3).tolist()
    [1, 2, 3]
    """
    if count < 1:
        return np.zeros(0, dtype=np.int64)
    if count < len(scores):
        cut = len(scores) - count
        least = np.partition(scores, cut)[cut]
        positions = np.flatnonzero(scores >= least)
    else:
        positions = np.arange(len(scores))
    # stable, over ascending positions: equal scores keep their order
    order = np.argsort(-scores[positions], kind="stable")[:count]
    return positions[order].astype(np.int64, copy=False)


def highest_of_two(
    scores: NDArray[np.floating], second: NDArray[np.floating], count: int
) -> NDArray[np.int64]:
    """Return the positions of the highest scores; ties go by a second score, then by position.

    Args:
        scores: Shape (n,).
        second: Shape (n,).
        count: How many; at most n.

    >>> highest_of_two(np.array([1.0, 2.0, 2.0]), np.array([9.0, 0.0, 1.0]), 2).tolist()
    [2, 1]
    """
    order = np.lexsort((np.arange(len(scores)), -second, -scores))
    return order[:count].astype(np.int64, copy=False)
