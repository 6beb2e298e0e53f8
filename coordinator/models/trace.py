"""Which functions taught a head what: what a round found out, and the numbers read from it."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fieldvote.codec import FloatVector, IntVector, decode, encode
from strategies.aggregation.fixed_point import LOSS_FRACTION
from strategies.governance.influence import INFLUENCE_FRACTION

ANSWERS = "people's answers"
"""The row beside the functions'."""
WHOLE = "all classes"
"""The one behaviour where there is one."""

Matrix = NDArray[np.float64]


def _none() -> IntVector:
    """Return no numbers."""
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trace:
    """What a round found out of a new head; kept by its digest.

    Attributes:
        model: Digest of the head.
        base: Digest of the head it was trained from.
        label_model: Digest of the label model's parameters.
        functions: Name and version of each, in the order of vote columns; m of them.
        classes: k of them.
        behaviours: What was looked at: the classes, or one for all of them.
        answered: How many judged answers each behaviour rests on. Shape (b,).
        losses: Their summed loss, in steps of 2^-16 nats. Shape (b,).
        items: How many items taught.
        sums: Influence of the functions, and of people's answers, on how each class changed and on
            each behaviour, in steps of 2^-32 of its direction. Shape ((m + 1) * (k + b),).
        scales: What one unit of each direction stands for. Shape (k + b,).
        fisher: How much the head's answers depend on each weight; see FisherSums; may be empty.
    """

    model: str
    base: str
    label_model: str
    functions: tuple[str, ...]
    classes: tuple[str, ...]
    behaviours: tuple[str, ...]
    answered: IntVector
    losses: IntVector
    items: int
    sums: IntVector
    scales: FloatVector
    fisher: IntVector = field(default_factory=_none)

    def to_bytes(self) -> bytes:
        """Return this as it is kept."""
        return encode(self, _KINDS)

    @staticmethod
    def from_bytes(blob: bytes) -> "Trace":
        """Undo to_bytes.

        Raises:
            WireError: these bytes are no trace.
        """
        return decode(blob, _KINDS, (Trace,))

    @property
    def changes(self) -> Matrix:
        """How far each row pulled each class's logit the way it went. Shape (m + 1, k)."""
        return self._values[:, : len(self.classes)]

    @property
    def effects(self) -> Matrix:
        """What retraining without a row would add to each behaviour's loss, in nats. (m + 1, b)."""
        return self._values[:, len(self.classes) :]

    @property
    def loss_nats(self) -> Matrix:
        """The summed loss of each behaviour's judged answers. Shape (b,)."""
        return np.asarray(self.losses * 2.0**-LOSS_FRACTION)

    @property
    def _values(self) -> Matrix:
        """All influence in real numbers. Shape (m + 1, k + b)."""
        steps = self.sums.astype(np.float64).reshape(-1, len(self.scales))
        return np.asarray(steps * 2.0**-INFLUENCE_FRACTION * self.scales)


_KINDS: dict[int, type] = {1: Trace}
