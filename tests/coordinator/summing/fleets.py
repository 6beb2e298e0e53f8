"""A fleet whose policy asks for secure sums, and the same one whose policy does not."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from coordinator.rounds.scheduler import Scheduler
from coordinator.settings import CampaignSettings, RolloutSettings
from coordinator.store.campaign import Store, open_store
from coordinator.summing import Summing
from coordinator.transport import Transport
from edge.agent import Agent
from edge.secure_means import SecureMeans
from fieldvote.records import DeviceId
from fieldvote.rng import keyed_entropy
from fieldvote.task import Task
from privacy.sealing import SigningKey
from privacy.secagg.roster import device_number
from tests.coordinator.rounds.campaign import (
    SMALL_FILES,
    Fleet,
    TurnedClock,
    make_parts,
    settings_with,
)
from tests.coordinator.rounds.campaign import make_fleet as make_plain
from tests.doubles.transport import MemoryTransport

FLOORS = b'[cohort]\nsums = "secure"\nleast_cohort = 10\n'


def secure_task(cohort: bytes = FLOORS) -> Task:
    """Return the small task under a policy that asks for secure sums."""
    files = {**SMALL_FILES, "policy.toml": SMALL_FILES["policy.toml"] + cohort}
    return Task.parse(files, "small task")


SECURE = secure_task()
SETTINGS = settings_with(
    exchanges=2, labels_per_device=1, rollout=RolloutSettings(canary_share=1.0)
)


def signer_of(number: int) -> SigningKey:
    """Return the key a device signs with."""
    return SigningKey.generate(keyed_entropy(2, "signing key", number))


def means_of(number: int, devices: int, tag: int = 0) -> SecureMeans:
    """Return what a device of a fleet of so many sums with."""
    public = [signer_of(each).public for each in range(1, devices + 1)]
    directory = {device_number(key): key for key in public}
    return SecureMeans(
        signer=signer_of(number),
        directory=lambda: directory,
        entropy=keyed_entropy(4, "sums", number, tag),
    )


def make_fleet(
    *,
    training: int = 12,
    held_out: int = 2,
    items: int = 6,
    task: Task = SECURE,
    folder: Path | None = None,
    tag: int = 0,
) -> Fleet:
    """Return devices that sum securely; the same pools under every policy."""
    return make_plain(
        training=training,
        held_out=held_out,
        items=items,
        folder=folder,
        task=task,
        means=lambda number: means_of(number, training + held_out, tag),
    )


@dataclass(slots=True)
class Tap:
    """A network that keeps what it carried."""

    network: MemoryTransport
    up: list[tuple[DeviceId, bytes]] = field(default_factory=list)
    down: list[tuple[DeviceId, bytes]] = field(default_factory=list)


class Secure:
    """A campaign over secure sums."""

    def __init__(
        self,
        fleet: Fleet,
        *,
        settings: CampaignSettings = SETTINGS,
        task: Task = SECURE,
        store: Store | None = None,
        through: Callable[[MemoryTransport], Transport] = lambda network: network,
    ) -> None:
        self.fleet, self.settings, self.task = fleet, settings, task
        self.clock = TurnedClock()
        self.store = open_store(None, now=self.clock.now) if store is None else store
        self.network = fleet.transport()
        self._through = through
        self.start()

    def start(self) -> None:
        """Begin, or begin again over the same store as a new process does."""
        inner = self._through(self.network)
        self.summing = Summing(inner, self.store, self.task.policy.cohort, now=self.clock.now)
        transport: Transport = self.summing if self.task.policy.cohort.secure else inner
        self.parts = make_parts(
            self.store, transport, settings=self.settings, clock=self.clock, task=self.task
        )
        self.scheduler = Scheduler(self.parts)

    def run(self, rounds: int) -> None:
        for _ in range(rounds):
            self.scheduler.run_round()

    @property
    def agents(self) -> dict[DeviceId, Agent]:
        return self.fleet.agents

    def close(self) -> None:
        self.store.close()
        self.fleet.close()
