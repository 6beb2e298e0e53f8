"""From what a model does back to the rules that taught it: questions about a head, sums in return.

One kind of request asks them all, and one kind of reply carries the sums; ``about`` says which:

==============  =====================================  ============================================
about           is asked with                          is answered by, over a device's items
==============  =====================================  ============================================
``behaviours``  the head                               answers that only judge: how many per class,
                                                       and the gradient of their loss, per behaviour
``curvature``   directions                             what teaches: how its gradient bends along
                                                       each
``functions``   directions, the head before            what teaches: how far each function's votes,
                                                       and people's answers, work for each behaviour
``fates``       the head before                        answers that only judge: kept, lost, gained,
                                                       never known, per class
``fisher``      the head                               what teaches: how much its answers depend on
                                                       each weight
==============  =====================================  ============================================

Every number of a reply is whole and adds up over devices.
"""

from dataclasses import dataclass, field

import numpy as np

from fieldvote.codec import IntVector
from fieldvote.heads import GradientRequest, HeadModel

BEHAVIOURS, CURVATURE, FUNCTIONS = "behaviours", "curvature", "functions"
FATES, FISHER = "fates", "fisher"


def _none() -> IntVector:
    """Return no numbers."""
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TraceRequest:
    """One question about a head.

    Attributes:
        round: Which round.
        step: Which step of the round.
        about: What is asked; see above.
        lesson: The head, and what taught it, as its training asked.
        behaviours: How many behaviours are looked at: the classes, or all of them as one.
        directions: Of the behaviours, one after the other, row by row, but for the last class,
            where they are 0. Shape (b * p * (k - 1),).
        before: The head it was trained from, or is compared with.
        change: Column c is the direction in which class c changed, at the head before. Shape
            (p * k,).
    """

    round: int
    step: int
    about: str
    lesson: GradientRequest
    behaviours: int
    directions: IntVector = field(default_factory=_none)
    before: HeadModel | None = None
    change: IntVector = field(default_factory=_none)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TraceReply:
    """Sums over a device's items, as integers."""

    round: int
    step: int
    sums: IntVector
