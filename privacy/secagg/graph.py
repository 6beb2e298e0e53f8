"""Who masks with whom and who keeps shares: derived from the roster's digest, by everybody.

The coordinator chooses none of it. Version 1, for n seats, all numbers little-endian:

- ``draw(label)``: the first 8 n bytes of SHAKE-256("fieldvote secagg graph 1 " ‖ label ‖ digest)
  read as n numbers of 64 bits; the seats sorted by them, ties by seat.
- *Ring:* ``draw("ring")`` is the order in which seats sit in a ring. The partners of a seat are the
  degree / 2 seats before it and as many after it; all others where the degree is n - 1.
- *Keepers:* the first entries of ``draw("keepers")``, as many as there are keepers, sorted. The
  place in that list, from 1, is the point at which a keeper's shares are evaluated.

A change of any of this is another version and another label; test vectors hold this one.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import shake_256

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError
from privacy.secagg.parameters import Parameters

DOMAIN = b"fieldvote secagg graph 1 "

Seats = NDArray[np.int64]
Present = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Graph:
    """The graph of one epoch.

    Attributes:
        devices: How many seats.
        degree: Partners of each seat.
        ring: Seats in the order of the ring. Shape (devices,).
        keepers: Seats that keep shares, sorted. Shape (keepers,).
        places: Place in the ring by seat; the inverse of ring. Shape (devices,).
    """

    devices: int
    degree: int
    ring: Seats
    keepers: Seats
    places: Seats = field(init=False)

    def __post_init__(self) -> None:
        places = np.empty(self.devices, dtype=np.int64)
        places[self.ring] = np.arange(self.devices)
        for array in (self.ring, self.keepers, places):
            array.setflags(write=False)  # one graph serves every device of a rehearsal
        object.__setattr__(self, "places", places)

    def partners(self, seat: int) -> Seats:
        """Return the partners of a seat, sorted. Shape (degree,)."""
        if self.degree == self.devices - 1:
            return np.delete(np.arange(self.devices), seat)
        half = self.degree // 2
        steps = np.concatenate([np.arange(-half, 0), np.arange(1, half + 1)])
        partners: Seats = np.sort(self.ring[(self.places[seat] + steps) % self.devices])
        return partners

    def partners_present(self, present: Present) -> Seats:
        """Count for every seat how many of its partners are present. Shape (devices,)."""
        if self.degree == self.devices - 1:
            return np.int64(present.sum()) - present.astype(np.int64)
        half = self.degree // 2
        around = present[self.ring].astype(np.int64)
        # a window over the ring, as the difference of two running sums
        running = np.cumsum(np.concatenate([[0], around[-half:], around, around[:half]]))
        windows = running[2 * half + 1 :] - running[: -2 * half - 1] - around
        counts: Seats = windows[self.places]
        return counts


@lru_cache(maxsize=8)
def derive_graph(digest: bytes, *, devices: int, sizes: Parameters) -> Graph:
    """Return the graph of the roster with this digest.

    Raises:
        InputError: no such graph exists.

    >>> sizes = Parameters(degree=2, least_partners=1, keepers=3, threshold=2)
    >>> graph = derive_graph(bytes(32), devices=6, sizes=sizes)
    >>> graph.keepers.tolist(), graph.partners(0).tolist()
    ([1, 4, 5], [4, 5])
    """
    check_sizes(devices, sizes)
    return Graph(
        devices=devices,
        degree=sizes.degree,
        ring=_draw(b"ring", digest, devices),
        keepers=np.sort(_draw(b"keepers", digest, devices)[: sizes.keepers]),
    )


def check_sizes(devices: int, sizes: Parameters) -> None:
    """Return if so many devices have a graph of these sizes.

    Raises:
        InputError: they have none.
    """
    complete = sizes.degree == devices - 1
    ring = sizes.degree < devices and sizes.degree % 2 == 0
    if sizes.keepers > devices or not (complete or ring):
        raise InputError(
            f"{devices} devices have no graph of degree {sizes.degree} with {sizes.keepers} keepers"
        )


def _draw(label: bytes, digest: bytes, devices: int) -> Seats:
    """Return all seats in an order that nobody chose."""
    stream = shake_256(DOMAIN + label + digest).digest(8 * devices)
    return np.argsort(np.frombuffer(stream, dtype="<u8"), kind="stable").astype(np.int64)
