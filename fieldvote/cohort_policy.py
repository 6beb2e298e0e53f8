"""What a fleet's owner asks of the cohorts its sums are made over: the table [cohort] of a policy.

::

    [cohort]
    sums = "secure"          sums leave devices under masks, or not at all; "plain": one by one
    least_cohort = 10        fewest devices in a sum
    max_corrupt = 0.1        share of the fleet that may work with a lying coordinator
    partial = false          whether a sum goes on without a device that is lost on the way
"""

from dataclasses import dataclass
from typing import Literal

from fieldvote.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortPolicy:
    """A device's own conditions; a coordinator may be stricter, never laxer.

    Attributes:
        sums: "secure": every sum leaves under masks, and a device refuses to tell one on its own.
            "plain": the coordinator sees each device's sums.
        max_corrupt: Share of the fleet that may work with a lying coordinator.
        least_cohort: Fewest devices in a sum.
        least_threshold: Fewest keepers that open a secret.
        least_sum: Fewest honest devices in any sum that can be opened.
        quick: Whether rounds without confirmation are accepted: they hold against a coordinator
            that is curious, not against one that lies.
        partial: Whether a sum may be opened that lost devices after they were counted in. Two sums
            that differ by one device tell what is that device's; only where noise covers it.
    """

    sums: Literal["plain", "secure"] = "plain"
    max_corrupt: float = 0.1
    least_cohort: int = 10
    least_threshold: int = 6
    least_sum: int = 5
    quick: bool = False
    partial: bool = False

    def __post_init__(self) -> None:
        """Refuse floors that are none."""
        if not 0.0 <= self.max_corrupt < 1.0:
            raise SettingsError(f"max_corrupt: expected 0 to below 1, got {self.max_corrupt}")
        if self.least_threshold < 1:
            raise SettingsError(f"least_threshold: expected 1 or more, got {self.least_threshold}")
        if not 2 <= self.least_sum <= self.least_cohort:
            raise SettingsError(
                f"least_sum, least_cohort: expected 2 <= {self.least_sum} <= {self.least_cohort}"
            )

    @property
    def secure(self) -> bool:
        """Whether sums leave under masks only."""
        return self.sums == "secure"

    def in_words(self, *, noised: bool) -> str:
        """Say what sums are, and who sees whose.

        >>> CohortPolicy().in_words(noised=False)
        'exact sums, seen per device'
        >>> CohortPolicy(sums="secure").in_words(noised=True)
        'noised sums over 10 or more devices'
        """
        kind = "noised" if noised else "exact"
        if self.secure:
            return f"{kind} sums over {self.least_cohort} or more devices"
        return f"{kind} sums, seen per device"
