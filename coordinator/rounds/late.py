"""Replies to exchanges that are closed: asked for again, and counted by the rule of their kind."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta

from coordinator.inbox import TRIAL
from coordinator.rounds.campaign import CampaignState
from coordinator.rounds.clock import Clock
from coordinator.secured import for_late
from coordinator.store.campaign import Store
from coordinator.transport import Transport
from fieldvote.records import DeviceId
from fieldvote.summed_fields import COHORT

Count = Callable[[int, str, Mapping[DeviceId, bytes]], object]
"""Round, what was asked, and replies; called inside a transaction."""

_EVERY = timedelta(seconds=5)


class Late:
    """Asks again, with the same bytes, for replies that never came.

    A device that had handled the request answers from its journal, so what it summed, shipped or
    learned then is counted now, and once.
    """

    def __init__(
        self,
        store: Store,
        transport: Transport,
        clock: Clock,
        *,
        window_s: float,
        about: Callable[[str], bool] = lambda phase: phase != TRIAL,
    ) -> None:
        """Ask through this transport; a request that brought nothing is repeated in its window.

        Args:
            store: Keeps the requests.
            transport: Reaches devices.
            clock: The time.
            window_s: How long a request is waited for.
            about: Which exchanges, by name; those of releases are not the rounds' business.
        """
        self._about = about
        self._store = store
        self._transport = for_late(transport)
        self._clock = clock
        self._window_s = window_s
        self._looked: datetime | None = None
        self._tickets: dict[str, tuple[int, str, datetime]] = {}
        self._asked: dict[tuple[int, str, DeviceId], datetime] = {}

    def step(self, campaign: CampaignState, count: Count, *, now: bool = False) -> None:
        """Take in what came, and ask who is there and still owes a reply.

        Args:
            campaign: Says which exchanges are open: those see to themselves.
            count: Takes replies in.
            now: Look at once, not only every few seconds.
        """
        open_ = {
            (state.number, state.exchange.name)
            for state in campaign.open
            if state.exchange is not None and state.exchange.open
        }
        self.look(campaign.last + 1, open_, count, now=now)

    def look(
        self, before: int, open_: Collection[tuple[int, str]], count: Count, *, now: bool = False
    ) -> None:
        """Do so for exchanges of a lower number that are not open."""
        self._pull(count)
        time = self._clock.now()
        if not now and self._looked is not None and time - self._looked < _EVERY:
            return
        self._looked = time
        self._asked = {key: until for key, until in self._asked.items() if until > time}
        overdue = [
            each
            for each in self._store.overdue(before)
            if each not in open_ and self._about(each[1])
        ]
        here = {*self._transport.devices(), COHORT} if overdue else set()
        for number, phase in overdue:
            self._ask(number, phase, here, time)
        self._pull(count)

    def _ask(self, number: int, phase: str, here: set[DeviceId], now: datetime) -> None:
        """Ask for the replies one exchange still misses."""
        missing = self._store.expected(number, phase)
        blobs = {
            device: blob
            for device, blob in missing.items()
            if device in here and (number, phase, device) not in self._asked
        }
        if not blobs:
            return
        until = now + timedelta(seconds=self._window_s)
        for ticket in self._transport.push(blobs, ttl_s=self._window_s):
            self._tickets[ticket] = (number, phase, until)
        self._asked |= {(number, phase, device): until for device in blobs}

    def _pull(self, count: Count) -> None:
        """Take in what came; a ticket whose time is over is let go of."""
        if not self._tickets:
            return
        replies: dict[tuple[int, str], dict[DeviceId, bytes]] = {}
        for came in self._transport.pull(tuple(self._tickets), wait_s=0.0):
            number, phase, _ = self._tickets.pop(came.ticket)
            self._asked.pop((number, phase, came.device), None)
            if came.reply is not None:
                replies.setdefault((number, phase), {})[came.device] = came.reply
        for (number, phase), came_in in replies.items():
            with self._store.transaction():
                count(number, phase, came_in)
        now = self._clock.now()
        self._tickets = {name: it for name, it in self._tickets.items() if it[2] > now}
