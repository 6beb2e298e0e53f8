"""What rounds work with."""

from dataclasses import dataclass, field, replace

from coordinator.inbox import Inbox
from coordinator.keys.online import OnlineKeys
from coordinator.labels.desk import Labeling
from coordinator.models.shelf import Shelf
from coordinator.releases.tasks import running
from coordinator.rounds.clock import Clock, SteadyClock
from coordinator.rounds.events import Event
from coordinator.rounds.machine import RoundState
from coordinator.secured import least_asked
from coordinator.settings import CampaignSettings
from coordinator.store.campaign import Store
from coordinator.store.rows import KnownDevice
from coordinator.transport import Transport
from fieldvote.heads import HeadModel, ServeRequest
from fieldvote.records import DeviceId, encode
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
        keys: Signs heads, and says what is new of the owner; None where no keys are used.
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
    keys: OnlineKeys | None = None

    def __post_init__(self) -> None:
        """Leave votes out of training where only what people answered may teach."""
        if self.settings.teaching.verified_only or self.task.policy.teaching.verified_only:
            recipes = replace(self.settings.recipes, vote_weights=())
            without = replace(self.settings, vote_weight=0.0, recipes=recipes)
            object.__setattr__(self, "settings", without)

    def order(self, *, number: int, serial: int, model: HeadModel | None) -> bytes:
        """Return the request to serve a head, signed where keys are used."""
        order = ServeRequest(round=number, serial=serial, model=model)
        return encode(self.keys.signed(order) if self.keys else order)

    def known(self) -> dict[DeviceId, KnownDevice]:
        """Return the devices that run the campaign's task and may take part, as far as is known."""
        devices, current = self.store.devices(), running(self.store)
        if door := self.inbox.admission:
            devices = {device: it for device, it in devices.items() if door.holds(device)}
        return devices if current is None else {d: it for d, it in devices.items() if d in current}

    def reachable(self) -> list[DeviceId]:
        """Return those of them that can be reached now, in ascending order."""
        known = self.known()
        return [device for device in self.transport.devices() if device in known]

    @property
    def least_asked(self) -> int:
        """How many devices must be asked at least: a sum under masks hides nobody among fewer."""
        return least_asked(self.transport)

    def may_teach(self, device: KnownDevice) -> bool:
        """Return whether a device is asked for what it has learnt from answers.

        Under masks everybody is: who has nothing adds zeros, and that does not show.
        """
        return device.teaches or (self.least_asked > 1 and not device.evaluates)

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
