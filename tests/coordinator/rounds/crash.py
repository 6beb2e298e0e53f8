"""A whole campaign in a process of its own, that is killed at one point and then goes on.

A point is before every statement that writes, after every COMMIT, and around every use of the
network: between two neighbours nothing changes that outlives the process. The site of a point is
what the coordinator was doing: its two innermost lines, and the statement. Processes are forked
warm; devices live in the dying process too, with their pools on disk, so they die with it.
"""

import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, fields
from pathlib import Path

from sqlalchemy import event, select

from coordinator.rounds.campaign import STREAM
from coordinator.rounds.commands import COMMAND, Command
from coordinator.rounds.scheduler import Scheduler
from coordinator.settings import CampaignSettings, PaceSettings
from coordinator.store.budget import Resource
from coordinator.store.campaign import Store, open_store
from coordinator.store.schema import TABLES
from coordinator.transport import Came
from edge.agent import served_by
from edge.pool import Pool
from fieldvote.records import DeviceId
from privacy.sealing.at_rest import Held
from tests.coordinator.rounds.campaign import (
    Fleet,
    TurnedClock,
    make_fleet,
    make_parts,
    settings_with,
)
from tests.doubles.transport import MemoryTransport

ROUNDS = 2
DEVICES = 5
LONGEST_S = 60
_MOST_TURNS = 2000
OURS = f"{os.sep}coordinator{os.sep}"
STORE = f"{OURS}store{os.sep}"
WRAPPING_KEY = bytes(32)
CUSTODY = Held(WRAPPING_KEY)  # what dies, dies with its disk locked


@dataclass(slots=True)
class Fuse:
    """Counts the points that are passed, and ends the process at one of them.

    Attributes:
        blows_at: Where it ends, None for nowhere.
        sites: The site of each point that was passed, if anybody wants to know: it takes time.
        look: Who is shown the number and the site of each point before it is passed.
        passed: How many points were.
    """

    blows_at: int | None = None
    sites: list[str] | None = None
    look: Callable[[int, str], None] | None = None
    passed: int = 0

    def pass_by(self, kind: str) -> None:
        """Pass one point."""
        if self.sites is not None or self.look is not None:
            site = f"{kind} @ {_where()}"
            if self.look is not None:
                self.look(self.passed, site)
            if self.sites is not None:
                self.sites.append(site)
        self.passed += 1
        if self.passed - 1 == self.blows_at:
            self.blow()

    def blow(self) -> None:
        """End here."""
        os.kill(os.getpid(), signal.SIGKILL)


def _where() -> str:
    """Return the two innermost lines of the coordinator, the store's own apart."""
    found, frame = [], sys._getframe(1)
    while frame is not None and len(found) < 2:
        name = frame.f_code.co_filename
        if OURS in name and STORE not in name and "tests" not in name:
            found.append(f"{Path(name).stem}.{frame.f_code.co_name}:{frame.f_lineno}")
        frame = frame.f_back
    return " < ".join(found)


@dataclass(slots=True)
class FusedTransport:
    """A network whose user may die around every use of it."""

    network: MemoryTransport
    fuse: Fuse

    def devices(self) -> tuple[DeviceId, ...]:
        """Return who is there."""
        return self.network.devices()

    def push(self, requests: Mapping[DeviceId, bytes], *, ttl_s: float) -> Mapping[str, DeviceId]:
        """Send, or die just before or after it."""
        self.fuse.pass_by("before push")
        tickets = self.network.push(requests, ttl_s=ttl_s)
        self.fuse.pass_by("after push")
        return tickets

    def pull(self, tickets: Collection[str], *, wait_s: float) -> Sequence[Came]:
        """Take replies, or die when the devices have done their part."""
        self.fuse.pass_by("before pull")
        came = self.network.pull(tickets, wait_s=wait_s)
        self.fuse.pass_by("after pull")
        return came


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that must not depend on when the coordinator died."""

    events: list[tuple[str, str]]
    rows: dict[str, list[tuple[object, ...]]]
    devices: dict[DeviceId, tuple[object, ...]]

    def differs_from(self, other: "Outcome") -> str:
        """Return what is not the same, empty if all is."""
        for each in fields(self):
            mine, theirs = getattr(self, each.name), getattr(other, each.name)
            if mine == theirs:
                continue
            if isinstance(mine, dict):
                return f"{each.name}: " + ", ".join(
                    str(k) for k in mine if mine[k] != theirs.get(k)
                )
            pairs = zip(mine, theirs, strict=False)
            first = next(
                (n for n, (a, b) in enumerate(pairs) if a != b), min(len(mine), len(theirs))
            )
            return (
                f"{each.name} from {first}: {mine[first : first + 1]} {theirs[first : first + 1]}"
            )
        return ""


class World:
    """One campaign's store and its devices' pools.

    Two rounds, open at once, and three devices beside two held-out ones pass every site that more
    of either do.
    """

    rounds, devices = ROUNDS, DEVICES

    def __init__(self, folder: Path, place: Path | str, campaign: str) -> None:
        self.folder, self.place, self.campaign = folder, place, campaign

    def begin(self, template: Path) -> None:
        """Set the devices up, as they are before the first round."""
        shutil.copytree(template, self.folder / "pools")

    def fleet(self) -> Fleet:
        """Open the devices' pools, and put agents in front of them."""
        return make_fleet(
            training=self.devices - 2, held_out=2, items=8, folder=self.folder / "pools"
        )

    def open(self) -> Store:
        """Open the store; the process dies here, never the disk, so nothing is waited for."""
        store = open_store(
            self.place, now=TurnedClock().now, campaign=self.campaign, custody=CUSTODY
        )
        if isinstance(self.place, Path):
            store.database._connection.exec_driver_sql("PRAGMA synchronous = OFF")
        return store


