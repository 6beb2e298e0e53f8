"""The coordinator is killed at every distinct site of a whole campaign, and nothing comes of it."""

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from coordinator.rounds.commands import Command
from coordinator.rounds.exchange import Exchanges
from coordinator.rounds.scheduler import Scheduler
from coordinator.store.campaign import Store
from edge.pool import Pool
from tests.coordinator.rounds.campaign import make_fleet
from tests.coordinator.rounds.crash import (
    DEVICES,
    ROUNDS,
    Fuse,
    World,
    crash_settings,
    in_a_fork,
    outcome,
    play,
)
from tests.doubles.postgres import postgres_server

pytestmark = pytest.mark.slow  # a campaign at every site of it

_NUMBERS = count()
_AT_ONCE = 2
_FEW = 6


class Bench:
    """Plays one campaign again and again, each time dying somewhere else."""

    def __init__(self, folder: Path, place: str | None) -> None:
        self.folder, self.place = folder, place
        self.template = folder / "template"
        self.template.mkdir()
        make_fleet(training=DEVICES - 2, held_out=2, items=8, folder=self.template).close()
        self.settings = crash_settings()
        world = self.world()
        fuse = Fuse()
        sites = world.folder / "sites"

        def undisturbed() -> None:
            play(world, fuse, self.settings)
            sites.write_text(json.dumps(fuse.sites))

        in_a_fork(undisturbed, world.folder / "told")
        self.sites: list[str] = json.loads(sites.read_text())
        self.whole = outcome(world)

    def world(self) -> World:
        """Return a campaign that has not begun."""
        name = f"campaign{next(_NUMBERS)}"
        folder = self.folder / name
        folder.mkdir()
        world = World(folder, self.place or folder / "store.sqlite", name)
        world.begin(self.template)
        return world

    def first_of_each_site(self) -> list[int]:
        """Return the points at which a site is passed for the first time."""
        return [n for n, site in enumerate(self.sites) if self.sites.index(site) == n]

    def one_in_each_transaction(self) -> list[int]:
        """Return those of them that are outside of transactions, and the last inside of each.

        A kill anywhere inside of one is undone by the server, to the same rows.
        """
        points = self.first_of_each_site()
        outer = ("push", "pull", "COMMIT")
        inside = [self.sites[n].split()[1] not in outer for n in points]
        return [
            n
            for place, n in enumerate(points)
            if not inside[place] or place + 1 == len(points) or not inside[place + 1]
        ]

    def traces(self, points: Sequence[int]) -> list[str]:
        """Die once at each of these points, go on, and return where that left a trace."""
        waiting, running, found = list(points), dict[int, tuple[int, Path]](), list[str]()
        while waiting or running:
            while waiting and len(running) < _AT_ONCE:
                point = waiting.pop()
                world = self.world()
                running[self._start(world, point)] = point, world.folder / "trace"
            pid, status = os.wait()
            if pid in running:
                point, trace = running.pop(pid)
                told = trace.read_text() if trace.exists() else f"status {status}"
                if told:
                    found.append(f"point {point}, {self.sites[point]}: {told}")
        return found

    def _start(self, world: World, point: int) -> int:
        """Fork a process that forks the one that dies, and the one that goes on."""
        pid = os.fork()
        if pid:
            return pid
        trace = world.folder / "trace"
        try:
            told = world.folder / "told"
            fuse = Fuse(point)
            ended = in_a_fork(lambda: play(world, fuse, self.settings), told)
            in_a_fork(lambda: play(world, Fuse(), self.settings), told)
            difference = outcome(world).differs_from(self.whole)
            trace.write_text(difference if ended else "the fuse did not blow")
        except BaseException as err:
            trace.write_text(f"{type(err).__name__}: {str(err)[-1500:]}")
        os._exit(0)


@contextmanager
def _bench(place: str | None) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="fieldvote-crash-") as folder:
        yield Bench(Path(folder), place)


@pytest.fixture(scope="module")
def on_sqlite() -> Iterator[Bench]:
    with _bench(None) as bench:
        yield bench


@pytest.fixture(scope="module")
def on_postgres() -> Iterator[Bench]:
    with postgres_server() as server, _bench(server.create("crashes")) as bench:
        yield bench


@pytest.fixture(params=["sqlite", "postgres"])
def bench(request: pytest.FixtureRequest) -> Bench:
    """A campaign on either database."""
    found: Bench = request.getfixturevalue(f"on_{request.param}")
    return found


