"""Parcels: many devices' requests, or replies, in one message to or from a gateway."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fieldvote import codec
from fieldvote.codec import IntVector, Record
from fieldvote.errors import WireError
from fieldvote.records import DeviceId

MOST_BYTES = 4 * 1024 * 1024  # of bodies; Flower moves objects in pieces of 5 MiB
_MOST_DEVICES = 16_384  # in one parcel; the codec has room for four times as many

Asked = tuple[DeviceId, bytes]
"""A device, and what it is sent."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Requests:
    """A parcel on its way down.

    Attributes:
        devices: Whom the requests are for, each device once. Shape (c,).
        which: Which of the bodies each is sent. Shape (c,).
        bodies: The requests, each body once.
    """

    devices: IntVector
    which: IntVector
    bodies: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Replies:
    """A parcel on its way up.

    Attributes:
        devices: Who replied. Shape (c,).
        bodies: The replies, in that order.
        done: How many of the requests were worked on, from the first; the rest waits.
    """

    devices: IntVector
    bodies: tuple[bytes, ...]
    done: int


_KINDS: Mapping[int, type] = {1: Requests, 2: Replies}


def encode(parcel: Requests | Replies) -> bytes:
    """Return a parcel's bytes."""
    return codec.encode(parcel, _KINDS)


def decode(blob: bytes, expected: type[Record]) -> Record:
    """Return the parcel in these bytes.

    Raises:
        WireError: the bytes are no such parcel.
    """
    return codec.decode(blob, _KINDS, (expected,))


def take(queue: deque[Asked]) -> list[Asked]:
    """Take from the front what fits into one parcel, and at least one request.

    A body that many devices are sent is in the parcel, and counted, once.
    """
    taken: list[Asked] = []
    bodies: set[bytes] = set()
    size = 0
    while queue and len(taken) < _MOST_DEVICES:
        body = queue[0][1]
        more = 0 if body in bodies else len(body)
        if taken and size + more > MOST_BYTES:
            break
        size += more
        bodies.add(body)
        taken.append(queue.popleft())
    return taken


def pack(asked: Sequence[Asked]) -> Requests:
    """Return a parcel of requests, each body in it once.

    >>> parcel = pack([(DeviceId(7), b"hello"), (DeviceId(8), b"hello"), (DeviceId(9), b"you")])
    >>> parcel.bodies, parcel.which.tolist()
    ((b'hello', b'you'), [0, 0, 1])
    """
    places: dict[bytes, int] = {}
    which = [places.setdefault(body, len(places)) for _, body in asked]
    return Requests(
        devices=np.array([device for device, _ in asked], dtype=np.int64),
        which=np.array(which, dtype=np.int64),
        bodies=tuple(places),
    )


def unpack(parcel: Requests) -> list[Asked]:
    """Undo pack.

    Raises:
        WireError: the parcel names a body it does not hold.

    >>> unpack(pack([(DeviceId(7), b"hello"), (DeviceId(8), b"hello")]))
    [(7, b'hello'), (8, b'hello')]
    """
    if len(parcel.devices) != len(parcel.which) or not _within(parcel.which, len(parcel.bodies)):
        raise WireError(f"a parcel of {len(parcel.devices)} devices does not hold together")
    pairs = zip(parcel.devices.tolist(), parcel.which.tolist(), strict=True)
    return [(DeviceId(device), parcel.bodies[place]) for device, place in pairs]


def _within(places: IntVector, count: int) -> bool:
    """Return whether every place is one of so many."""
    return bool(((places >= 0) & (places < count)).all())
