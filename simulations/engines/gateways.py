"""Gateways: each Flower node stands in front of many devices, so a fleet costs few messages.

Flower's simulation asks every node for mail ten times a second and searches every message for each
of them, so a node for each device would cost devices × messages. Here one message to a gateway is a
parcel of many (device, request) pairs, and its reply a parcel of many (device, reply) pairs.

A parcel holds at most 4 MiB, or the one body that is larger. A gateway stops answering at that
size, and the devices it did not get to are asked again: a device works on each request once.
"""

import resource
from collections import deque
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from coordinator.app import GridTransport
from coordinator.transport import Came, Transport, exchange
from fieldvote.errors import InternalError, UnavailableError
from fieldvote.records import DeviceId
from simulations.engines.in_process import LocalFleet
from simulations.engines.parcels import (
    MOST_BYTES,
    Asked,
    Replies,
    Requests,
    decode,
    encode,
    pack,
    take,
    unpack,
)
from simulations.engines.seam import Account
from simulations.population import Population, device_id, populate
from simulations.scenario import Scenario

_PATIENCE_S = 3600.0


def gateway_of(number: int, gateways: int) -> int:
    """Return which gateway device number i of the data is behind.

    >>> [gateway_of(number, 3) for number in range(7)]
    [0, 1, 2, 0, 1, 2, 0]
    """
    return number % gateways


class Gateway:
    """A share of a population's devices, kept in memory for as long as this object lives.

    It is the only home its devices have: nothing of them is stored elsewhere, so nothing can be
    older here than there.
    """

    def __init__(self, scenario: Scenario, seed: int, *, place: int, gateways: int) -> None:
        """Answer for the devices of this place among so many gateways."""
        self._scenario, self._seed = scenario, seed
        self._place, self._gateways = place, gateways
        self._population: Population | None = None
        self._fleet: LocalFleet | None = None

    def open(self) -> None:
        """Set this gateway's devices up anew; the population is made once.

        Raises:
            MissingDataError: this machine has no data to make it from.
        """
        self.close()
        if self._population is None:
            self._population = populate(self._scenario, self._seed)
        every = range(self._population.dataset.devices)
        mine = [n for n in every if gateway_of(n, self._gateways) == self._place]
        self._fleet = LocalFleet(self._population, mine)

    def answer(self, parcel: bytes) -> bytes:
        """Return the replies to a parcel of requests; who refused or failed is missing.

        Raises:
            WireError: the bytes are no parcel of requests.
        """
        transport = GridTransport(self._opened().grid)
        replies: dict[DeviceId, bytes] = {}
        size, looked_at = 0, 0
        for device, request in unpack(decode(parcel, Requests)):
            if size >= MOST_BYTES:
                break
            came = exchange(transport, {device: request}, deadline_s=_PATIENCE_S)
            replies |= came
            size += sum(len(body) for body in came.values())
            looked_at += 1
        return encode(
            Replies(
                devices=np.array(list(replies), dtype=np.int64),
                bodies=tuple(replies.values()),
                done=looked_at,
            )
        )

    def account(self) -> Account:
        """Return what these devices gave away since they were set up, and let go of them."""
        account = self._opened().account()
        self.close()
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        return account + Account(workers_mb=peak_mb)

    def close(self) -> None:
        """Let go of the devices."""
        if self._fleet is not None:
            self._fleet.close()
            self._fleet = None

    def _opened(self) -> LocalFleet:
        if self._fleet is None:
            raise InternalError("the gateway was not opened")
        return self._fleet


class GatewayTransport:
    """Reaches devices through the gateways in front of them."""

    def __init__(self, carrier: Transport, gateways: Sequence[DeviceId], devices: int) -> None:
        """Use a transport whose devices are gateways.

        Args:
            carrier: Takes one parcel at a time to each gateway.
            gateways: What the carrier calls them, in the order of their places.
            devices: How many devices there are in all.
        """
        self._carrier = carrier
        self._waiting: dict[str, tuple[DeviceId, bytes]] = {}
        self._count = 0
        self._home = {device_id(n): gateways[gateway_of(n, len(gateways))] for n in range(devices)}

    def devices(self) -> tuple[DeviceId, ...]:
        """Return every device; who is away is not known here."""
        return tuple(sorted(self._home))

    def push(self, requests: Mapping[DeviceId, bytes], *, ttl_s: float) -> dict[str, DeviceId]:
        """Take requests; they are carried when their replies are pulled.

        The clock of a rehearsal stands still, so ttl_s never ends one; a machine that is slow must
        not change what comes out.
        """
        tickets = {}
        for device, request in requests.items():
            self._count += 1
            ticket = f"{self._count:016d}"
            self._waiting[ticket] = (device, request)
            tickets[ticket] = device
        return tickets

    def pull(self, tickets: Collection[str], *, wait_s: float) -> list[Came]:
        """Carry every request to its device and the replies back.

        Raises:
            UnavailableError: a gateway has gone, and its devices' state with it.
        """
        asked = {name: self._waiting.pop(name) for name in tickets if name in self._waiting}
        replies = self._carry(dict(asked.values()))
        return [
            Came(ticket=name, device=device, reply=replies.get(device))
            for name, (device, _) in asked.items()
        ]

    def _carry(self, requests: Mapping[DeviceId, bytes]) -> dict[DeviceId, bytes]:
        """Return the replies to these requests; who refused is missing."""
        waiting: dict[DeviceId, deque[Asked]] = {}
        for device, body in requests.items():
            if device in self._home:
                waiting.setdefault(self._home[device], deque()).append((device, body))
        replies: dict[DeviceId, bytes] = {}
        while waiting:
            parcels = {gateway: take(queue) for gateway, queue in waiting.items()}
            blobs = {gateway: encode(pack(asked)) for gateway, asked in parcels.items()}
            came = exchange(self._carrier, blobs, deadline_s=_PATIENCE_S)
            for gateway, asked in parcels.items():
                if gateway not in came:
                    raise UnavailableError("a gateway of the simulation has gone: run it again")
                found = decode(came[gateway], Replies)
                done = asked[: found.done]
                replies |= _kept(found, {device for device, _ in done})
                if not done:
                    raise InternalError("a gateway answered for none of a parcel's devices")
                waiting[gateway].extendleft(reversed(asked[len(done) :]))
            waiting = {gateway: queue for gateway, queue in waiting.items() if queue}
        return replies


def _kept(found: Replies, asked: set[DeviceId]) -> dict[DeviceId, bytes]:
    """Return the replies of devices that were asked."""
    pairs = zip(found.devices.tolist(), found.bodies, strict=True)
    return {DeviceId(device): body for device, body in pairs if device in asked}
