"""Picking what the model is least sure of.

Scores are higher for less certain items, so that rules can be compared, mixed and offered alike.

Source: Settles 2009, "Active Learning Literature Survey", section 3.1.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from strategies.acquisition.kernels import compiled_margin
from strategies.acquisition.protocol import Candidates, checked_count
from strategies.acquisition.ranking import highest

BLOCK_ROWS = 8192  # class-major blocks of ten classes fit a core's cache
KERNEL_CELLS = 500_000  # below, numpy is done before a compiled kernel could be loaded
KERNEL_SHARE = 10  # the kernel's heap pays while few of the rows are wanted


def margin(candidates: Candidates, k: int, rng: Generator) -> NDArray[np.int64]:
    """Pick the items whose two likeliest classes are closest (see Acquisition).

    >>> p = [[0.9, 0.1], [0.5, 0.5], [0.4, 0.6]]
    >>> margin(Candidates(probabilities=p), 2, np.random.default_rng(0)).tolist()
    [1, 2]
    """
    count = checked_count(k, candidates.items)
    probabilities = candidates.probabilities
    if count and probabilities.size >= KERNEL_CELLS and count * KERNEL_SHARE <= len(probabilities):
        pick = compiled_margin()
        if pick is not None:
            rows = np.sort(pick(probabilities, count))
            return rows[highest(-_gaps(probabilities[rows]), count)]
    return highest(-_gaps(probabilities), count)


def entropy(candidates: Candidates, k: int, rng: Generator) -> NDArray[np.int64]:
    """Pick the items whose probabilities have the highest entropy (see Acquisition)."""
    count = checked_count(k, candidates.items)
    return highest(entropy_scores(candidates.probabilities), count)


def margin_scores(probabilities: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return 1 - (largest - second largest) of each row: 0 certain, 1 a tie.

    Args:
        probabilities: Shape (n, k). A single class leaves no doubt: 0.

    Returns:
        Shape (n,), of the dtype of probabilities.

    >>> margin_scores(np.array([[0.75, 0.25], [0.5, 0.5]])).tolist()
    [0.5, 1.0]
    """
    if probabilities.shape[1] == 1:
        return np.zeros(len(probabilities), dtype=probabilities.dtype)
    return np.asarray(1 - _gaps(probabilities), dtype=probabilities.dtype)


def _gaps(probabilities: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return largest - second largest of each row; with one class, it stands alone. Shape (n,)."""
    out = np.empty(len(probabilities), dtype=probabilities.dtype)
    for start in range(0, len(probabilities), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        by_class = np.ascontiguousarray(probabilities[rows].T)
        first, second = by_class[0].copy(), np.zeros_like(by_class[0])
        for column in by_class[1:]:
            np.maximum(second, np.minimum(first, column), out=second)
            np.maximum(first, column, out=first)
        np.subtract(first, second, out=out[rows])
    return out


def entropy_scores(probabilities: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the entropy of each row, in nats; a class of probability 0 adds nothing.

    Args:
        probabilities: Shape (n, k).

    Returns:
        Shape (n,), of the dtype of probabilities.

    >>> entropy_scores(np.array([[1.0, 0.0], [0.5, 0.5]])).round(4).tolist()
    [0.0, 0.6931]
    """
    out = np.empty(len(probabilities), dtype=probabilities.dtype)
    tiny = np.finfo(probabilities.dtype).tiny
    for start in range(0, len(probabilities), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        by_class = np.ascontiguousarray(probabilities[rows].T)
        logs = np.log(np.maximum(by_class, tiny))
        logs *= by_class
        total = logs[0].copy()
        for row in logs[1:]:  # not sum(): its order, and so its last bit, depends on the shape
            total += row
        np.subtract(0, total, out=out[rows])
    return out
