"""Votes as they come from labeling functions: one check at the door, then lists of cast votes.

A vote matrix has one row per item and one column per labeling function; -1 abstains, 0 to k - 1
is a class.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldvote.errors import InputError, ShapeError

ABSTAIN = -1
MOST_CLASSES = 127  # votes are int8
LOWEST_BITS = np.uint64(0x0101010101010101)  # of each byte
BLOCK_ROWS = 16_384  # blocks stay within a near cache, and are long enough that calls cost little


def checked_classes(classes: int) -> int:
    """Return the number of classes if a label model can work with it.

    Raises:
        InputError: Fewer than 2 classes leave nothing to decide; more than 127 do not fit a vote.
    """
    if not 2 <= classes <= MOST_CLASSES:
        raise InputError(f"expected 2 to {MOST_CLASSES} classes, got {classes}")
    return int(classes)


def checked_votes(
    votes: ArrayLike, classes: int, *, functions: int | None = None
) -> NDArray[np.int8]:
    """Return votes as a matrix of int8, refusing what is not votes.

    Args:
        votes: Shape (n, m), any integer dtype, values -1 to classes - 1.
        classes: Number of classes, k.
        functions: How many columns there must be; None takes any.

    Raises:
        ShapeError: votes is not a matrix, or has another number of columns.
        InputError: Not integers, or a vote for a class that does not exist.
    """
    checked_classes(classes)
    matrix = np.asarray(votes)
    if matrix.ndim != 2 or (functions is not None and matrix.shape[1] != functions):
        raise ShapeError("votes", matrix.shape, ("n", "m" if functions is None else functions))
    if not np.issubdtype(matrix.dtype, np.integer):
        raise InputError(f"votes must be integers, got dtype {matrix.dtype}")
    if matrix.size and not (matrix.min() >= ABSTAIN and matrix.max() < classes):
        raise InputError(
            f"votes must lie in -1..{classes - 1}, got {matrix.min()} to {matrix.max()}"
        )
    return np.ascontiguousarray(matrix, dtype=np.int8)


def checked_labels(labels: ArrayLike, classes: int, *, items: int) -> NDArray[np.int64]:
    """Return labels as int64, refusing what is not one class per item.

    Raises:
        ShapeError: labels is not of shape (items,).
        InputError: Not integers, or outside 0 to classes - 1.
    """
    column = np.asarray(labels)
    if column.shape != (items,):
        raise ShapeError("labels", column.shape, (items,))
    if items and not np.issubdtype(column.dtype, np.integer):
        raise InputError(f"labels must be integers, got dtype {column.dtype}")
    if items and not (column.min() >= 0 and column.max() < classes):
        raise InputError(
            f"labels must lie in 0..{classes - 1}, got {column.min()} to {column.max()}"
        )
    return column.astype(np.int64)


def blocks(votes: NDArray[np.int8]) -> Iterator[slice]:
    """Yield the slices that cut the rows into blocks."""
    for start in range(0, len(votes), BLOCK_ROWS):
        yield slice(start, start + BLOCK_ROWS)


def votes_per_item(votes: NDArray[np.int8]) -> float:
    """Return how many votes an item has on average, from at most eight blocks of it."""
    sample = range(0, len(votes), max(BLOCK_ROWS, len(votes) // 8 or 1))
    looked_at = [votes[start : start + BLOCK_ROWS] for start in sample]
    cast = sum(int(np.count_nonzero(block != ABSTAIN)) for block in looked_at)
    return cast / max(sum(len(block) for block in looked_at), 1)


class Cast(NamedTuple):
    """The votes that were cast in a block, abstentions left out. Each of shape (v,), by row.

    Attributes:
        row: Item within the block.
        function: Who voted.
        cell: function * k + vote.
    """

    row: NDArray[np.intp]
    function: NDArray[np.intp]
    cell: NDArray[np.intp]


def cast_cells(block: NDArray[np.int8], classes: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """List the votes that were cast: row, and cell, which is function * k + vote.

    >>> [part.tolist() for part in cast_cells(np.array([[-1, 1], [0, -1]], dtype=np.int8), 2)]
    [[0, 1], [3, 0]]
    """
    flat = block.ravel()
    cell = np.flatnonzero(flat != ABSTAIN)
    said = flat[cell]
    row = cell // max(block.shape[1], 1)
    cell -= row * block.shape[1]
    cell *= classes
    cell += said
    return row, cell


def cast_votes(block: NDArray[np.int8], classes: int) -> Cast:
    """List the votes that were cast.

    >>> cast_votes(np.array([[-1, 1], [0, -1]], dtype=np.int8), 2).cell.tolist()
    [3, 0]
    """
    flat = block.ravel()
    where = np.flatnonzero(flat != ABSTAIN)
    row, function = np.divmod(where, max(block.shape[1], 1))
    return Cast(row=row, function=function, cell=function * classes + flat[where].astype(np.intp))
