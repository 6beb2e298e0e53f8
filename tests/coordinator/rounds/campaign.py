"""A campaign small enough to run a hundred times: real agents, two classes, three fields."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np

from coordinator.governance_settings import InfluenceSettings
from coordinator.inbox import Inbox
from coordinator.labels.desk import Annotator, Desk, Labeling, Seat
from coordinator.labels.desk_keys import DeskKeys
from coordinator.models.backbone import identity_backbone
from coordinator.models.shelf import Shelf
from coordinator.models.totals import shapes_of
from coordinator.releases.ledger import Ledger as SumLedger
from coordinator.rounds.clock import Clock
from coordinator.rounds.events import Event
from coordinator.rounds.parts import Parts
from coordinator.rounds.scheduler import Scheduler
from coordinator.settings import CampaignSettings
from coordinator.store.campaign import Store, open_store
from coordinator.transport import Transport
from edge.agent import Agent, AgentParts
from edge.items import row_payload
from edge.labeling import compile_functions
from edge.outbox import Outbox, Recipient
from edge.pool import Pool
from edge.redaction import redaction_of
from edge.scorer import Scorer
from edge.secure_means import SecureMeans
from edge.spending import limits_of, task_limits
from fieldvote.records import DeviceId, MaskedItem
from fieldvote.releases import TrialRequest
from fieldvote.rng import keyed_entropy, stream
from fieldvote.task import Task
from privacy.dp import Ledger
from privacy.sealing import SealingKey, SigningKey
from privacy.sealing.rotation import DatedKey
from tests.coordinator.rounds.deep import network_scorer
from tests.doubles.transport import MemoryTransport

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
FIELDS = ("a", "b", "c")
SETTINGS = CampaignSettings(
    name="small",
    seed=3,
    surveyed_share=1.0,
    labels_per_device=2,
    offers=4,
    random_share=0.25,
    exchanges=3,
    vote_weight=2.0,
    influence=InfluenceSettings(enabled=False),  # whoever is about it turns it on
)
KEYS = DeskKeys(
    labeling=SealingKey.generate(keyed_entropy(1, "labeling key")),
    signing=SigningKey.generate(keyed_entropy(1, "desk key")),
)


SMALL_FILES = {
    "task.toml": (
        b'name = "small"\nclasses = ["low", "high"]\n'
        b'[input]\nkind = "tabular"\nfields = ["a", "b", "c"]\n'
    ),
    "functions.toml": (
        b'[[function]]\nid = "a_is_high"\nkind = "threshold"\nclass = "high"\n'
        b'field = "a"\nowner = "test"\nabove = 0.7\n'
        b'[[function]]\nid = "b_is_low"\nkind = "threshold"\nclass = "low"\n'
        b'field = "b"\nowner = "test"\nbelow = -0.7\n'
    ),
    "policy.toml": b"[candidates.keep]\na = 2\nb = 2\n",
    "model.onnx": identity_backbone(3, 2),
}


def small_task() -> Task:
    """Two classes told apart by a + b, and two rules that know half of it."""
    return Task.parse(SMALL_FILES, "small task")


TASK = small_task()
_FUNCTIONS = compile_functions(TASK.functions, TASK.input, TASK.classes)
_REDACTION = redaction_of(TASK)


class TurnedClock:
    """A clock that goes only while somebody sleeps."""

    def __init__(self, now: datetime = NOON) -> None:
        self.time = now

    def now(self) -> datetime:
        """Return the time."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Let so much time pass."""
        self.time += timedelta(seconds=seconds)


