"""Compiled twins of the scores, for pools where numpy's passes over memory are what takes time.

numba is loaded on first use and is never needed: `uncertainty` has the same rule in numpy, which
gives the same positions, and the tests hold the two together.
"""

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

Pick = Callable[[NDArray[np.floating], int], NDArray[np.int64]]


@cache
def compiled_margin() -> Pick | None:
    """Return least_margin compiled, or None where numba is not installed."""
    if find_spec("numba") is None:
        return None
    import numba

    compiled: Pick = numba.njit(cache=True, nogil=True)(least_margin)
    return compiled


def least_margin(probabilities: NDArray[np.floating], count: int) -> NDArray[np.int64]:
    """Return the rows whose two largest entries are closest, in no order; ties go by position.

    One pass; a heap holds the best so far with the worst of them on top, so nearly all rows cost
    a comparison.

    Args:
        probabilities: Shape (n, k), contiguous.
        count: How many, 1 to n.

    Returns:
        Shape (count,), int64.
    """
    margins = np.empty(count, dtype=probabilities.dtype)
    rows = np.empty(count, dtype=np.int64)
    size = 0
    for row in range(probabilities.shape[0]):
        first = probabilities[row, 0]
        second = first - first  # 0 of the same type
        for c in range(1, probabilities.shape[1]):
            value = probabilities[row, c]
            second = max(second, min(first, value))
            first = max(first, value)
        margin = first - second
        if size < count:
            # rise: later rows lose ties, so an equal margin below goes on top
            at = size
            size += 1
            while at > 0:
                parent = (at - 1) // 2
                if margins[parent] > margin:
                    break
                margins[at], rows[at] = margins[parent], rows[parent]
                at = parent
        elif margin < margins[0]:
            at = 0
            while True:
                child = 2 * at + 1
                if child >= count:
                    break
                other = child + 1
                if other < count and (
                    margins[other] > margins[child]
                    or (margins[other] == margins[child] and rows[other] > rows[child])
                ):
                    child = other
                if margins[child] <= margin:  # an equal child is earlier, so better
                    break
                margins[at], rows[at] = margins[child], rows[child]
                at = child
        else:
            continue
        margins[at], rows[at] = margin, row
    return rows
