"""A campaign whose devices can be given another release, as a delivery does."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

from coordinator.labels.desk import Labeling
from coordinator.releases.asking import RELEASE, ReleaseCommand, check_proposal
from coordinator.releases.driver import Releases
from coordinator.releases.machine import ReleaseState
from coordinator.releases.tasks import current_task, kept_bundle
from coordinator.rounds.scheduler import Scheduler
from coordinator.settings import CampaignSettings, PaceSettings, ReleaseSettings
from coordinator.store.campaign import Store, open_store
from coordinator.transport import Transport
from edge.agent import Agent
from edge.pool import Pool
from fieldvote.bundle import Bundle, unpack
from fieldvote.errors import FieldvoteError
from fieldvote.records import DeviceId
from fieldvote.task import Task
from tests.coordinator.releases.signed import A, B, install, proposer, signed, task_of
from tests.coordinator.rounds.campaign import (
    Fleet,
    TurnedClock,
    make_agent,
    make_fleet,
    make_parts,
    settings_with,
)
from tests.doubles.transport import MemoryTransport

FIRST = signed((A, B), 1)
LIMITS = ReleaseSettings(share=0.5, least_items=1)


@dataclass(slots=True)
class Phone:
    """One device, and the release it runs."""

    number: int
    pool: Pool
    evaluates: bool
    first: Bundle
    version: int = 1
    agent: Agent = field(init=False)

    def __post_init__(self) -> None:
        kept = self.pool.note("the test's bundle")
        if kept is None:
            self.take(self.first, 1)
        else:
            self.take(Bundle.of(unpack(kept)), int(self.pool.note("the test's version") or b"0"))

    def take(self, bundle: Bundle, version: int) -> None:
        """Install a release."""
        self.version, task = version, task_of(bundle)
        with self.pool.changing():
            install(self.pool, task)
            self.pool.keep_note("the test's bundle", bundle.content)
            self.pool.keep_note("the test's version", b"%d" % version)
        propose = proposer(bundle, version)
        self.agent = make_agent(self.pool, self.number, self.evaluates, task=task, propose=propose)

    def handle(self, request: bytes) -> bytes:
        return self.agent.handle(request)


class World:
    """A coordinator and its devices; it may be started again at any time."""

    def __init__(
        self,
        *,
        limits: ReleaseSettings = LIMITS,
        training: int = 4,
        items: int = 20,
        rounds: int = 3,
        place: Path | None = None,
        first: Bundle = FIRST,
        labeling: Labeling | None = None,
        open_rounds: int = 1,
        settings: CampaignSettings | None = None,
        fleet: Fleet | None = None,
    ) -> None:
        self.settings: CampaignSettings = settings or settings_with(
            releases=limits, exchanges=2, pace=PaceSettings(open_rounds=open_rounds)
        )
        self.first, self.labeling = first, labeling
        self.rounds, self.said = rounds, list[str]()
        fleet = fleet or make_fleet(training=training, held_out=1, items=items, folder=place)
        self.phones = {
            device: Phone(int(device), pool, int(device) > training, first)
            for device, pool in fleet.pools.items()
        }
        self.clock = TurnedClock()
        where = None if place is None else place / "campaign.sqlite"
        self.store: Store = open_store(where, now=self.clock.now)
        self.network = MemoryTransport({d: phone.handle for d, phone in self.phones.items()})
        self.wrapped: Callable[[Transport], Transport] = lambda network: network
        self.delivers = True
        self.scheduler = self.started()

    def started(self) -> Scheduler:
        """Return a coordinator that was just started over the same store."""
        task = current_task(self.store, task_of(self.first))
        parts = make_parts(
            self.store,
            self.wrapped(self.network),
            settings=self.settings,
            clock=self.clock,
            task=task,
        )
        parts = replace(parts, answers_wait_s=60.0, labeling=self.labeling or parts.labeling)
        return Scheduler(parts, say=self.said.append, rounds=self.rounds, updates=self)

    def bring(self, devices: Collection[DeviceId]) -> None:
        """Deliver the campaign's task, at once."""
        bundle = kept_bundle(self.store, self.task.digest)
        if self.delivers and bundle is not None:
            for device in devices:
                self.phones[device].take(bundle, self.newest.version)

    def held(self) -> Collection[DeviceId]:
        return ()

    @property
    def task(self) -> Task:
        """The campaign's task."""
        return current_task(self.store, task_of(self.first))

    @property
    def releases(self) -> Releases:
        return self.scheduler._releases

    @property
    def newest(self) -> ReleaseState:
        return self.releases.newest

    @property
    def ended(self) -> bool:
        """Whether there was a release, and it is over."""
        return self.newest.number > 0 and self.newest.over

    def propose(self, bundle: Bundle, share: float = 0.0) -> None:
        """Ask for a release, as the command does."""
        before = kept_bundle(self.store, self.task.digest) or self.first
        check_proposal(self.store, before, bundle)
        self.ask(
            ReleaseCommand(
                what="propose",
                bundle=self.store.keep_artifact(bundle.content),
                parent=self.store.keep_artifact(before.content),
                share=share,
            )
        )

    def ask(self, command: ReleaseCommand) -> None:
        """Ask the leader for something."""
        key = f"{RELEASE} {len(self.said)} {command.what} {command.number} {command.bundle}"
        self.store.owe(key, RELEASE, command.to_json())

    def run(self, until: Callable[[], bool] | None = None, *, turns: int = 3000) -> None:
        """Turn until something is so, or to the end."""
        until = until or (lambda: self.scheduler.finished)
        for _ in range(turns):
            if self.scheduler.outdated:
                self.scheduler = self.started()
            if until():
                return
            if self.scheduler.turn() is not None:
                self.clock.sleep(1.0)
        raise AssertionError(f"it never comes to that: {self.said[-3:]}")

    def refusal(self, work: Callable[[], object]) -> str:
        """Return what is said where something is refused."""
        try:
            work()
        except FieldvoteError as err:
            return str(err)
        raise AssertionError("nothing was refused")

    def close(self) -> None:
        self.store.close()
        for phone in self.phones.values():
            phone.pool.close()
