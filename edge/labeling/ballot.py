"""What one function answered for many items."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge.labeling.items import Items

Votes: TypeAlias = NDArray[np.int8]
Mask: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ballot:
    """Votes, and where there should have been an answer and was none.

    Attributes:
        votes: The class, or -1 where it abstains. Shape (n,), int8.
        failed: Where it could not answer: a broken contract, an error, a time-out. Shape (n,).
    """

    votes: Votes
    failed: Mask


Column: TypeAlias = Callable[[Items], Ballot]


def ballot(holds: Mask, vote: int) -> Ballot:
    """Return a ballot that votes where something holds, and failed nowhere."""
    votes = np.where(holds, np.int8(vote), np.int8(-1))
    return Ballot(votes=votes, failed=np.zeros(len(holds), dtype=np.bool_))
