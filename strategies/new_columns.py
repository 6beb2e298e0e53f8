"""Which numbers of a summary are about functions that a release brings.

The sums of a trial are over the functions of a task and, behind them, those that are new. What is
between two old functions was summed before, and neither travels nor counts.
"""

import numpy as np
from numpy.typing import NDArray

from strategies.labeling import AnchorSummary, VoteSummary


def new_votes(functions: int, brought: int, *, classes: int) -> NDArray[np.bool_]:
    """Return which numbers of a vote summary are of a new function, alone or in a pair.

    Args:
        functions: How many functions the summary is over.
        brought: How many of those are new: the last ones.
        classes: k.

    Returns:
        Shape of `VoteSummary.to_vector`.

    >>> int(new_votes(3, 1, classes=2).sum())  # two classes, and two pairs in two tables
    6
    """
    is_new = np.arange(functions) >= functions - brought
    pairs = (is_new[:, None] | is_new) & ~np.eye(functions, dtype=np.bool_)
    marked = VoteSummary(
        items=0,
        counts=np.repeat(is_new[:, None], classes, axis=1).astype(np.int64),
        co_votes=pairs.astype(np.int64),
        agreements=pairs.astype(np.int64),
    )
    return np.asarray(marked.to_vector() > 0)


def new_anchors(functions: int, brought: int, *, classes: int) -> NDArray[np.bool_]:
    """Return which numbers of an anchor summary are of a new function.

    >>> int(new_anchors(3, 1, classes=2).sum())
    4
    """
    tables = np.zeros((functions, classes, classes), dtype=np.int64)
    tables[functions - brought :] = 1
    marked = AnchorSummary(tables=tables, items=np.zeros(classes, dtype=np.int64))
    return np.asarray(marked.to_vector() > 0)


def spread(numbers: NDArray[np.int64], mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the vector of which these numbers are the marked ones; the others are 0.

    >>> spread(np.array([5, 6]), np.array([True, False, True])).tolist()
    [5, 0, 6]
    """
    vector = np.zeros(len(mask), dtype=np.int64)
    vector[mask] = numbers
    return vector
