"""Squared distances between embeddings, by one matrix product."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError

MOST_PAIRED = 16_384
"""Most items whose pairs a rule holds in memory at once: 1 GiB."""
BLOCK = 1024


def squared_distances(
    left: NDArray[np.floating], right: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Return squared distances, in single precision and not below 0.

    Args:
        left: Shape (n, d).
        right: Shape (l, d).

    Returns:
        Shape (n, l).

    >>> squared_distances(np.array([[0.0], [3.0]]), np.array([[1.0]])).tolist()
    [[1.0], [4.0]]
    """
    a, b = left.astype(np.float32, copy=False), right.astype(np.float32, copy=False)
    gaps = a @ b.T
    gaps *= -2
    gaps += np.einsum("ij,ij->i", a, a)[:, None]
    gaps += np.einsum("ij,ij->i", b, b)
    np.maximum(gaps, 0, out=gaps)
    return np.asarray(gaps)


def neighbour_distances(points: NDArray[np.floating], neighbours: int) -> NDArray[np.float64]:
    """Return the distances of each item to its nearest others, nearest first.

    Args:
        points: Shape (n, d).
        neighbours: How many; fewer where there are fewer others.

    Returns:
        Shape (n, min(neighbours, n - 1)).

    >>> neighbour_distances(np.array([[0.0], [1.0], [5.0]]), 2).tolist()
    [[1.0, 5.0], [1.0, 4.0], [4.0, 5.0]]
    """
    count = max(min(neighbours, len(points) - 1), 0)
    out = np.empty((len(points), count))
    for start, gaps in blocks(points):
        rows = np.arange(len(gaps))
        gaps[rows, start + rows] = np.inf  # not its own neighbour
        nearest = np.sort(np.partition(gaps, max(count - 1, 0), axis=1)[:, :count], axis=1)
        out[start : start + len(gaps)] = np.sqrt(nearest)
    return out


def blocks(points: NDArray[np.floating]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield squared distances of some items to all, with the position of the first of them."""
    for start in range(0, len(points), BLOCK):
        yield start, squared_distances(points[start : start + BLOCK], points)


def check_pairs(rule: str, items: int) -> None:
    """Refuse pools whose pairs do not fit into memory.

    Raises:
        InputError: there are more than 16,384 items.
    """
    if items > MOST_PAIRED:
        raise InputError(
            f"{rule} compares all pairs of at most {MOST_PAIRED} items, got {items}; "
            "rank by another rule first"
        )
