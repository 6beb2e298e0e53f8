"""How requests reach devices: a seam that Flower fills in deployment and in rehearsal."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from fieldvote.records import DeviceId

_PULL_S = 0.4
_NODES = 1 << 64


def node_of(device: DeviceId) -> int:
    """Return what Flower, and the device in its own status, call a device.

    Flower counts nodes without a sign; a device's id has one, as databases and arrays want it.

    >>> node_of(DeviceId(7)), node_of(DeviceId(-1))
    (7, 18446744073709551615)
    """
    return device % _NODES


@dataclass(frozen=True, slots=True, kw_only=True)
class Came:
    """What became of one request.

    Attributes:
        ticket: Which request.
        device: Who answered.
        reply: The answer; None from a device that refused or failed.
        down: Bytes that were sent for it beside the request.
        up: Bytes that were received for it beside the reply.
    """

    ticket: str
    device: DeviceId
    reply: bytes | None
    down: int = 0
    up: int = 0


class Transport(Protocol):
    """Carries bytes to devices and back; loses some, never invents any."""

    def devices(self) -> tuple[DeviceId, ...]:
        """Return who can be reached now, in ascending order."""

    def push(self, requests: Mapping[DeviceId, bytes], *, ttl_s: float) -> Mapping[str, DeviceId]:
        """Send each device its request, which nobody need answer after ttl_s.

        Returns:
            A ticket for every request that was taken, and the device it goes to.
        """

    def pull(self, tickets: Collection[str], *, wait_s: float) -> Sequence[Came]:
        """Return what came for these tickets since the last look; wait at most so long for any."""


def exchange(
    transport: Transport,
    requests: Mapping[DeviceId, bytes],
    *,
    deadline_s: float,
    now_s: Callable[[], float] = time.monotonic,
) -> dict[DeviceId, bytes]:
    """Send requests and wait for the replies, all of them or those before the deadline.

    A device that refused, failed or was late is missing from the result.
    """
    if not requests:
        return {}
    end_s = now_s() + deadline_s
    waiting = dict(transport.push(requests, ttl_s=deadline_s))
    replies: dict[DeviceId, bytes] = {}
    while waiting:
        left_s = end_s - now_s()
        for came in transport.pull(tuple(waiting), wait_s=min(max(left_s, 0.0), _PULL_S)):
            if waiting.pop(came.ticket, None) == came.device and came.reply is not None:
                replies[came.device] = came.reply
        if left_s <= 0:
            break
    return replies
