"""How this device is doing: battery, heat and memory, as the Linux kernel shows them.

What cannot be read is no reason to stop: a gateway in a cupboard has no battery.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from fieldvote.training_limits import TrainingLimits

_MILLI = 1000.0
_KB = 1024


class Readings(Protocol):
    """What can be told of a device; None where it cannot."""

    def battery_percent(self) -> int | None:
        """Return the charge of a battery that is not charging."""

    def celsius(self) -> float | None:
        """Return the temperature of the hottest part."""

    def memory_bytes(self) -> int | None:
        """Return what this process takes now."""


@dataclass(frozen=True, slots=True)
class KernelReadings:
    """Reads the kernel's own files.

    Attributes:
        system: Where it shows batteries and thermometers.
        process: Where it shows this process.
    """

    system: Path = field(default_factory=lambda: Path("/sys/class"))
    process: Path = field(default_factory=lambda: Path("/proc/self"))

    def battery_percent(self) -> int | None:
        """Return the lowest charge of those that are not charging; None with power from a wall."""
        found = []
        for supply in sorted(self.system.glob("power_supply/*")):
            if _read(supply / "type") == "Battery" and _read(supply / "status") == "Discharging":
                with suppress(ValueError):
                    found.append(int(_read(supply / "capacity")))
        return min(found, default=None)

    def celsius(self) -> float | None:
        """Return the highest of all thermal zones."""
        found = []
        for zone in self.system.glob("thermal/thermal_zone*/temp"):
            with suppress(ValueError):
                found.append(int(_read(zone)) / _MILLI)
        return max(found, default=None)

    def memory_bytes(self) -> int | None:
        """Return the resident memory of this process."""
        for line in _read(self.process / "status").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * _KB
        return None


def why_not(limits: TrainingLimits, readings: Readings) -> str:
    """Return why a device should not train now, for people; empty where it may.

    >>> why_not(TrainingLimits(battery_percent=0, celsius=1000.0), KernelReadings(Path("/nowhere")))
    ''
    """
    charge, heat = readings.battery_percent(), readings.celsius()
    if charge is not None and charge < limits.battery_percent:
        return f"the battery is at {charge} %, {limits.battery_percent} % are asked for"
    if heat is not None and heat > limits.celsius:
        return f"it is {heat:.0f} degrees warm, {limits.celsius:.0f} are allowed"
    return ""


def _read(path: Path) -> str:
    """Return what a file of the kernel says; nothing where it says nothing."""
    try:
        return path.read_text("ascii").strip()
    except (OSError, ValueError):
        return ""
