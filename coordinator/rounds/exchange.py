"""Exchanges with devices: asked, counted as replies come, closed by a rule.

::

    Asked ──replies──> open ──all, goal, or window and minimum──> Closed
                        └──window, or nobody left to wait for──> Extended, asked again

What an exchange changes on a device is kept as a request until its reply is counted, and asked for
again with the same bytes; the device answers from its journal. So a coordinator may die at any line
and every reply is counted once. Replies that are only summed for this round are held in memory
until the exchange is closed; after a crash they are asked for again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil

from coordinator.rounds.clock import Clock, after, is_over
from coordinator.rounds.events import Asked, Closed, Extended
from coordinator.rounds.machine import Exchange
from coordinator.rounds.question import Asking, Question, Rest, Verdict, judge
from coordinator.secured import standing, too_few, with_cohort
from coordinator.store.budget import Resource
from coordinator.store.campaign import Store
from coordinator.transport import Transport
from fieldvote.records import DeviceId
from fieldvote.summed_fields import COHORT

_PULL_S = 0.4
_LOOK_AGAIN = timedelta(seconds=1)  # for devices that were away
_GRACE = timedelta(seconds=15)  # after a start, for devices to find us again
_REPLY_BYTES = 1 << 16  # what is set aside for a reply before the first one of its kind was seen


@dataclass(slots=True)
class _Flight:
    """An attempt of this process at an exchange.

    Attributes:
        attempt: Which.
        began: When this process took it up.
        everybody: Whose replies are wanted, COHORT's among them where they are summed.
        counted: Whose replies are in.
        asked: Who was sent the request in this attempt.
        tickets: Requests on their way.
        looked: When it was last seen who is there.
        down: Bytes sent in all attempts.
        up: Bytes received in all attempts.
    """

    attempt: int
    began: datetime
    everybody: set[DeviceId]
    counted: set[DeviceId]
    asked: set[DeviceId] = field(default_factory=set)
    tickets: dict[str, DeviceId] = field(default_factory=dict)
    looked: datetime | None = None
    down: int = 0
    up: int = 0

    @property
    def heard(self) -> set[DeviceId]:
        """The devices whose replies are in."""
        return self.counted - {COHORT}


class Exchanges:
    """Exchanges this process has under way."""

    def __init__(
        self,
        store: Store,
        transport: Transport,
        clock: Clock,
        record: Callable[[Asked | Extended | Closed], None],
        *,
        window_s: float,
        limit_bytes: int,
    ) -> None:
        """Take what exchanges are made with.

        Args:
            store: Keeps requests and replies.
            transport: Reaches devices.
            clock: Ends windows.
            record: Appends an event inside the current transaction.
            window_s: How long one attempt takes at most.
            limit_bytes: What the campaign may send and receive in all.
        """
        self._store = store
        self._transport = transport
        self._clock = clock
        self._record = record
        self._window_s = window_s
        self._limit_bytes = limit_bytes
        self._flights: dict[tuple[int, str, int], _Flight] = {}
        self._largest: dict[str, int] = {}

    def step(self, state: Asking, question: Question) -> Rest | None:
        """Go on with an exchange; return what is waited for, None if something happened."""
        exchange = state.exchange
        if exchange is None or (exchange.name, exchange.leg) != (question.name, question.leg):
            return self._open(state, question)
        flight = self._flight(state, exchange, question)
        came = self._pull(flight)
        if came:
            self._count(state, question, flight, came)
        verdict = judge(
            came=len(flight.heard),
            waiting=len(flight.tickets),
            goal=exchange.goal,
            minimum=exchange.minimum,
            over=self._is_over(exchange, flight),
        )
        match verdict:
            case Verdict.CLOSE:
                self._close(state, question, flight)
            case Verdict.ASK_AGAIN:
                return self._ask_again(state, exchange, flight)
            case Verdict.WAIT if not came:
                return _waiting(exchange, flight, standing(self._transport))
        return None

    def forget(self, number: int) -> None:
        """Let go of a round's exchanges; replies still on their way count when asked for again."""
        for key in [key for key in self._flights if key[0] == number]:
            del self._flights[key]

    def _open(self, state: Asking, question: Question) -> Rest | None:
        """Ask, on paper: from here on a crash cannot undo who is asked what."""
        alone = question.requests()
        asked = len(alone)
        if question.least and not asked:
            # what nobody was asked would read as an answer of nothing
            return Rest(about=f"{question.name}: no device that can answer is there")
        if few := too_few(self._transport, alone):
            return Rest(about=f"{question.name}: {few}")
        requests = with_cohort(self._transport, alone)
        now = self._clock.now()
        size = sum(len(request) for request in requests.values())
        size += asked * self._largest.get(question.name, _REPLY_BYTES)
        with self._store.transaction():
            self._store.reserve(_key(state, question), Resource.BYTES, size, self._limit_bytes)
            if question.keeps:
                self._store.expect_all(state.number, phase_of(question), requests)
                self._store.mark_sent(state.number, question.carrying)
            self._record(
                Asked(
                    round=state.number,
                    exchange=question.name,
                    leg=question.leg,
                    devices=tuple(int(device) for device in alone),
                    goal=asked - int(question.spare * asked),
                    minimum=min(asked, max(question.least, ceil(question.share * asked))),
                    window_s=self._window_s,
                    until=after(now, self._window_s),
                )
            )
        return None

    def _flight(self, state: Asking, exchange: Exchange, question: Question) -> _Flight:
        """Return the attempt under way, with everybody asked who is there."""
        key = (state.number, exchange.name, exchange.leg)
        flight = self._flights.get(key)
        everybody = {DeviceId(device) for device in exchange.devices}
        if flight is None:
            kept = self._requests(state, question)
            everybody |= set(kept) & {COHORT}
            counted = everybody - set(kept) if question.keeps else set()
            flight = self._flights[key] = _Flight(
                attempt=exchange.attempt,
                began=self._clock.now(),
                everybody=everybody,
                counted=counted,
            )
        elif flight.attempt != exchange.attempt:
            flight.attempt, flight.looked = exchange.attempt, None
            flight.began = self._clock.now()
            flight.asked, flight.tickets = set(), {}
        now = self._clock.now()
        absent = flight.everybody - flight.counted - flight.asked
        if absent and (flight.looked is None or now - flight.looked >= _LOOK_AGAIN):
            flight.looked = now
            here = {*self._transport.devices(), COHORT}
            self._ask(state, exchange, question, flight, absent & here)
        return flight

    def _ask(
        self,
        state: Asking,
        exchange: Exchange,
        question: Question,
        flight: _Flight,
        devices: set[DeviceId],
    ) -> None:
        """Send the request to these devices."""
        if not devices:
            return
        made = self._requests(state, question)
        blobs = {device: blob for device, blob in made.items() if device in devices}
        flight.asked |= devices
        flight.down += sum(len(blob) for blob in blobs.values())
        flight.tickets |= self._transport.push(blobs, ttl_s=exchange.window_s)

    def _requests(self, state: Asking, question: Question) -> Mapping[DeviceId, bytes]:
        """Return what is asked: as it was kept, without what is answered, or made again."""
        if question.keeps:
            return self._store.expected(state.number, phase_of(question))
        return with_cohort(self._transport, question.requests())

    def _is_over(self, exchange: Exchange, flight: _Flight) -> bool:
        """Return whether a window has ended, and devices had time to come back to us.

        One that ran out while no coordinator was there has been heard by nobody.
        """
        now = self._clock.now()
        grace = min(timedelta(seconds=exchange.window_s), _GRACE)
        return is_over(exchange.until, now, exchange.window_s) and now - flight.began >= grace

    def _pull(self, flight: _Flight) -> dict[DeviceId, bytes]:
        """Return replies that are new; who failed is not waited for any longer."""
        if not flight.tickets:
            return {}
        replies = {}
        for came in self._transport.pull(tuple(flight.tickets), wait_s=_PULL_S):
            if flight.tickets.pop(came.ticket, None) == came.device and came.reply is not None:
                replies[came.device] = came.reply
                flight.up += len(came.reply) + came.up
                flight.down += came.down
        return replies

    def _count(
        self,
        state: Asking,
        question: Question,
        flight: _Flight,
        replies: Mapping[DeviceId, bytes],
    ) -> None:
        """Take replies in."""
        most = max(len(reply) for reply in replies.values())
        self._largest[question.name] = max(most, self._largest.get(question.name, 0))
        if not question.keeps and COHORT in replies:
            # what the others have to say is in the sum; they are there if it counts
            whole = {COHORT: replies[COHORT]}
            flight.counted.update(replies if question.count(whole) else ())
            return
        if not question.keeps:
            flight.counted.update(question.count(replies))
            return
        try:
            with self._store.transaction():
                question.count(replies)
            still = self._store.expected(state.number, phase_of(question))
        except BaseException:
            self.forget(state.number)  # and ask again for what is not stored, as after a crash
            raise
        flight.counted.update(set(replies) - set(still))

    def _close(self, state: Asking, question: Question, flight: _Flight) -> None:
        """Close the exchange, with what its replies add up to."""
        with self._store.transaction():
            self._store.settle_budget(_key(state, question), flight.down + flight.up, over=True)
            self._record(
                Closed(
                    round=state.number,
                    exchange=question.name,
                    leg=question.leg,
                    came=tuple(sorted(int(device) for device in flight.heard)),
                    sums=question.close(),
                )
            )
        self.forget(state.number)

    def _ask_again(self, state: Asking, exchange: Exchange, flight: _Flight) -> Rest | None:
        """Open the window anew: at once where it has run out, else when it has."""
        now = self._clock.now()
        if not self._is_over(exchange, flight):
            return _waiting(exchange, flight, standing(self._transport))
        with self._store.transaction():
            self._record(
                Extended(
                    round=state.number,
                    exchange=exchange.name,
                    leg=exchange.leg,
                    came=len(flight.heard),
                    until=after(now, exchange.window_s),
                )
            )
        return None


def _waiting(exchange: Exchange, flight: _Flight, why: str) -> Rest:
    """Say who is waited for, and why where that is known."""
    came, asked = len(flight.heard), len(exchange.devices)
    again = f", asked {exchange.attempt} times" if exchange.attempt > 1 else ""
    return Rest(
        about=f"{exchange.name.replace('_', '-')}: {came} of {asked} devices have answered{again}"
        + (f"; {why}" if why else ""),
        until=exchange.until,
    )


def phase_of(question: Question) -> str:
    """Return what the store calls kept requests of this exchange."""
    return question.name if not question.leg else f"{question.name} {question.leg}"


def _key(state: Asking, question: Question) -> str:
    """Return what the budget calls this leg."""
    return f"{state.number}/{question.name}/{question.leg}"
