"""Which inputs would do better? What devices are asked, and what the sums they answer with hold.

A device is sent the ways it is to try, as models without weights. With ``rank`` above 0 it answers
what a ridge fit on its labeled items needs and can be judged by, for one way after the other; see
strategies.input_choice. With ``rank`` 0 it answers what the solver's curvature is taken from: of
its labeled items, then of its voted ones.

``about`` asks of heads at several weights of the votes instead; see strategies.vote_choice:

=========  ========================================================================
about      is answered by
=========  ========================================================================
``teach``  the gradient at each head, votes weighed as its own weight says
``judge``  how many labels were drawn by lot, and the loss of each head on them
=========  ========================================================================
"""

from dataclasses import dataclass, field

import numpy as np

from fieldvote.codec import LATER, FloatVector, IntVector
from fieldvote.heads import HeadModel
from fieldvote.teaching import TeachingRule

TEACH, JUDGE = "teach", "judge"


def _no_floats() -> FloatVector:
    return np.empty(0)


def _no_integers() -> IntVector:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecastRequest:
    """What do your labels say about these inputs?

    Attributes:
        round: Which round.
        step: Which step of the choice.
        models: The ways to try.
        rank: How many random projections stand for the inputs; 0 asks for the curvature.
        task: Digest of the task that is meant; empty for whichever the device has.
        about: What is asked of heads; see above. Empty asks about inputs.
        heads: Weights of the heads that are asked about, over the inputs of the one model, one head
            after the other. Shape (h * p * k,).
        vote_weights: Largest weight of one voted item, for each head. Shape (h,).
        label_model: Parameters of the label model; empty where no head learns from votes.
        teaching: What may be learned from which label; None: every voted one teaches.
    """

    round: int
    step: int
    models: tuple[HeadModel, ...]
    rank: int
    task: str = ""
    about: str = field(default="", metadata=LATER)
    heads: IntVector = field(default_factory=_no_integers, metadata=LATER)
    vote_weights: FloatVector = field(default_factory=_no_floats, metadata=LATER)
    label_model: FloatVector = field(default_factory=_no_floats, metadata=LATER)
    teaching: TeachingRule | None = field(default=None, metadata=LATER)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RecastReply:
    """Sums over a device's labeled items, as integers."""

    round: int
    step: int
    sums: IntVector
