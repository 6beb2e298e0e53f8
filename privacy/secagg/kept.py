"""Reading back what a coordinator wrote down of a round; what is none is a ValueError."""

from collections.abc import Collection

from fieldvote.sums import Deposit
from privacy.secagg.roster import Epoch


def part_of(value: object) -> bytes:
    """Return bytes that are bytes."""
    if type(value) is not bytes:
        raise ValueError("not bytes")
    return value


def boxes_of(parts: list[object]) -> tuple[bytes, bytes]:
    """Return a commitment and its boxes."""
    committed, boxes = parts
    return part_of(committed), part_of(boxes)


def deposit_of(parts: list[object]) -> Deposit:
    """Return a deposit."""
    number, seat, committed, shares, edges = parts
    if type(number) is not int or type(seat) is not int:
        raise ValueError("not a deposit")
    return Deposit(
        round=number,
        seat=seat,
        commitment=part_of(committed),
        shares=part_of(shares),
        edges=part_of(edges),
    )


def check_seats(epoch: Epoch, seats: Collection[object], *, of: Collection[int]) -> None:
    """Check that these are seats of an epoch, each one of those."""
    if len(seats) > epoch.devices or any(type(each) is not int for each in seats):
        raise ValueError("not seats")
    if not set(seats) <= set(of):
        raise ValueError("seats of somebody else")