def test_the_campaign_that_is_interrupted_below_is_a_whole_one(on_sqlite: Bench) -> None:
    kinds = [kind for kind, _ in on_sqlite.whole.events]
    for kind in ("Planned", "Selected", "Opened", "Resolved", "Fitted", "Trained", "RolledOut"):
        assert kinds.count(kind) == ROUNDS
    assert kinds.count("Asked") == kinds.count("Closed") > 6 * ROUNDS
    assert "Extended" not in kinds
    assert len(on_sqlite.first_of_each_site()) > 90
    # every device has given, learnt, and serves the newest head
    assert len(on_sqlite.whole.devices) == DEVICES
    assert {serial for *_, serial in on_sqlite.whole.devices.values()} == {2 * ROUNDS}
    assert on_sqlite.whole.rows["pending"] == []
    assert [settled for *_, settled in on_sqlite.whole.rows["outbox"]] == [True]


def test_a_kill_at_any_site_changes_nothing_of_what_the_campaign_comes_to(
    on_sqlite: Bench,
) -> None:
    assert on_sqlite.traces(on_sqlite.first_of_each_site()) == []


def test_a_kill_around_or_inside_any_transaction_changes_nothing_on_postgres(
    on_postgres: Bench,
) -> None:
    points = on_postgres.one_in_each_transaction()
    assert len(points) > 55
    assert on_postgres.traces(points) == []


@pytest.mark.nightly
def test_a_kill_at_any_point_changes_nothing_of_what_the_campaign_comes_to(bench: Bench) -> None:
    assert bench.traces(range(len(bench.sites))) == []


# mutants: each takes one protection out, and some kill must show it


def _commits_every_line(patch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def line_by_line(_self: Store) -> Iterator[None]:
        yield

    patch.setattr(Store, "transaction", line_by_line)


def _keeps_no_requests(patch: pytest.MonkeyPatch) -> None:
    kept: dict[tuple[int, str], dict[int, bytes]] = {}

    def in_memory(_self: Store, number: int, phase: str, requests: dict[int, bytes]) -> None:
        kept.setdefault((number, phase), {}).update(requests)

    def from_memory(_self: Store, number: int, phase: str) -> dict[int, bytes]:
        return kept.get((number, phase), {})

    patch.setattr(Store, "expect_all", in_memory)
    patch.setattr(Store, "expected", from_memory)


def _closes_before_it_counts(patch: pytest.MonkeyPatch) -> None:
    """The event that says an exchange is over is stored before its replies are."""
    count_ = Exchanges._count

    def late(
        self: Exchanges, state: object, question: object, flight: object, came: object
    ) -> None:
        self._close(state, question, flight)  # type: ignore[arg-type]  # a mutant
        count_(self, state, question, flight, came)  # type: ignore[arg-type]  # a mutant

    patch.setattr(Exchanges, "_count", late)


def _devices_forget(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Pool, "recall", lambda _self, _request: None)
    patch.setattr(Pool, "remember", lambda _self, _request, _reply: None)


def _settles_before_it_obeys(patch: pytest.MonkeyPatch) -> None:
    """What was asked for is crossed out first, and done then."""
    obey = Scheduler.obey

    def early(self: Scheduler, command: Command, *, settles: str = "") -> None:
        self._parts.store.settle(settles)
        obey(self, command)

    patch.setattr(Scheduler, "obey", early)


def _obeys_before_it_settles(patch: pytest.MonkeyPatch) -> None:
    """What was asked for is done first, and crossed out in a transaction of its own."""
    obey = Scheduler.obey

    def late(self: Scheduler, command: Command, *, settles: str = "") -> None:
        obey(self, command)
        self._parts.store.settle(settles)

    patch.setattr(Scheduler, "obey", late)


MUTANTS = {
    "a transaction commits every line": (_commits_every_line, "before INSERT"),
    "requests are kept in memory only": (_keeps_no_requests, "pull"),
    "an exchange is closed before its replies are counted": (_closes_before_it_counts, "COMMIT"),
    "devices forget what they answered": (_devices_forget, "after pull"),
    "a command is crossed out before it is done": (_settles_before_it_obeys, "obey"),
    "a command is crossed out after it was done": (_obeys_before_it_settles, "obey"),
}
"""Each with what a site holds where it should show first."""


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_protection_that_is_taken_out_is_noticed(
    on_sqlite: Bench, monkeypatch: pytest.MonkeyPatch, mutant: str
) -> None:
    take_out, where = MUTANTS[mutant]
    take_out(monkeypatch)
    points = on_sqlite.first_of_each_site()
    points.sort(key=lambda n: where not in on_sqlite.sites[n])
    for few in (points[n : n + _FEW] for n in range(0, len(points), _FEW)):
        if on_sqlite.traces(few):
            return
    raise AssertionError(f"no kill shows that {mutant}")
