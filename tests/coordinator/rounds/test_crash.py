"""The coordinator dies at every point where its world is half changed, and nothing comes of it."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from coordinator.rounds.machine import Phase
from coordinator.rounds.scheduler import Scheduler
from coordinator.rounds.steps import Parts
from coordinator.store.campaign import Store, open_store
from coordinator.store.database import Database
from coordinator.transport import Transport
from edge.pool import Pool
from fieldvote.records import AnswersRequest, DeviceId, SurveyRequest
from tests.coordinator.rounds.campaign import (
    NOON,
    SETTINGS,
    Fleet,
    make_fleet,
    make_parts,
    settings_with,
    totals_of,
)
from tests.doubles.transport import MemoryTransport

pytestmark = pytest.mark.slow  # real programs, or a campaign at every point of it

_ROUNDS = 2


class Crash(Exception):  # noqa: N818  # it is what happens, nobody made an error
    """The process is gone."""


@dataclass(slots=True)
class Fuse:
    """Counts the points that are passed, and blows at one of them."""

    blows_at: int | None = None
    passed: list[str] = field(default_factory=list)

    def pass_by(self, point: str) -> None:
        self.passed.append(point)
        if len(self.passed) - 1 == self.blows_at:
            raise Crash(point)


class FusedStore(Store):
    """A store whose process may die inside a transaction and right before and after its COMMIT."""

    def __init__(self, path: Path, fuse: Fuse) -> None:
        super().__init__(Database.open(path, now=lambda: NOON))
        # the process dies here, never the disk: waiting for it would prove nothing
        self.database._connection.exec_driver_sql("PRAGMA synchronous = OFF")
        self._fuse = fuse

    def append(self, stream: str, version: int, kind: str, body: str) -> None:
        self._fuse.pass_by("before an event")
        super().append(stream, version, kind, body)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with super().transaction():
            yield
            self._fuse.pass_by("before COMMIT")
        self._fuse.pass_by("after COMMIT")


@dataclass(slots=True)
class FusedTransport:
    """A network whose user may die before a request is sent and after the reply has come."""

    network: MemoryTransport
    fuse: Fuse

    def devices(self) -> tuple[DeviceId, ...]:
        return self.network.devices()

    def exchange(
        self, requests: Mapping[DeviceId, bytes], *, deadline_s: float
    ) -> Mapping[DeviceId, bytes]:
        self.fuse.pass_by("before exchange")
        replies = self.network.exchange(requests, deadline_s=deadline_s)
        self.fuse.pass_by("after exchange")
        return replies


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that must not depend on when the coordinator died."""

    events: list[tuple[str, str]]
    totals: dict[str, list[int]]
    labels: list[tuple[object, ...]]
    candidates: list[tuple[object, ...]]
    paid: tuple[int, float]
    answered_on_devices: dict[DeviceId, list[int]]
    spent: dict[DeviceId, int]


def play(folder: Path, blows_at: int | None) -> tuple[Outcome, list[str]]:
    """Run the whole campaign, dying once at this point, and return what came of it."""
    fleet, fuse = make_fleet(training=2, held_out=1, items=8), Fuse(blows_at)
    network = fleet.transport()
    place = folder / "store.sqlite"
    with closing(fleet):
        try:
            _turn(place, folder, FusedTransport(network, fuse), fuse)
        except Crash:
            _turn(place, folder, network, Fuse())
        return _outcome(place, folder, fleet, network), fuse.passed


def _turn(place: Path, folder: Path, transport: Transport, fuse: Fuse) -> None:
    """Begin or go on, as a coordinator that was just started does."""
    with closing(FusedStore(place, fuse)) as store:
        settings = settings_with(exchanges=2)
        parts = make_parts(store, transport, folder / "shelf", settings=settings)
        scheduler = Scheduler(parts)
        scheduler.greet()
        while (scheduler.state.number, scheduler.state.phase) != (_ROUNDS, Phase.DONE):
            scheduler.run_round()


def _outcome(place: Path, folder: Path, fleet: Fleet, network: MemoryTransport) -> Outcome:
    with closing(open_store(place, now=lambda: NOON)) as store:
        _deliver_again(make_parts(store, network, folder / "shelf"), network)
        with closing(sqlite3.connect(place)) as rows:
            return Outcome(
                events=store.events("rounds"),
                totals=totals_of(store),
                labels=rows.execute(
                    "SELECT item, label, price, counted, delivered FROM label ORDER BY item"
                ).fetchall(),
                candidates=rows.execute(
                    "SELECT item, device, round, arm FROM candidate ORDER BY item"
                ).fetchall(),
                paid=store.labels(),
                answered_on_devices={
                    device: pool.column("answer").tolist() for device, pool in fleet.pools.items()
                },
                spent={device: _candidates_spent(pool) for device, pool in fleet.pools.items()},
            )


