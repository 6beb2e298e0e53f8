"""A transport in memory: what the coordinator sends goes straight to functions that answer.

It can lose what a network loses: a device may be away, silent, late, twice there, or talk rubbish.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from coordinator.transport import Came
from fieldvote.errors import FieldvoteError
from fieldvote.records import REQUESTS, DeviceId, Request, decode

Handler = Callable[[bytes], bytes]


@dataclass(slots=True)
class MemoryTransport:
    """Reaches devices by calling them.

    Attributes:
        handlers: Who answers for a device.
        away: Devices that cannot be reached.
        silent: Devices that get no request of such a kind, though they seem to be there.
        late: Devices that get a request of such a kind, but whose reply never comes.
        twice: Every request reaches its device twice; the second reply counts.
        corrupt: What becomes of a device's replies on the way.
        replies: Every reply that came in time, with the kind of its request.
    """

    handlers: Mapping[DeviceId, Handler]
    away: set[DeviceId] = field(default_factory=set)
    silent: set[tuple[DeviceId, type[Request]]] = field(default_factory=set)
    late: set[tuple[DeviceId, type[Request]]] = field(default_factory=set)
    twice: bool = False
    corrupt: dict[DeviceId, Callable[[bytes], bytes]] = field(default_factory=dict)
    replies: list[tuple[type[Request], DeviceId, bytes]] = field(default_factory=list)
    _sent: dict[str, tuple[DeviceId, bytes]] = field(default_factory=dict)
    _count: int = 0

    def devices(self) -> tuple[DeviceId, ...]:
        """Return who is not away."""
        return tuple(sorted(set(self.handlers) - self.away))

    def push(self, requests: Mapping[DeviceId, bytes], *, ttl_s: float) -> dict[str, DeviceId]:
        """Take requests; they are answered when their replies are pulled."""
        assert ttl_s > 0
        tickets = {}
        for device, request in requests.items():
            self._count += 1
            ticket = f"{self._count:08d}"
            self._sent[ticket] = (device, request)
            tickets[ticket] = device
        return tickets

    def pull(self, tickets: Collection[str], *, wait_s: float) -> list[Came]:
        """Ask each device in turn; what is lost on its way is never heard of again."""
        assert wait_s >= 0
        came = []
        for ticket in sorted(set(tickets) & set(self._sent)):
            device, request = self._sent.pop(ticket)
            kind = type(decode(request, *REQUESTS))
            if device in self.away or device not in self.handlers or (device, kind) in self.silent:
                continue
            reply = self._answer(device, request)
            if (device, kind) in self.late:
                continue
            if reply is not None:
                self.replies.append((kind, device, reply))
            came.append(Came(ticket=ticket, device=device, reply=reply))
        return came

    def _answer(self, device: DeviceId, request: bytes) -> bytes | None:
        """Return what a device says; None if it refuses."""
        try:
            for _ in range(2 if self.twice else 1):
                reply = self.handlers[device](request)
        except FieldvoteError:
            return None
        return self.corrupt.get(device, bytes)(reply)
