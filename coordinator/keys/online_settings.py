"""Where the coordinator's own keys are, and how long what they sign holds."""

from dataclasses import dataclass, replace
from pathlib import Path

from coordinator.keys.signing import DAY_S, LASTS_S
from fieldvote.errors import SettingsError
from privacy.sealing.roles import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySettings:
    """The coordinator's keys.

    Attributes:
        folder: The folder `fieldvote keys init` calls online.
        timestamp_days: How long a device may go without news before it stops.
        snapshot_days: How long a snapshot holds.
    """

    folder: str
    timestamp_days: float = LASTS_S[Role.TIMESTAMP] / DAY_S
    snapshot_days: float = LASTS_S[Role.SNAPSHOT] / DAY_S

    def __post_init__(self) -> None:
        """Refuse lives that are over before they are told."""
        if not 0 < self.timestamp_days <= self.snapshot_days <= 3650:
            raise SettingsError(
                "keys: expected timestamp_days above 0, and snapshot_days not below it"
            )

    def beside(self, folder: Path) -> "KeySettings":
        """Return the settings with their folder as seen from where the settings file is."""
        return replace(self, folder=str(folder / self.folder))

    @property
    def lasts_s(self) -> dict[Role, int]:
        """How long what is signed here holds, by role."""
        return {
            Role.TIMESTAMP: max(1, int(self.timestamp_days * DAY_S)),
            Role.SNAPSHOT: max(1, int(self.snapshot_days * DAY_S)),
        }
