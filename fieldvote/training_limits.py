"""What training a network may cost a device: `[training]` of policy.toml.

::

    [training]
    seconds = 60.0           # of one visit; what was learnt so far is sent then
    memory_mb = 256          # beyond what the agent takes anyway
    battery_percent = 30     # below it, and not charging, training waits
    celsius = 70.0           # above it training waits

A limit holds where the device has a reading for it; one without a battery is never short of it.
"""

import math
from dataclasses import dataclass

from fieldvote.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingLimits:
    """What training may cost a device.

    Attributes:
        seconds: Time of one visit.
        memory_mb: Memory beyond what the agent takes anyway.
        battery_percent: Charge below which a device that is not charging does not train.
        celsius: Temperature of its hottest part above which a device does not train.
    """

    seconds: float = 300.0
    memory_mb: int = 512
    battery_percent: int = 20
    celsius: float = 85.0

    def __post_init__(self) -> None:
        """Refuse what is no time, no memory, no share and no temperature."""
        if not 0 < self.seconds < math.inf:
            raise SettingsError(f"training.seconds: expected above 0, got {self.seconds}")
        if self.memory_mb < 1:
            raise SettingsError(f"training.memory_mb: expected 1 or more, got {self.memory_mb}")
        if not 0 <= self.battery_percent <= 100:
            raise SettingsError(
                f"training.battery_percent: expected 0 to 100, got {self.battery_percent}"
            )
        if not math.isfinite(self.celsius):
            raise SettingsError(f"training.celsius: expected a temperature, got {self.celsius}")
