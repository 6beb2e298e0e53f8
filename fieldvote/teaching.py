"""What may be learned from which label in a round, as it travels with every request to train."""

from dataclasses import dataclass, field

import numpy as np

from fieldvote.codec import IntVector

ABOUT_LESSONS = ("confidence", "depth", "pseudo")
"""What devices may be asked of their lessons: how sure votes are and how right, how deep which
lesson goes, and how right a model is where it says which class how surely."""


def _none() -> IntVector:
    """Return no numbers."""
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TeachingRule:
    """How sure a label must be to teach how deep; as it stands, every voted label teaches all.

    Attributes:
        high: Least confidence of a voted label for all layers.
        middle: Least confidence of a voted label for the head; below, a person is asked.
        voices: How many independent functions must support a voted label for all layers.
        agreement: Least share of the independent functions that supports it, for all layers.
        sharpness: A voted label weighs its confidence beyond chance to this power.
        most_weight: Weights above are cut to it.
        verified_only: Whether a label that no person gave may teach nothing at all.
        groups: Functions with the same number are copies, one voice. Shape (m,); empty: none are.
        thresholds: Per class, the bin of confidence from which on the teacher's own label counts.
            Shape (k,); empty: it gives none.
        most_pseudo: Share of a device's lessons that such labels may be, at most.
        second_views: What the second view of a lesson weighs, relative to the lesson; 0 to 1.
        consistency: Weight of the second views of all items that teach nothing else, relative to a
            device's other lessons; they shall be what the teacher says of the items themselves.
    """

    high: float = 0.0
    middle: float = 0.0
    voices: int = 0
    agreement: float = 0.0
    sharpness: float = 1.0
    most_weight: float = 4.0
    verified_only: bool = False
    groups: IntVector = field(default_factory=_none)
    thresholds: IntVector = field(default_factory=_none)
    most_pseudo: float = 0.0
    second_views: float = 0.0
    consistency: float = 0.0
