"""Majority vote: the yardstick every label model is reported beside."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strategies.labeling.votes import blocks, checked_votes


def majority_vote(votes: ArrayLike, classes: int) -> NDArray[np.float64]:
    """Return who has most votes: the winners of a tie share, and no votes are a tie of all.

    Args:
        votes: Shape (n, m), integers, -1 abstains.
        classes: Number of classes, k.

    Returns:
        Shape (n, k), rows sum to 1.

    Raises:
        ShapeError, InputError: votes is not a vote matrix.

    >>> majority_vote([[1, 1, 0], [0, 1, -1], [-1, -1, -1]], 2).tolist()
    [[0.0, 1.0], [0.5, 0.5], [0.5, 0.5]]
    """
    matrix = checked_votes(votes, classes)
    out = np.empty((len(matrix), classes))
    for rows in blocks(matrix):
        counts = np.stack([(matrix[rows] == c).sum(axis=1) for c in range(classes)], axis=1)
        winners = counts == counts.max(axis=1, keepdims=True)
        out[rows] = winners / winners.sum(axis=1, keepdims=True)
    return out
