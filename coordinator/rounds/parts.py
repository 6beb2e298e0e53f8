"""What rounds work with."""

from dataclasses import dataclass, field

from coordinator.inbox import Inbox
from coordinator.labels.desk import Labeling
from coordinator.models.shelf import Shelf
from coordinator.releases.tasks import running
from coordinator.rounds.clock import Clock, SteadyClock
from coordinator.rounds.events import Event
from coordinator.rounds.machine import RoundState
from coordinator.settings import CampaignSettings
from coordinator.store.campaign import Store
from coordinator.store.rows import KnownDevice
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

    def known(self) -> dict[DeviceId, KnownDevice]:
        """Return the devices that run the campaign's task, as far as is known."""
        devices, current = self.store.devices(), running(self.store)
        return devices if current is None else {d: it for d, it in devices.items() if d in current}

    def reachable(self) -> list[DeviceId]:
        """Return those of them that can be reached now, in ascending order."""
        known = self.known()
        return [device for device in self.transport.devices() if device in known]

    def training(self) -> list[DeviceId]:
        """Return those of them that are surveyed and trained on."""
        known = self.known()
        return [device for device in self.reachable() if not known[device].evaluates]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What just happened to which round, and whether it is in another phase since."""

    state: RoundState
    event: Event
    moved: bool
