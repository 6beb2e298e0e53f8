"""Several coordinators over one campaign, each a process that drives it over the same devices.

The devices' pools are files. A coordinator can be killed or stopped when a reply of a chosen kind
has come and nothing of it is stored: the devices have done their part, and it has not.
"""

import json
import os
import signal
import time
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock

from coordinator.driving import drive
from coordinator.pulse import Pulse
from coordinator.rounds.clock import SteadyClock
from coordinator.store.leases import Lease
from coordinator.transport import Came
from fieldvote.errors import FieldvoteError
from fieldvote.records import DeviceId, Reply, decode
from tests.coordinator.driven import store_of, write_campaign
from tests.coordinator.rounds.campaign import Reader, desk_of
from tests.coordinator.rounds.crash import WRAPPING_KEY, Outcome, World, outcome
from tests.coordinator.store.places import everything
from tests.doubles.transport import MemoryTransport

LONGEST_S = 60
_CLOCK_SPEED = 20
Rows = dict[str, list[tuple[object, ...]]]


class Hurried(SteadyClock):
    """The true time, for people who do not sleep long."""

    def __init__(self) -> None:
        super().__init__(sleep=lambda seconds: time.sleep(seconds / _CLOCK_SPEED))


@dataclass(frozen=True, slots=True, kw_only=True)
class Trap:
    """What ends or stops a coordinator: the first reply of a kind in a round."""

    kind: type[Reply]
    round: int
    signal: signal.Signals


@dataclass(slots=True)
class Wire:
    """A coordinator's way to the devices; it reaches for them only when it is used."""

    world: World
    away: Path
    say: Callable[[str], None]
    trap: Trap | None
    quiet: Lock
    _network: MemoryTransport | None = None

    def devices(self) -> tuple[DeviceId, ...]:
        """Return who is there: nobody, while a file says so."""
        return () if self.away.exists() else self._reached().devices()

    def push(self, requests: Mapping[DeviceId, bytes], *, ttl_s: float) -> Mapping[str, DeviceId]:
        """Send requests."""
        return self._reached().push(requests, ttl_s=ttl_s)

    def pull(self, tickets: Collection[str], *, wait_s: float) -> Sequence[Came]:
        """Take replies, and walk into the trap with them."""
        came = self._reached().pull(tickets, wait_s=wait_s)
        trap = self.trap
        if trap and any(self._is_bait(one.reply, trap) for one in came):
            self.trap = None
            with self.quiet:
                os.kill(os.getpid(), trap.signal)
        return came

    def _is_bait(self, reply: bytes | None, trap: Trap) -> bool:
        try:
            return reply is not None and decode(reply, trap.kind).round == trap.round  # type: ignore[union-attr]  # a trap is of a kind that has a round
        except FieldvoteError:
            return False

    def _reached(self) -> MemoryTransport:
        if self._network is None:
            self.say("talks to devices")
            self._network = self.world.fleet().transport()
        return self._network


@dataclass(slots=True)
class Coordinator:
    """A process that drives the campaign, and what it prints."""

    pid: int
    log: Path
    status: int | None = None

    @property
    def said(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def has_said(self, words: str) -> bool:
        return any(line.startswith(words) for line in self.said)

    def look(self) -> None:
        """See whether it has stopped or ended."""
        if self.status is None or os.WIFSTOPPED(self.status):
            pid, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)
            self.status = status if pid else self.status

    @property
    def stopped(self) -> bool:
        self.look()
        return self.status is not None and os.WIFSTOPPED(self.status)

    @property
    def ended(self) -> bool:
        self.look()
        return self.status is not None and not os.WIFSTOPPED(self.status)

    @property
    def code(self) -> int:
        """Its exit code; below 0 the signal that killed it."""
        assert self.ended
        return os.waitstatus_to_exitcode(self.status or 0)


