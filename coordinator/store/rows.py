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


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """What one person said of one item.

    Attributes:
        item: Which item.
        annotator: A pseudonym.
        label: The class.
        expert: Whether it decides a dispute.
        price: What it cost, in the campaign's currency; kept in whole millionths.
        guideline: Version of what they had read.
    """

    item: bytes
    annotator: str
    label: int
    expert: bool = False
    price: float = 0.0
    guideline: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a round's items may yet take from the budget.

    Attributes:
        items: Items without a label that wait for people, or may still come from their devices.
        answers: Answers that were given and that no round has counted.
        micro: What those cost, in millionths.
    """

    items: int
    answers: int
    micro: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLabel:
    """What people's answers to one item came to.

    Attributes:
        item: Which item.
        label: The class.
        method: How answers became it.
        agreement: Share of the annotators who said so, in millionths.
        envelope: The answer, sealed for its device.
    """

    item: bytes
    label: int
    method: str = "one answer"
    agreement: int = 1_000_000
    envelope: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptLabel:
    """A label with where it came from.

    Attributes:
        label: What was kept.
        round: The round that asked.
        device: Whose item it is.
        at: When it became a label.
        counted: The first round that trained with it; None before.
        delivered: Whether its device has taken it.
        answers: What each person said and when, the earliest first.
    """

    label: StoredLabel
    round: int
    device: DeviceId
    at: str
    counted: int | None
    delivered: bool
    answers: tuple[tuple[Annotation, str], ...]
