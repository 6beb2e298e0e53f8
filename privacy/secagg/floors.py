"""What a device insists on, whatever a coordinator proposes.

These come from the device's own policy, signed offline; a roster may be stricter, never laxer. The
chance that a promise fails is worked out anew on the device, from how many devices *it* believes
may be corrupt.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Self

from fieldvote.cohort_policy import CohortPolicy
from fieldvote.errors import InputError, RefusalError
from privacy.secagg.parameters import SECURITY_BITS, Parameters, insecurity


@dataclass(frozen=True, slots=True, kw_only=True)
class Floors:
    """A device's own conditions.

    Attributes:
        max_corrupt: Share of the fleet that may work with a lying coordinator.
        least_cohort: Fewest devices in a cohort, and among its survivors.
        least_threshold: Fewest keepers that open a secret.
        least_sum: Fewest honest devices in any sum that can be opened.
        quick: Whether rounds without confirmation are accepted: they hold against a coordinator
            that is curious, not against one that lies.
    """

    max_corrupt: float = 0.1
    least_cohort: int = 10
    least_threshold: int = 6
    least_sum: int = 5
    quick: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.max_corrupt < 1:
            raise InputError(f"max_corrupt is a share from 0 to 1, got {self.max_corrupt}")
        if self.least_threshold < 1 or not 2 <= self.least_sum <= self.least_cohort:
            raise InputError("floors: 1 <= least_threshold and 2 <= least_sum <= least_cohort")

    @classmethod
    def of(cls, policy: CohortPolicy) -> Self:
        """Return the floors a fleet's owner signed."""
        return cls(
            max_corrupt=policy.max_corrupt,
            least_cohort=policy.least_cohort,
            least_threshold=policy.least_threshold,
            least_sum=policy.least_sum,
            quick=policy.quick,
        )

    def check(self, *, devices: int, sizes: Parameters, least_cohort: int, robust: bool) -> None:
        """Return if a device with these floors may take part in such an epoch.

        Raises:
            RefusalError: it may not; which floor is missed.

        >>> sizes = Parameters(degree=11, least_partners=6, keepers=12, threshold=8)
        >>> Floors().check(devices=12, sizes=sizes, least_cohort=10, robust=True)
        """
        corrupt = self.corrupt_of(devices)
        if not robust and not self.quick:
            raise RefusalError("rounds without confirmation, and this device asks for it")
        if least_cohort < self.least_cohort:
            raise RefusalError(
                f"cohorts of {least_cohort}, this device asks for {self.least_cohort}"
            )
        if least_cohort - corrupt < self.least_sum:
            raise RefusalError(
                f"{corrupt} of a cohort of {least_cohort} may be corrupt, and a sum needs"
                f" {self.least_sum} honest devices"
            )
        if sizes.threshold < self.least_threshold:
            raise RefusalError(
                f"a threshold of {sizes.threshold}, this device asks for {self.least_threshold}"
            )
        risk = insecurity(devices, sizes, corrupt=corrupt, least_sum=self.least_sum, robust=robust)
        if risk > Fraction(1, 1 << SECURITY_BITS):
            raise RefusalError(
                f"with {corrupt} corrupt devices these sizes fail with probability"
                f" {float(risk):.2g}: more partners, more keepers or a higher threshold"
            )

    def corrupt_of(self, devices: int) -> int:
        """Return how many of so many devices may be corrupt."""
        # 0.1 of 30 is 3, though 0.1 * 30 is a little more
        return ceil(self.max_corrupt * devices - 1e-9)
