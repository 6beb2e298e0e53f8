"""A transport in memory: what the coordinator sends goes straight to functions that answer.

It can lose what a network loses: a device may be away, silent, late, twice there, or talk rubbish.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

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
        late: Devices that get a request of such a kind, but whose reply misses the deadline.
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

    def devices(self) -> tuple[DeviceId, ...]:
        """Return who is not away."""
        return tuple(sorted(set(self.handlers) - self.away))

    def exchange(
        self, requests: Mapping[DeviceId, bytes], *, deadline_s: float
    ) -> Mapping[DeviceId, bytes]:
        """Ask each device in turn."""
        assert deadline_s > 0
        came = dict(self._answers(requests))
        self.replies += [(_kind(requests[d]), d, reply) for d, reply in came.items()]
        return came

    def _answers(self, requests: Mapping[DeviceId, bytes]) -> Iterator[tuple[DeviceId, bytes]]:
        for device, request in requests.items():
            name = (device, _kind(request))
            if device not in self.handlers or device in self.away or name in self.silent:
                continue
            try:
                for _ in range(2 if self.twice else 1):
                    reply = self.handlers[device](request)
            except FieldvoteError:
                continue
            if name not in self.late:
                yield device, self.corrupt.get(device, bytes)(reply)


def _kind(request: bytes) -> type[Request]:
    return type(decode(request, *REQUESTS))