class LongWorld(World):
    """One for the night."""

    rounds, devices = 3, 8


def play(world: World, fuse: Fuse, settings: CampaignSettings) -> None:
    """Begin or go on, as a coordinator that was just started does, to the last round."""
    with ExitStack() as stack:
        fleet = stack.enter_context(closing(world.fleet()))
        store = stack.enter_context(closing(world.open()))
        _watch(store, fuse)
        network = FusedTransport(fleet.transport(), fuse)
        clock = TurnedClock()
        if not store.events(STREAM):
            # asked for before anything began, and done by whoever comes to it
            store.owe("one", COMMAND, Command(what="plan", kind="incident").to_json())
        parts = make_parts(store, network, settings=settings, clock=clock)
        scheduler = Scheduler(parts, rounds=world.rounds)
        for _ in range(_MOST_TURNS):
            if scheduler.finished:
                return
            if scheduler.turn() is not None:
                clock.sleep(1.0)
        raise AssertionError("the campaign does not come to its end")


def _watch(store: Store, fuse: Fuse) -> None:
    """Make every statement that changes the store, or ends a step, a point."""
    engine = store.database._engine

    def before(*context: object) -> None:
        words = str(context[2]).split()
        if words[0] not in ("SELECT", "PRAGMA"):
            fuse.pass_by(f"before {' '.join(words[:3])}")

    def after(*context: object) -> None:
        if context[2] == "COMMIT":
            fuse.pass_by("after COMMIT")

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)


def outcome(world: World) -> Outcome:
    """Return what a campaign came to."""
    with closing(world.fleet()) as fleet, closing(world.open()) as store:
        rows = {}
        for table in TABLES.sorted_tables:
            # a device that was restarted numbers its envelopes in another epoch
            if "campaign" not in table.c or table.name in ("event", "snapshot", "budget", "replay"):
                continue
            untold = ("campaign", "place", "envelope", "spent", "at")
            columns = [c for c in table.c if c.name not in untold]
            query = select(*columns).where(table.c.campaign == world.campaign)
            found = store.database.rows(query, {"the_campaign": world.campaign})
            if table.name == "budget_entry":
                # what is sent again after a crash is paid again in bytes, and in nothing else
                found = [row for row in found if row["resource"] != Resource.BYTES]
            rows[table.name] = sorted((tuple(row.values()) for row in found), key=repr)
        rows["reserved"] = [(r.value, s.reserved) for r, s in store.budget().items()]
        return Outcome(
            events=store.events(STREAM),
            rows=rows,
            devices={device: _device(pool) for device, pool in fleet.pools.items()},
        )


def _device(pool: Pool) -> tuple[object, ...]:
    """Return what a device has given away, learnt and serves."""
    columns = [pool.column(name).tolist() for name in ("summed", "arm", "answer")]
    return (*columns, served_by(pool).serial)


def in_a_fork(work: Callable[[], None], told: Path) -> int:
    """Do something in a forked process; return the signal that ended it, 0 for none.

    Args:
        work: What to do.
        told: Where the traceback goes if it fails.
    """
    pid = os.fork()
    if pid == 0:
        signal.alarm(LONGEST_S)  # a mutant may wait for ever
        try:
            work()
        except BaseException:
            told.write_text(traceback.format_exc())
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status)
    assert os.WEXITSTATUS(status) == 0, told.read_text()
    return 0


def crash_settings() -> CampaignSettings:
    """Two rounds open at a time, and few legs."""
    return settings_with(exchanges=2, pace=PaceSettings(open_rounds=2))
