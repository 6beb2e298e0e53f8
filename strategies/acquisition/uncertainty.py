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
SLACK = 1e-4  # what single precision may be off by, in nats and in sums of squares
SAMPLED = 4096  # rows from which it is guessed how far to look


def margin(candidates: Candidates, k: int, rng: Generator) -> NDArray[np.int64]:
    """Pick the items whose two likeliest classes are closest (see Acquisition).

    >>> p = [[0.9, 0.1], [0.5, 0.5], [0.4, 0.6]]
    >>> margin(Candidates(probabilities=p), 2, np.random.default_rng(0)).tolist()
    [1, 2]
    """
    count = checked_count(k, candidates.items)
    probabilities = candidates.probabilities
    pick = compiled_margin() if _pays(probabilities, count) else None
    if pick is None:
        return highest(-_gaps(probabilities), count)
    rows = np.sort(pick(probabilities, count))
    return rows[highest(-_gaps(probabilities[rows]), count)]


def entropy(candidates: Candidates, k: int, rng: Generator) -> NDArray[np.int64]:
    """Pick the items whose probabilities have the highest entropy (see Acquisition)."""
    count = checked_count(k, candidates.items)
    probabilities = candidates.probabilities
    if not _pays(probabilities, count):
        return highest(entropy_scores(probabilities), count)
    rows = uncertain_rows(probabilities, count)
    return rows[highest(entropy_scores(probabilities[rows]), count)]


def least_confidence(candidates: Candidates, k: int, rng: Generator) -> NDArray[np.int64]:
    """Pick the items whose likeliest class is least likely (see Acquisition).

    >>> p = [[0.9, 0.1], [0.5, 0.5], [0.4, 0.6]]
    >>> least_confidence(Candidates(probabilities=p), 2, np.random.default_rng(0)).tolist()
    [1, 2]
    """
    count = checked_count(k, candidates.items)
    return highest(least_confidence_scores(candidates.probabilities), count)


def least_confidence_scores(probabilities: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return 1 - the largest entry of each row: 0 certain, 1 - 1/k the least sure there is.

    Args:
        probabilities: Shape (n, k).

    Returns:
        Shape (n,), of the dtype of probabilities.

    >>> least_confidence_scores(np.array([[0.75, 0.25], [0.5, 0.5]])).tolist()
    [0.25, 0.5]
    """
    out = np.empty(len(probabilities), dtype=probabilities.dtype)
    for start in range(0, len(probabilities), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        np.subtract(1, np.ascontiguousarray(probabilities[rows].T).max(axis=0), out=out[rows])
    return out


def uncertain_rows(probabilities: NDArray[np.floating], count: int) -> NDArray[np.int64]:
    """Return rows among which are those of the highest entropy, in order of position.

    Of all rows with one sum of squares, the entropy is highest where all entries but the largest
    are equal (Harremoes and Topsoe 2001, IEEE Transactions on Information Theory 47(7), theorem
    II.5). So the rows with the least sums say what entropy must be reached, and most of the others
    cannot reach it: no logarithm is taken of them.

    Args:
        probabilities: Shape (n, k), k > 1.
        count: How many, 1 to n.

    Returns:
        Shape (r,), r >= count, int64; all rows within SLACK of the last one wanted are there.
    """
    squares = np.einsum("ij,ij->i", probabilities, probabilities)
    sample = squares[:: -(-len(squares) // SAMPLED)]
    place = min(-(-3 * count * len(sample) // (2 * len(squares))), len(sample) - 1)
    near = np.flatnonzero(squares <= np.partition(sample, place)[place])
    if len(near) < count:
        near = np.argpartition(squares, count - 1)[:count]
    least = np.partition(entropy_scores(probabilities[near]), len(near) - count)[len(near) - count]
    reach = most_squares(float(least) - SLACK, probabilities.shape[1])
    return np.flatnonzero(squares <= reach + SLACK)


def most_squares(entropy: float, classes: int) -> float:
    """Return the largest sum of squares a row of this entropy, in nats, may have.

    >>> round(most_squares(np.log(4), 4), 6), most_squares(-1.0, 4)
    (0.25, 1.0)
    """
    low, high = 1 / classes, 1.0
    for _ in range(40):
        largest = (low + high) / 2
        rest = (1 - largest) / (classes - 1)
        reached = -largest * np.log(largest) - (1 - largest) * np.log(rest)
        low, high = (largest, high) if reached >= entropy else (low, largest)
    return high**2 + (1 - high) ** 2 / (classes - 1)


def _pays(probabilities: NDArray[np.floating], count: int) -> bool:
    """Return whether it is worth looking at all rows roughly first."""
    few = count > 0 and count * KERNEL_SHARE <= len(probabilities)
    return few and probabilities.size >= KERNEL_CELLS and probabilities.shape[1] > 1


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