class Reader:
    """An annotator who sees a and b, and remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def answer(self, item: MaskedItem) -> int | None:
        """Return whether their sum is positive."""
        self.asked.append(item.item)
        seen = dict(zip(item.names, item.values, strict=True))
        return int(float(seen["a"]) + float(seen["b"]) > 0)


@dataclass(frozen=True, slots=True)
class Fleet:
    """Devices with pools of their own."""

    pools: dict[DeviceId, Pool]
    agents: dict[DeviceId, Agent]

    def transport(self) -> MemoryTransport:
        """Return a network to these devices."""
        return MemoryTransport({device: agent.handle for device, agent in self.agents.items()})

    def close(self) -> None:
        """Let go of the pools."""
        for pool in self.pools.values():
            pool.close()


@lru_cache(maxsize=4)
def scorer_of(model: bytes) -> Scorer:
    """Return what scores by a model; made once, since nothing about it changes."""
    names = ("input", "probabilities", "embedding")
    return Scorer(model, names=names, where="model.onnx")


def make_fleet(
    *,
    training: int = 3,
    held_out: int = 1,
    items: int = 10,
    folder: Path | None = None,
    task: Task = TASK,
    means: Callable[[int], SecureMeans | None] = lambda _number: None,
) -> Fleet:
    """Return devices 1, 2, ...; the last ones only evaluate. The same call gives the same fleet.

    In a folder their pools stay, and are found again as they were; with means they sum securely.
    """
    pools, agents = {}, {}
    for number in range(1, training + held_out + 1):
        device, evaluates = DeviceId(number), number > training
        rng = stream(5, "pool", number)
        rows = rng.normal(size=(items, len(FIELDS)))
        pool = Pool(None if folder is None else folder / f"{number}.sqlite")
        # whoever keeps pools kills processes, never the machine: waiting for the disk shows nothing
        pool._db.execute("PRAGMA synchronous = OFF")
        if not len(pool):
            pool.add(
                [rng.bytes(16) for _ in range(items)],
                [row_payload(row) for row in rows],
                gold=[int(row[0] + row[1] > 0) for row in rows] if evaluates else None,
            )
        agent = make_agent(pool, number, evaluates, task=task, secure=means(number))
        pools[device], agents[device] = pool, agent
    return Fleet(pools, agents)


def make_agent(
    pool: Pool,
    number: int,
    evaluates: bool,
    *,
    task: Task = TASK,
    propose: Callable[[TrialRequest], Task | None] | None = None,
    secure: SecureMeans | None = None,
) -> Agent:
    """Return the agent of one device, with this release of the task installed."""
    redactor, vocabulary = _REDACTION
    compiled = _FUNCTIONS
    if task is not TASK:
        compiled = compile_functions(task.functions, task.input, task.classes)
    outbox = Outbox(
        task,
        ledger=_ledger(pool, task),
        redactor=redactor,
        vocabulary=vocabulary,
        signer=SigningKey.generate(keyed_entropy(2, "signing key", number)),
        recipient=Recipient(
            labeling_keys=(DatedKey(public=KEYS.labeling.public),), now=lambda: NOON
        ),
    )
    return Agent(
        AgentParts(
            task=task,
            pool=pool,
            scorer=network_scorer(task) if task.training else scorer_of(task.model),
            functions=compiled,
            outbox=outbox,
            sealing_key=SealingKey.generate(keyed_entropy(2, "sealing key", number)),
            desk_keys=(DatedKey(public=KEYS.signing.public),),
            sketch_seed=11,
            evaluates=evaluates,
            rng=lambda purpose, round_number: stream(9, purpose, number, round_number),
            propose=propose,
            clock_s=lambda: 0.0,
            secure=secure,
        )
    )


def _ledger(pool: Pool, task: Task) -> Ledger:
    """Return an account in which only privacy is ever short."""
    limits = replace(limits_of(task), candidates=100, size_bytes=10**9)
    return Ledger(pool, limits, lambda: NOON, tasks=dict.fromkeys(task_limits(task), limits))


def desk_of(
    *annotators: Annotator | Seat, settings: CampaignSettings = SETTINGS, task: Task = TASK
) -> Desk:
    """Return a desk with these people at it."""
    seats = [each if isinstance(each, Seat) else Seat(annotator=each) for each in annotators]
    return Desk(KEYS, *seats, settings=settings, task=task.family, classes=len(task.classes))


def make_parts(
    store: Store,
    transport: Transport,
    *,
    people: Sequence[Annotator | Seat] = (),
    settings: CampaignSettings = SETTINGS,
    clock: Clock | None = None,
    task: Task = TASK,
) -> Parts:
    """Return what a scheduler works with."""
    return Parts(
        task=task,
        settings=settings,
        store=store,
        inbox=Inbox(store, shapes_of(task), earlier=SumLedger(store, task)),
        shelf=Shelf(store),
        labeling=desk_of(*(people or (Reader(),)), settings=settings, task=task),
        transport=transport,
        clock=clock or TurnedClock(),
    )


def totals_of(store: Store) -> dict[str, list[int]]:
    """Return every sum the coordinator keeps."""
    names = ("votes", "moments", "anchors", "labeled", "voted", "voted items")
    found = {name: store.total(name) for name in names}
    return {name: vector.tolist() for name, vector in found.items() if vector is not None}


def settings_with(**changes: object) -> CampaignSettings:
    """Return the campaign's settings with some of them changed."""
    return replace(SETTINGS, **changes)  # type: ignore[arg-type]  # checked when it is born


def rng_of(*labels: int) -> np.random.Generator:
    """Return a generator for one test."""
    return stream(1, "test", *labels)


ONE, TWO, THREE, JUDGE = (DeviceId(n) for n in (1, 2, 3, 4))
Kind = TypeVar("Kind", bound=Event)


class Campaign:
    """A coordinator over three training devices and one that judges."""

    def __init__(
        self,
        settings: CampaignSettings = SETTINGS,
        *,
        answers_wait_s: float = 60.0,
        task: Task = TASK,
    ) -> None:
        self.task = task
        self.fleet = make_fleet(task=task)
        self.clock = TurnedClock()
        self.store = open_store(None, now=self.clock.now)
        self.network = self.fleet.transport()
        self.labeling: Labeling | None = None
        self.reader = Reader()
        self.people: tuple[Annotator | Seat, ...] = (self.reader,)
        self.seen: list[Event] = []
        self.settings, self._answers_wait_s = settings, answers_wait_s
        self.scheduler = self.started()

    def started(self, *, quorum: int = 1, rounds: int | None = None) -> Scheduler:
        """Return a coordinator that was just started over the same store."""
        self.parts = make_parts(
            self.store,
            self.network,
            people=self.people,
            settings=self.settings,
            clock=self.clock,
            task=self.task,
        )
        self.parts = replace(self.parts, answers_wait_s=self._answers_wait_s)
        if self.labeling is not None:
            self.parts = replace(self.parts, labeling=self.labeling)
        return Scheduler(
            self.parts,
            watch=lambda progress: self.seen.append(progress.event),
            quorum=quorum,
            rounds=rounds,
        )

    def run(self, rounds: int) -> None:
        for _ in range(rounds):
            self.scheduler.run_round()

    def events(self, kind: type[Kind]) -> list[Kind]:
        """Return what happened of one kind."""
        return [event for event in self.scheduler.events if isinstance(event, kind)]

    def answered(self) -> dict[DeviceId, int]:
        """Return how many answers each device has."""
        return {d: int((p.column("answer") >= 0).sum()) for d, p in self.fleet.pools.items()}

    def close(self) -> None:
        self.store.close()
        self.fleet.close()
