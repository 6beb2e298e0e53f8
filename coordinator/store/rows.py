"""What the store hands out: rows as values."""

from dataclasses import dataclass

from fieldvote.records import DeviceId


def message_name(round_number: int, phase: str, device: DeviceId) -> str:
    """Return what a reply is called in the inbox.

    >>> message_name(3, "survey", DeviceId(7))
    '3/survey/7'
    """
    return f"{round_number}/{phase}/{device}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDevice:
    """A device that has introduced itself."""

    id: DeviceId
    evaluates: bool
    items: int
    signing_key: bytes
    sealing_key: bytes
    teaches: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredOffer:
    """An offer with the device that made it."""

    device: DeviceId
    item: bytes
    arm: int
    score: int
    predicted: int
    sketch: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCandidate:
    """A sealed candidate as it came in."""

    item: bytes
    device: DeviceId
    arm: int
    envelope: bytes
