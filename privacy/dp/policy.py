"""What a campaign may cost in privacy, whom that protects, and what it goes to.

The default is one that a small fleet can keep: one record more or less, epsilon 4 with delta 10^-6
over the whole campaign, half of it for training, a quarter each for vote summaries and evaluation.
Shares are of rho, which adds up, not of epsilon, which does not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
from types import MappingProxyType

from fieldvote.errors import InputError, RefusalError
from privacy.dp.accountant import micro_rho_within
from privacy.dp.amounts import positive_fraction, probability

TRAINING, SUMMARIES, EVALUATION = "training", "summaries", "evaluation"
WATCH = "watch"

HONEST_DEVICES = 1000
"""With fewer, noise that hides a whole device is as large as what the fleet has to say."""


class Unit(Enum):
    """Whose presence nobody can tell from what was released."""

    RECORD = "one record of one device"
    DEVICE = "one device with all of its records"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyPolicy:
    """The privacy that a device gives up for one campaign at most.

    Attributes:
        unit: Whose presence is hidden.
        epsilon: With delta, how well. Over the whole campaign.
        delta: Well below one over the number of records.
        shares: Which part goes to what; they add up to 1 or less.

    >>> policy = PrivacyPolicy()
    >>> policy.micro_rho, policy.micro_rho_by_kind["training"]
    (311064, 155532)
    """

    unit: Unit = Unit.RECORD
    epsilon: float = 4.0
    delta: float = 1e-6
    shares: Mapping[str, Fraction] = field(
        default_factory=lambda: {
            TRAINING: Fraction(1, 2),
            SUMMARIES: Fraction(1, 4),
            EVALUATION: Fraction(1, 4),
        }
    )

    def __post_init__(self) -> None:
        """Refuse a policy that promises nothing, or gives away more than it has."""
        positive_fraction("epsilon", self.epsilon)
        if probability("delta", self.delta) == 1.0:
            raise InputError("delta must be below 1: at 1 anything may happen")
        parts = [positive_fraction(f"share of {kind}", part) for kind, part in self.shares.items()]
        if not parts or sum(parts) > 1:
            raise InputError("shares of a privacy budget add up to 1 at most, and there is one")
        object.__setattr__(self, "shares", MappingProxyType(dict(self.shares)))

    @property
    def micro_rho(self) -> int:
        """What the campaign may cost in all, rounded down."""
        return micro_rho_within(epsilon=self.epsilon, delta=self.delta)

    @property
    def micro_rho_by_kind(self) -> Mapping[str, int]:
        """What each kind of release may cost, rounded down: the limits of a ledger."""
        total = self.micro_rho
        return MappingProxyType({kind: int(total * part) for kind, part in self.shares.items()})

    def check_training(self, *, layers: str) -> None:
        """Return if the policy lets these layers be trained.

        Args:
            layers: "head", or what is deeper, by its name.

        Raises:
            RefusalError: Deeper training under record-level privacy: it asks for a clipped gradient
                of each record in each of many rounds, and epsilon would be spent before the first
                layer moved.
        """
        if self.unit is Unit.RECORD and layers != "head":
            raise RefusalError(
                f"the policy hides single records, and training {layers!r} cannot: under it only "
                "the head is trained, by ridge regression from noised sums; train the head, or "
                "protect whole devices (about 1,000 of them are needed), or switch epsilon off"
            )
