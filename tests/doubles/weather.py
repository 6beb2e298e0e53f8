"""A network with weather, on a clock that is turned: the same seed brings the same storms.

Requests and replies are delayed, lost, doubled and overtaken; now and then a part of the fleet is
cut off for a while. Nothing happens but when somebody looks, so a run is a function of its seed.
"""

import heapq
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count

import numpy as np

from coordinator.transport import Came
from fieldvote.errors import FieldvoteError
from fieldvote.records import DeviceId
from tests.coordinator.rounds.campaign import TurnedClock

Handler = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """How bad it is.

    Attributes:
        lost: Share of requests that never arrive, and of replies.
        doubled: Share of requests that arrive twice.
        delay_s: Mean time of one way.
        cut_every_s: Mean time between two partitions.
        cut_for_s: Mean length of one.
    """

    lost: float = 0.1
    doubled: float = 0.1
    delay_s: float = 2.0
    cut_every_s: float = 120.0
    cut_for_s: float = 60.0


@dataclass(slots=True)
class StormyNetwork:
    """Carries requests to handlers through the weather.

    Attributes:
        handlers: Who answers for a device.
        clock: The time; waiting turns it.
        weather: How bad it is.
        rng: Draws every accident.
        answered: Every request that was answered, whoever heard of it, with the reply.
    """

    handlers: Mapping[DeviceId, Handler]
    clock: TurnedClock
    weather: Weather
    rng: np.random.Generator
    _events: list[tuple[datetime, int, str, DeviceId, bytes, str]] = field(default_factory=list)
    _arrived: dict[str, list[Came]] = field(default_factory=dict)
    _cut: set[DeviceId] = field(default_factory=set)
    _changes_at: datetime | None = None
    _count: "count[int]" = field(default_factory=count)
    answered: list[tuple[DeviceId, bytes, bytes]] = field(default_factory=list)

    def devices(self) -> tuple[DeviceId, ...]:
        """Return who is not cut off."""
        self._run()
        return tuple(sorted(set(self.handlers) - self._cut))

    def push(self, requests: Mapping[DeviceId, bytes], *, ttl_s: float) -> dict[str, DeviceId]:
        """Send requests on their way."""
        tickets = {}
        for device, request in requests.items():
            ticket = f"{next(self._count):08d}"
            tickets[ticket] = device
            for _ in range(1 + int(self.rng.random() < self.weather.doubled)):
                if self.rng.random() >= self.weather.lost:
                    self._later("request", device, request, ticket)
        return tickets

    def pull(self, tickets: Collection[str], *, wait_s: float) -> list[Came]:
        """Return what has arrived; waiting lets the time pass."""
        end = self.clock.now() + timedelta(seconds=wait_s)
        while True:
            self._run()
            came = [one for t in tickets if t in self._arrived for one in self._arrived.pop(t)[:1]]
            if came or self.clock.now() >= end or not tickets:
                return came
            next_at = min((at for at, *_ in self._events), default=end)
            self.clock.time = max(min(next_at, end), self.clock.time + timedelta(milliseconds=1))

    def settle(self) -> None:
        """Let everything that is on its way arrive, in fair weather."""
        self._cut = set()
        self.weather = Weather(lost=0.0, doubled=0.0, delay_s=0.1, cut_every_s=1e9)

    def _later(self, kind: str, device: DeviceId, blob: bytes, ticket: str) -> None:
        """Let something arrive after a while."""
        delay = timedelta(seconds=float(self.rng.exponential(self.weather.delay_s)))
        at = self.clock.now() + delay
        heapq.heappush(self._events, (at, next(self._count), kind, device, blob, ticket))

    def _run(self) -> None:
        """Do what should have happened by now."""
        self._turn_weather()
        while self._events and self._events[0][0] <= self.clock.now():
            _, _, kind, device, blob, ticket = heapq.heappop(self._events)
            if device in self._cut:
                continue
            if kind == "reply":
                came = Came(ticket=ticket, device=device, reply=blob)
                self._arrived.setdefault(ticket, []).append(came)
                continue
            try:
                reply = self.handlers[device](blob)
            except FieldvoteError:
                continue
            self.answered.append((device, blob, reply))
            if self.rng.random() >= self.weather.lost:
                self._later("reply", device, reply, ticket)

    def _turn_weather(self) -> None:
        """Cut devices off, or let them back."""
        now = self.clock.now()
        if self._changes_at is None or now >= self._changes_at:
            cut = self._changes_at is not None and not self._cut
            mean_s = self.weather.cut_for_s if cut else self.weather.cut_every_s
            few = self.rng.random() < 0.8
            self._cut = (
                {d for d in self.handlers if self.rng.random() < 0.4 or not few} if cut else set()
            )
            self._changes_at = now + timedelta(seconds=float(self.rng.exponential(mean_s)))
