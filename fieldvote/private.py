"""Noised sums on the wire: what a coordinator asks for under differential privacy, and gets."""

from dataclasses import dataclass, field

import numpy as np

from fieldvote.codec import FloatVector, IntVector
from fieldvote.heads import HeadModel


def _none() -> FloatVector:
    """Return no numbers."""
    return np.empty(0, dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PrivateRequest:
    """Sum this, pay for it, noise it, and send it.

    Attributes:
        round: Which round.
        step: Which leg of its exchange.
        about: What to sum.
        turn: Which of the campaign's releases of this it is, from 0; it says what it costs, and a
            device answers each once.
        model: The head that is improved or judged, or whose representation is meant; None where
            inputs do not matter.
        reach: Beyond this a record's error counts no more, or a device's update.
        vote_weight: Largest weight of one voted item, relative to one answered item.
        label_model: Parameters of the label model; empty without one.
        task: Digest of the task; empty for whichever the device has.
        epochs: How long a device trains on its own; with "update".
        l2_per_item: Strength of the L2 penalty per unit of weight; with "update".
    """

    round: int
    step: int
    about: str
    turn: int
    model: HeadModel | None = None
    reach: float = 1.0
    vote_weight: float = 0.0
    label_model: FloatVector = field(default_factory=_none)
    task: str = ""
    epochs: int = 0
    l2_per_item: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PrivateReply:
    """A sum with noise in it.

    Attributes:
        round: The round answered.
        step: The leg answered.
        sums: In steps that the policy gives; see privacy.dp.campaign.
    """

    round: int
    step: int
    sums: IntVector