def _candidates_spent(pool: Pool) -> int:
    return int((pool.column("arm") >= 0).sum())


def _deliver_again(parts: Parts, network: MemoryTransport) -> None:
    """Let every reply of the campaign come in once more, as a network may do any time later."""
    sent: dict[DeviceId, list[bytes]] = {device: [] for device in network.handlers}
    for round_number in range(1, _ROUNDS + 1):
        for kind, device, reply in list(network.replies):
            with parts.store.transaction():
                if kind is SurveyRequest:
                    parts.inbox.survey(round_number, {device: reply})
                if kind is AnswersRequest:
                    many = {**sent, device: [bytes(16)] * 100}
                    parts.inbox.answers(round_number, {device: reply}, many, width=4)


@pytest.fixture(scope="module")
def uninterrupted() -> Iterator[tuple[Outcome, list[str]]]:
    with TemporaryDirectory(prefix="fieldvote-crash-") as folder:
        yield play(Path(folder), None)


def test_the_campaign_that_is_interrupted_below_is_a_whole_one(
    uninterrupted: tuple[Outcome, list[str]],
) -> None:
    outcome, passed = uninterrupted
    kinds = [kind for kind, _ in outcome.events]
    round_trip = ["Planned", "Surveyed", "Selected", "Collected"]
    round_trip += ["Labeled", "Fitted", "Trained", "Evaluated"]
    assert kinds == round_trip * _ROUNDS
    assert len(outcome.labels) == outcome.paid[0] == 2 + 2 * SETTINGS.labels_per_device
    assert all(delivered for *_, delivered in outcome.labels)
    assert set(outcome.totals) == {
        "votes", "moments", "anchors", "labeled", "voted", "voted items",
    }  # fmt: skip
    # two ends of: a greeting, eight steps and three errands a round, every label
    assert passed.count("before COMMIT") == passed.count("after COMMIT") == 1 + 11 * _ROUNDS + 6
    assert passed.count("before an event") == 16
    assert passed.count("before exchange") == passed.count("after exchange") >= 1 + 2 * 5


def test_a_crash_at_any_point_changes_nothing_of_what_the_campaign_comes_to(
    uninterrupted: tuple[Outcome, list[str]], tmp_path: Path
) -> None:
    outcome, passed = uninterrupted
    for number, point in enumerate(passed):
        folder = tmp_path / str(number)
        folder.mkdir()
        resumed, reached = play(folder, number)
        assert len(reached) == number + 1, f"the fuse did not blow {point}, point {number}"
        assert resumed == outcome, f"dying {point}, point {number}, left a trace"


def _differs_somewhere(folder: Path, outcome: Outcome, points: list[int]) -> bool:
    for number in points:
        (folder / str(number)).mkdir()
        try:
            if play(folder / str(number), number)[0] != outcome:
                return True
        except Exception:  # a house that falls apart is noticed too
            return True
    return False


def test_a_store_that_admits_everything_would_be_noticed(
    uninterrupted: tuple[Outcome, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "admit", lambda _self, _message: True)
    assert play(tmp_path, None)[0].totals != uninterrupted[0].totals


def test_a_device_that_forgets_what_it_answered_would_be_noticed(
    uninterrupted: tuple[Outcome, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pool, "recall", lambda _self, _request: None)
    monkeypatch.setattr(Pool, "remember", lambda _self, _request, _reply: None)
    outcome, passed = uninterrupted
    points = [n for n, point in enumerate(passed) if point == "after exchange"]
    assert _differs_somewhere(tmp_path, outcome, points)


def test_a_store_that_commits_every_line_would_be_noticed(
    uninterrupted: tuple[Outcome, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def line_by_line(_self: Store) -> Iterator[None]:
        yield

    monkeypatch.setattr(Store, "transaction", line_by_line)
    outcome, passed = uninterrupted
    points = [n for n, point in enumerate(passed) if point == "before an event"]
    assert _differs_somewhere(tmp_path, outcome, points)
