"""How requests reach devices: a seam that Flower fills in deployment and in rehearsal."""

from collections.abc import Mapping
from typing import Protocol

from fieldvote.records import DeviceId


class Transport(Protocol):
    """Carries bytes to devices and back; loses some, never invents any."""

    def devices(self) -> tuple[DeviceId, ...]:
        """Return who can be reached now, in ascending order."""

    def exchange(
        self, requests: Mapping[DeviceId, bytes], *, deadline_s: float
    ) -> Mapping[DeviceId, bytes]:
        """Send each device its request; return the replies that came before the deadline.

        A device that refused, failed or was late is missing from the result.
        """
