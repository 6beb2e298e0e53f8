"""The coordinator ends at every distinct site of a whole campaign, and nothing comes of it.

Each state that a kill at a site can leave is gone on from, and real kills show that they leave such
states: one of each kind on every change, and one at every single point each night.
"""

import os
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
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
    LONGEST_S,
    ROUNDS,
    Fuse,
    LongWorld,
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
_FEW = 2
_KINDS = 10  # before four statements, and around COMMIT, push and pull


class Bench:
    """Plays one campaign again and again, each time dying somewhere else."""

    def __init__(self, folder: Path, place: str | None, kind: type[World] = World) -> None:
        self.folder, self.place, self.kind = folder, place, kind
        self.template = folder / "template"
        self.template.mkdir()
        make_fleet(training=kind.devices - 2, held_out=2, items=8, folder=self.template).close()
        self.settings = crash_settings()
        # here, so that what is forked below has been through everything once, and is quick
        world, self.sites = self.world(), list[str]()
        play(world, Fuse(sites=self.sites), self.settings)
        self.whole = outcome(world)

    def world(self) -> World:
        """Return a campaign that has not begun."""
        name = f"campaign{next(_NUMBERS)}"
        folder = self.folder / name
        folder.mkdir()
        world = self.kind(folder, self.place or folder / "store.sqlite", name)
        world.begin(self.template)
        return world

    def first_of_each_site(self) -> list[int]:
        """Return the points at which a site is passed for the first time."""
        return [n for n, site in enumerate(self.sites) if self.sites.index(site) == n]

    def one_of_each_kind(self) -> list[int]:
        """Return a point of each kind of statement and use of the network, halfway its sites."""
        kinds = dict[str, list[int]]()
        for n in self.first_of_each_site():
            kinds.setdefault(" ".join(self.sites[n].split()[:2]), []).append(n)
        return [points[len(points) // 2] for points in kinds.values()]

    def inside_each_transaction(self) -> list[int]:
        """Return the last point before the COMMIT of each transaction that writes."""
        found, inside = list[int](), 0
        for n in self.first_of_each_site():
            match self.sites[n].split()[:2]:
                case ["after", "COMMIT"] if inside not in found:
                    found.append(inside)
                case [_, "COMMIT" | "push" | "pull"]:
                    pass
                case _:
                    inside = n
        return found

    def states(self) -> dict[int, World]:
        """Play once; return what the disk holds at the first point of each site, each state once.

        To what goes on there a killed process and a copy of its files are the same: they hold all
        that it had written, and nothing of its memory. Of points at which they hold the same bytes
        the first stands for all, as whoever goes on cannot tell them apart.
        """
        world, known, held = self.world(), set[str](), set[bytes]()
        copies = self.folder / f"{world.campaign}-copies"
        copies.mkdir()

        def look(point: int, site: str) -> None:
            if site in known:
                return
            known.add(site)
            # closing a file lets go of SQLite's locks on it, which nobody else asks for here
            files = {file: file.read_bytes() for file in sorted(world.folder.rglob("*.sqlite*"))}
            # beside a database and its log lies an index only, made again from these
            lasting = [content for file, content in files.items() if file.suffix != ".sqlite-shm"]
            digest = sha256(b"".join(lasting)).digest()
            if digest in held:
                return
            held.add(digest)
            for file, content in files.items():
                copy = copies / str(point) / file.relative_to(world.folder)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(content)
            (copies / str(point) / "site").write_text(site)

        in_a_fork(lambda: play(world, Fuse(look=look), self.settings), world.folder / "told")
        return {
            int(copy.name): self.kind(copy, copy / "store.sqlite", world.campaign)
            for copy in sorted(copies.iterdir(), key=lambda copy: int(copy.name))
        }

    def traces(self, points: Sequence[int], states: Mapping[int, World] | None = None) -> list[str]:
        """Go on after the end at each of these points, and return where that left a trace.

        Args:
            points: Where the campaign ends.
            states: What the disk holds then; without it, a process is killed at each point.
        """
        waiting, running, found = list(points), dict[int, tuple[int, Path]](), list[str]()
        while waiting or running:
            while waiting and len(running) < _AT_ONCE:
                point = waiting.pop()
                world = self.world() if states is None else states[point]
                dies_at = point if states is None else None
                running[self._start(world, dies_at)] = point, world.folder / "trace"
            pid, status = os.wait()
            if pid in running:
                point, trace = running.pop(pid)
                told = trace.read_text() if trace.exists() else f"status {status}"
                if told:
                    found.append(f"point {point}, {self.sites[point]}: {told}")
        return found

    def _start(self, world: World, dies_at: int | None) -> int:
        """Fork a process that forks the one that dies, if one does, and then goes on."""
        pid = os.fork()
        if pid:
            return pid
        trace = world.folder / "trace"
        try:
            told = world.folder / "told"
            if dies_at is not None:
                fuse = Fuse(dies_at)
                ended = in_a_fork(lambda: play(world, fuse, self.settings), told)
                assert ended, "the fuse did not blow"
            signal.alarm(LONGEST_S)  # a mutant may wait for ever
            play(world, Fuse(), self.settings)
            trace.write_text(outcome(world).differs_from(self.whole))
        except BaseException as err:
            trace.write_text(f"{type(err).__name__}: {str(err)[-1500:]}")
        os._exit(0)


@contextmanager
def _bench(place: str | None, kind: type[World] = World) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="fieldvote-crash-") as folder:
        yield Bench(Path(folder), place, kind)


@pytest.fixture(scope="module")
def on_sqlite() -> Iterator[Bench]:
    with _bench(None) as bench:
        yield bench


@pytest.fixture(scope="module")
def on_postgres() -> Iterator[Bench]:
    with postgres_server() as server, _bench(server.create("crashes")) as bench:
        yield bench


@pytest.fixture(params=["sqlite", "postgres"])
def long_one(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A longer campaign of more devices, on either database."""
    if request.param == "sqlite":
        with _bench(None, LongWorld) as bench:
            yield bench
    else:
        with postgres_server() as server, _bench(server.create("crashes"), LongWorld) as bench:
            yield bench


def test_more_rounds_and_devices_pass_no_other_site(on_sqlite: Bench) -> None:
    with _bench(None, LongWorld) as longer:
        assert set(longer.sites) <= set(on_sqlite.sites)


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


def test_a_kill_of_any_kind_changes_nothing_of_what_the_campaign_comes_to(
    on_sqlite: Bench,
) -> None:
    points = on_sqlite.one_of_each_kind()
    assert len(points) == _KINDS
    assert on_sqlite.traces(points) == []


def test_what_the_disk_holds_at_any_site_leads_to_the_same_campaign(on_sqlite: Bench) -> None:
    states = on_sqlite.states()
    assert len(states) > 25
    assert on_sqlite.traces([*states], states) == []


def test_a_kill_inside_a_transaction_changes_nothing_on_postgres(on_postgres: Bench) -> None:
    points = on_postgres.inside_each_transaction()
    assert len(points) > 15
    # what is stored between two of them is seen above, on a file: here, that this server undoes
    # what was begun; in every other transaction, and in all of them each night
    assert on_postgres.traces(points[::2]) == []


# every point of every site, and each by a kill
@pytest.mark.nightly
def test_a_kill_at_any_point_changes_nothing_of_what_the_campaign_comes_to(
    long_one: Bench,
) -> None:
    assert long_one.traces(range(len(long_one.sites))) == []


# mutants: each takes one protection out, and some kill must show it


def _commits_every_line(patch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def line_by_line(_self: Store) -> Iterator[None]:
        yield

    patch.setattr(Store, "transaction", line_by_line)


def _keeps_no_requests(patch: pytest.MonkeyPatch) -> None:
    kept: dict[tuple[int, str], dict[int, bytes]] = {}
    expect_all, expected = Store.expect_all, Store.expected

    def in_memory(self: Store, number: int, phase: str, requests: dict[int, bytes]) -> None:
        expect_all(self, number, phase, requests)
        kept.setdefault((number, phase), {}).update(requests)

    def from_memory(self: Store, number: int, phase: str) -> dict[int, bytes]:
        waiting, asked = expected(self, number, phase), kept.get((number, phase), {})
        return {device: request for device, request in asked.items() if device in waiting}

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
    try:
        states = on_sqlite.states()
    except AssertionError:  # a campaign that falls apart without any kill is noticed too
        return
    points = sorted(states, key=lambda n: where not in (states[n].folder / "site").read_text())
    for few in (points[n : n + _FEW] for n in range(0, len(points), _FEW)):
        if on_sqlite.traces(few, states):
            return
    raise AssertionError(f"no kill shows that {mutant}")
