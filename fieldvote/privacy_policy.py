"""How well a campaign hides a record, or a device, in what it sums: [privacy] in policy.toml.

::

    [privacy]
    unit = "record"              whose presence nobody can tell; "none" adds no noise
    epsilon = 4.0                how well, over the whole campaign
    delta = 1e-6
    against = "coordinator"      "outsiders": the coordinator is trusted with single replies
    cohort = 100                 devices a sum is over when all of them answer
    dropouts = 0.1               part of them that may be missing from a sum
    corrupt = 0.1                part of them that may tell their noise
    cap_votes = 5                functions that count on one record
    rounds = 8                   rounds the budget is divided over
    bound = 1.0                  longest embedding that counts in full
    centre = true                false: embeddings lie around zero already
    clip = 1.0                   with unit = "device": longest update of a head that counts in full
    adaptive = false             true: that length follows what half of the devices stay below

    [privacy.split]              which part of the budget goes to what
    training = 0.5
    summaries = 0.25
    evaluation = 0.25
    watch = 0.0                  above 0: histograms of items that are new, for the watch over drift

The owner signs it, and devices keep it: they add the noise, charge for it and refuse when it is
spent, whatever a coordinator asks.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

from fieldvote.errors import SettingsError

_MOST_COHORT = 1 << 20
_MOST_ROUNDS = 1000
_LONGEST = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacySplit:
    """Which part of a privacy budget goes to what; the parts are of rho, which adds up.

    Attributes:
        training: Sums a head is solved from.
        summaries: Votes, answers, and means of inputs.
        evaluation: Confusion counts.
        watch: Histograms of items that are new; 0 lets none leave. An item is in those of one round
            only, so this is what each round may take.
    """

    training: float = 0.5
    summaries: float = 0.25
    evaluation: float = 0.25
    watch: float = 0.0

    def __post_init__(self) -> None:
        """Refuse parts that are none, or more than there is."""
        parts = (self.training, self.summaries, self.evaluation)
        if not all(math.isfinite(part) and part > 0.0 for part in parts):
            raise SettingsError("privacy.split: expected three parts above 0")
        if not (math.isfinite(self.watch) and self.watch >= 0.0):
            raise SettingsError(f"privacy.split.watch: expected 0 or more, got {self.watch}")
        if (total := sum(parts) + self.watch) > 1.0 + 1e-9:
            raise SettingsError(f"privacy.split: the parts add up to {total:g}, at most to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacySettings:
    """What noise a campaign's sums hold, and what it is measured against.

    Attributes:
        unit: Whose presence is hidden: no one's, one record's, or a device's with all it holds.
        epsilon: With delta, how well. Over the whole campaign.
        delta: Well below one over the number of records.
        against: Whom it holds against. Where sums are secure, nobody sees a single reply, and each
            device adds its share of the noise. Where they are not, noise that holds against the
            coordinator is added in full by every device.
        cohort: How many devices the noise is divided among.
        dropouts: Part of them that may be missing from a sum.
        corrupt: Part of them that may tell their noise to whoever sees the sum.
        cap_votes: How many functions count on one record; the device leaves the others out.
        rounds: How many rounds the budget is divided over; none is planned beyond.
        bound: Length of an embedding beyond which it is shortened.
        centre: Whether the fleet's mean is asked for, and taken out.
        clip: Length beyond which a device's update is shortened, where whole devices are hidden.
        adaptive: Whether that length follows what half of the devices stay below.
        split: Which part of the budget goes to what.
    """

    unit: Literal["none", "record", "device"] = "none"
    epsilon: float = 4.0
    delta: float = 1e-6
    against: Literal["coordinator", "outsiders"] = "coordinator"
    cohort: int = 100
    dropouts: float = 0.1
    corrupt: float = 0.1
    cap_votes: int = 5
    rounds: int = 8
    bound: float = 1.0
    centre: bool = True
    clip: float = 1.0
    adaptive: bool = False
    split: PrivacySplit = field(default_factory=PrivacySplit)

    def __post_init__(self) -> None:
        """Refuse what promises nothing, or nothing that can be kept."""
        if not (math.isfinite(self.epsilon) and 0.0 < self.epsilon <= 1000.0):
            raise SettingsError(f"privacy.epsilon: expected above 0, to 1000, got {self.epsilon}")
        if not 1e-300 <= self.delta < 1.0:
            raise SettingsError(f"privacy.delta: expected above 0, below 1, got {self.delta}")
        for name, most in (
            ("cohort", _MOST_COHORT),
            ("rounds", _MOST_ROUNDS),
            ("cap_votes", _MOST_COHORT),
        ):
            if not 1 <= getattr(self, name) <= most:
                raise SettingsError(
                    f"privacy.{name}: expected 1 to {most}, got {getattr(self, name)}"
                )
        for name in ("dropouts", "corrupt"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise SettingsError(
                    f"privacy.{name}: expected 0 to below 1, got {getattr(self, name)}"
                )
        if self.sure < 1:
            raise SettingsError(
                f"privacy: of {self.cohort} devices {self.missing} may be missing and"
                f" {self.told} corrupt, so no noise is sure: name a larger cohort"
            )
        if self.unit == "device" and self.split.watch:
            raise SettingsError(
                "privacy.split.watch: histograms hide single items, not whole devices: set it to 0"
            )
        for name in ("bound", "clip"):
            if not 1.0 / _LONGEST <= getattr(self, name) <= _LONGEST:
                raise SettingsError(
                    f"privacy.{name}: expected 1e-6 to 1e6, got {getattr(self, name)}"
                )

    @property
    def on(self) -> bool:
        """Whether any noise is added."""
        return self.unit != "none"

    @property
    def missing(self) -> int:
        """How many devices of the cohort may be missing from a sum."""
        return math.ceil(self.dropouts * self.cohort)

    @property
    def told(self) -> int:
        """How many devices may tell their noise."""
        return math.ceil(self.corrupt * self.cohort)

    @property
    def sure(self) -> int:
        """How many draws of noise reach every sum and stay unknown.

        >>> PrivacySettings(unit="record").sure
        80
        """
        return self.cohort - self.missing - self.told


def check_floor(privacy: PrivacySettings, *, least_sum: int | None) -> None:
    """Return if secure sums are over as many devices as the noise is divided among.

    Args:
        privacy: The policy's.
        least_sum: Fewest honest devices in a secure sum; None where sums are not secure.

    Raises:
        SettingsError: a sum could hold fewer shares of noise than are counted on.
    """
    if not privacy.on or privacy.against == "outsiders" or least_sum is None:
        return
    if least_sum < privacy.sure:
        raise SettingsError(
            f"privacy: {privacy.sure} shares of the noise are counted on (a cohort of"
            f" {privacy.cohort}, {privacy.missing} missing, {privacy.told} corrupt), and a sum may"
            f" be opened over {least_sum} honest devices: raise cohort.least_sum, or name a"
            " smaller privacy.cohort"
        )
