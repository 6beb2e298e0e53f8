"""Which inputs would do better? What devices are asked, and what the sums they answer with hold.

A device is sent the ways it is to try, as models without weights. With ``rank`` above 0 it answers
what a ridge fit on its labeled items needs and can be judged by, for one way after the other; see
strategies.input_choice. With ``rank`` 0 it answers what the solver's curvature is taken from: of
its labeled items, then of its voted ones.
"""

from dataclasses import dataclass

from fieldvote.codec import IntVector
from fieldvote.heads import HeadModel


@dataclass(frozen=True, slots=True, kw_only=True)
class RecastRequest:
    """What do your labels say about these inputs?

    Attributes:
        round: Which round.
        step: Which step of the choice.
        models: The ways to try.
        rank: How many random projections stand for the inputs; 0 asks for the curvature.
        task: Digest of the task that is meant; empty for whichever the device has.
    """

    round: int
    step: int
    models: tuple[HeadModel, ...]
    rank: int
    task: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RecastReply:
    """Sums over a device's labeled items, as integers."""

    round: int
    step: int
    sums: IntVector
