"""Inputs that lean on their neighbours: what a device knows of an item from items like it.

Items of one device come in kinds: steps of one walk, messages of one sender. An item moved a
little towards the mean of those most like it loses some of what is only its own, so that a few
labels say more. It is done on the device, from its own unlabeled pool, on whole numbers: distances,
and with them the choice of neighbours, are the same on every machine.

Source: Wu et al. 2019, "Simplifying graph convolutional networks", arXiv:1902.07153, equation 8,
    one step of it, over a graph of nearest neighbours, with part of each item kept as it is.
"""

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS = 5
MOST_COMPARED = 4096  # of a larger pool, so many evenly spaced items stand for all

_BLOCK_ROWS = 256


def lean_on_neighbours(
    rows: NDArray[np.float64], share: float, *, pool: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Move each row this share of the way to the mean of its nearest neighbours.

    Where there are fewer than five neighbours, it moves so much less.

    Args:
        rows: Whole numbers within 2^13 of zero. Shape (n, d), d at most 2,048.
        share: How far, 0 to 1.
        pool: Where neighbours are looked for; None: among the rows, an item not being its own
            neighbour. Shape (m, d).

    Returns:
        Whole numbers. Shape (n, d).

    >>> lean_on_neighbours(np.array([[0.0], [10.0], [20.0]]), 0.5).ravel().tolist()
    [3.0, 10.0, 17.0]
    """
    among = rows if pool is None else pool
    if not share or len(among) <= (pool is None):
        return rows
    kept = np.arange(len(among))
    if len(among) > MOST_COMPARED:
        kept = np.arange(MOST_COMPARED) * len(among) // MOST_COMPARED
    near = among[kept]
    squares = (near * near).sum(axis=1)
    count = min(NEIGHBOURS, len(near) - (pool is None))
    moved = np.empty_like(rows)
    for start in range(0, len(rows), _BLOCK_ROWS):
        block = rows[start : start + _BLOCK_ROWS]
        # without the block's own squares, which order nothing; whole numbers below 2^39
        apart = squares - 2.0 * (block @ near.T)
        if pool is None:
            own = kept[None, :] == np.arange(start, start + len(block))[:, None]
            apart[own] = np.inf
        # the place breaks ties: below 2^39 · 2^12 both fit one number, and no two are equal
        order = apart * MOST_COMPARED + np.arange(len(near))
        nearest = np.argpartition(order, count - 1, axis=1)[:, :count]
        mean = near[nearest].sum(axis=1) / count
        moved[start : start + len(block)] = block + share * count / NEIGHBOURS * (mean - block)
    return np.rint(moved)
