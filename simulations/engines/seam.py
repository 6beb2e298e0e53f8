"""What an engine is: it sets the devices up somewhere and carries messages to them and back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from coordinator.transport import Transport
from simulations.population import Population

T = TypeVar("T")


@dataclass(slots=True)
class Traffic:
    """Bytes that crossed, whole messages as Flower sends them, one message for each device.

    Attributes:
        up: From devices to the coordinator.
        down: From the coordinator to devices.
        replies: How many replies came up.
    """

    up: int = 0
    down: int = 0
    replies: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What some devices gave away in one campaign; adding two is adding their parts.

    Attributes:
        traffic: Bytes that crossed.
        spent: Bytes by kind, from the devices' own ledgers.
        candidates: Items shipped.
        sent: Everything that crossed upwards, as it was on the wire.
        workers_mb: Largest memory of processes beside this one, summed over them.
        micro_rho: Most privacy any of them has spent.
    """

    traffic: Traffic = field(default_factory=Traffic)
    spent: Mapping[str, int] = field(default_factory=dict)
    candidates: int = 0
    sent: tuple[bytes, ...] = ()
    workers_mb: int = 0
    micro_rho: int = 0

    def __add__(self, other: "Account") -> "Account":
        """Return the account of both groups of devices."""
        mine, theirs = self.traffic, other.traffic
        kinds = dict.fromkeys((*self.spent, *other.spent))
        return Account(
            traffic=Traffic(
                up=mine.up + theirs.up,
                down=mine.down + theirs.down,
                replies=mine.replies + theirs.replies,
            ),
            spent={kind: self.spent.get(kind, 0) + other.spent.get(kind, 0) for kind in kinds},
            candidates=self.candidates + other.candidates,
            sent=self.sent + other.sent,
            workers_mb=self.workers_mb + other.workers_mb,
            micro_rho=max(self.micro_rho, other.micro_rho),
        )


Carry = Callable[[Callable[[Transport], None]], Account]
"""Sets every device up anew, lends whoever drives a campaign a transport to them, and accounts."""


class Engine(Protocol):
    """A place for devices to be."""

    def __call__(self, population: Population, work: Callable[[Carry], T], /) -> T:
        """Return what work makes of a way to carry campaigns, which ends when work does."""
