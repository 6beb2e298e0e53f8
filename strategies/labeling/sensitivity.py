"""How far one item can move a vote summary: what noise for differential privacy is scaled by.

An item on which q functions vote adds to the vector of a summary (VoteSummary.to_vector)

- 1 to the items,
- 1 to each of q counts,
- 1 to each of q (q - 1) / 2 co-votes,
- 1 to each of at most as many agreements, to all of them where the votes are alike.

No number grows by more than 1, so the squared Euclidean length is the sum: 1 + q + q (q - 1) =
1 + q^2. With at most cap functions voting on any item, that is 1 + cap^2, and an item whose cap
votes are alike attains it.

Where neighbouring data sets differ by one item replaced, the items cancel and two such vectors are
subtracted: at most 2 cap^2 numbers differ, by 1 each; two items with no function in common attain
it if there are twice as many functions as the cap.
"""

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError
from strategies.labeling.votes import ABSTAIN, blocks, checked_votes


class Neighbours(Enum):
    """Which data sets a guarantee calls neighbours."""

    ADD_OR_REMOVE = "one item more or less"
    REPLACE = "one item exchanged for another"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """The most one item can move a vector of integers.

    Attributes:
        l1: Sum of absolute changes.
        l2_squared: Sum of squared changes; an integer, so that accounting needs no float.
        linf: Largest change of one number.
    """

    l1: int
    l2_squared: int
    linf: int

    @property
    def l2(self) -> float:
        """Euclidean length of the change."""
        return math.sqrt(self.l2_squared)


def summary_sensitivity(
    *, functions: int, cap: int, neighbours: Neighbours = Neighbours.ADD_OR_REMOVE
) -> Sensitivity:
    """Return the sensitivity of VoteSummary.to_vector; the module's text derives it.

    Args:
        functions: Number of labeling functions, m.
        cap: How many of them may vote on one item (see cap_votes).
        neighbours: What the guarantee is about.

    Raises:
        InputError: The cap is below zero, or there are no such numbers of functions.

    >>> summary_sensitivity(functions=20, cap=3)
    Sensitivity(l1=10, l2_squared=10, linf=1)
    """
    if cap < 0 or functions < 0:
        raise InputError(f"expected a cap and functions of 0 or more, got {cap} of {functions}")
    most = min(cap, functions)
    if neighbours is Neighbours.ADD_OR_REMOVE:
        return Sensitivity(l1=1 + most**2, l2_squared=1 + most**2, linf=1)
    changed = 2 * most**2
    return Sensitivity(l1=changed, l2_squared=changed, linf=min(most, 1))


def cap_votes(votes: NDArray[np.int8], cap: int, *, classes: int) -> NDArray[np.int8]:
    """Return the votes with at most cap of them left on each item, the others abstaining.

    Which are kept depends on the item's own votes and on nothing else: were it to depend on other
    items, or on how often functions fire, one item could move the votes of many and the cap would
    bound nothing. Functions take turns by a checksum of the votes, so that none is always cut.

    Args:
        votes: Shape (n, m).
        cap: How many to keep at most.
        classes: Number of classes, k.

    Raises:
        InputError, ShapeError: A cap below zero, or votes that are none.

    >>> cap_votes(np.array([[0, 1, 1], [-1, 1, -1]], dtype=np.int8), 1, classes=2).tolist()
    [[-1, -1, 1], [-1, 1, -1]]
    """
    if cap < 0:
        raise InputError(f"expected a cap of 0 or more, got {cap}")
    out = checked_votes(votes, classes).copy()
    functions = out.shape[1]
    places = np.arange(functions)
    for rows in blocks(out):
        block = out[rows]
        checksum = (block.astype(np.int64) + 2) @ (places * places + 1)
        turn = (checksum[:, None] + places) % max(functions, 1)
        cast = np.take_along_axis(block, turn, axis=1) != ABSTAIN
        over = cast & (np.cumsum(cast, axis=1) > cap)
        cut = np.zeros_like(over)
        np.put_along_axis(cut, turn, over, axis=1)
        block[cut] = ABSTAIN
    return out