@dataclass(slots=True)
class Company:
    """A campaign, its devices, its people, and whoever drives it."""

    folder: Path
    place: Path | str
    lease_s: float
    coordinators: list[Coordinator] = field(default_factory=list)
    people: bool = True
    world: World = field(init=False)
    config: Path = field(init=False)

    def __post_init__(self) -> None:
        said = f"rounds = {World.rounds}\nquorum = {World.devices - 2}" + (
            f'\nstore = "{self.place}"' if isinstance(self.place, str) else ""
        )
        self.config = write_campaign(self.folder, said)
        key = self.folder / "state" / "at_rest.key"
        key.parent.mkdir(exist_ok=True)
        key.touch(mode=0o600)
        key.write_bytes(WRAPPING_KEY)
        self.world = World(self.folder, self.place, "small")
        (self.folder / "pools").mkdir()
        self.world.fleet().close()

    def start(self, name: str, trap: Trap | None = None) -> Coordinator:
        """Start a coordinator in a process of its own."""
        log = self.folder / f"{name}.log"
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)  # pytest has its own use of it
            signal.alarm(LONGEST_S)
            os._exit(self._driven(name, log, trap))
        self.coordinators.append(Coordinator(pid, log))
        return self.coordinators[-1]

    def _driven(self, name: str, log: Path, trap: Trap | None) -> int:
        """Drive the campaign; return the exit code, as the command line would."""
        quiet = Lock()
        renew = Lease.renew

        def renew_quietly(lease: Lease) -> None:
            # whoever is stopped while it renews holds the row until the server throws it out
            with quiet:
                renew(lease)

        Lease.renew = renew_quietly  # type: ignore[method-assign]  # in this process only

        def say(line: str) -> None:
            with log.open("a") as file:
                file.write(f"{line}\n")

        try:
            wire = Wire(self.world, self.away(name), say, trap, quiet)
            drive(self.config, wire, Pulse(say), clock=Hurried(), lease_s=self.lease_s)
        except FieldvoteError as err:
            say(f"{type(err).__name__}: {err}")
            return err.exit_code
        except BaseException:
            say(traceback.format_exc())
            return 99
        return 0

    def away(self, name: str) -> Path:
        """The file that keeps the devices away from a coordinator."""
        return self.folder / f"{name}.away"

    def until(self, what: Callable[[], bool], *, every_s: float = 0.05) -> None:
        """Wait for something; people answer meanwhile, if they are there."""
        end = time.monotonic() + LONGEST_S
        with ExitStack() as stack:
            # opening it takes longer than looking into it
            store = stack.enter_context(closing(store_of(self.config))) if self.people else None
            while not what():
                for one in self.coordinators:
                    one.look()  # one that has died is a process until somebody has looked
                if time.monotonic() > end:
                    raise AssertionError([(one.log.name, one.said) for one in self.coordinators])
                if store is not None:
                    desk_of(Reader()).work(store)
                time.sleep(every_s)

    def pair(self, trap: Trap | None = None) -> tuple[Coordinator, Coordinator]:
        """Return one that leads, and one that stands by; nobody has answered anything."""
        self.people = False
        first = self.start("first", trap)
        self.until(lambda: first.has_said("round 1: waiting for people"))
        second = self.start("second")
        self.until(lambda: second.has_said("standing by: "))
        assert not second.has_said("talks")
        return first, second

    def rows(self) -> Rows:
        """Everything that is stored, but who leads."""
        with closing(store_of(self.config)) as store:
            return {
                name: rows for name, rows in everything(store.database).items() if name != "lease"
            }

    def outcome(self) -> Outcome:
        """Return what the campaign came to, without the times at which it happened."""
        found = outcome(self.world)
        timeless = [
            (kind, json.dumps({**json.loads(body), "at": "", "until": ""}, sort_keys=True))
            for kind, body in found.events
        ]
        return replace(found, events=timeless)

    def close(self) -> None:
        """Leave no process behind."""
        for one in self.coordinators:
            if not one.ended:
                os.kill(one.pid, signal.SIGKILL)
                os.waitpid(one.pid, 0)
