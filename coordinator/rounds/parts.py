"""What rounds work with."""

from dataclasses import dataclass, field

from coordinator.inbox import Inbox
from coordinator.labels.desk import Labeling
from coordinator.models.shelf import Shelf
from coordinator.rounds.clock import Clock, SteadyClock
from coordinator.settings import CampaignSettings
from coordinator.store.campaign import Store
from coordinator.transport import Transport
from fieldvote.records import DeviceId
from fieldvote.task import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What rounds work with.

    Attributes:
        task: What the fleet has installed.
        settings: What the campaign is set to do.
        store: What must survive.
        inbox: The door in.
        shelf: Model versions.
        labeling: How answers come.
        transport: How devices are reached.
        answers_wait_s: How long a round waits for people; later answers count in a later one.
        clock: The time.
    """

    task: Task
    settings: CampaignSettings
    store: Store
    inbox: Inbox
    shelf: Shelf
    labeling: Labeling
    transport: Transport
    answers_wait_s: float = 86400.0
    clock: Clock = field(default_factory=SteadyClock)

    def reachable(self) -> list[DeviceId]:
        """Return the known devices that can be reached now, in ascending order."""
        known = self.store.devices()
        return [device for device in self.transport.devices() if device in known]

    def training(self) -> list[DeviceId]:
        """Return those of them that are surveyed and trained on."""
        known = self.store.devices()
        return [device for device in self.reachable() if not known[device].evaluates]
