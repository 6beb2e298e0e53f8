"""What crosses in secure aggregation: keys of an epoch, and the legs of one summed round.

A device has a *seat*: its place in the roster, from 0. Sets of seats travel as bitmaps, seat 0 in
the lowest bit of the first byte. Masked numbers, sealed shares and pads travel as bytes, since
every pattern of bits is equally likely in them. What each means is said in `privacy/secagg`; which
numbers of which reply are summed, in :mod:`fieldvote.summed_fields`.
"""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRequest:
    """Make a key for this epoch, and sign it.

    Attributes:
        epoch: Greater than any before.
    """

    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochKey:
    """A device's key for agreeing on pair keys, good for one epoch.

    Attributes:
        epoch: Which epoch.
        device: The device's id in the fleet's directory.
        exchange: Public X25519 key.
        signature: By the device's Ed25519 key, over all of the above.
    """

    epoch: int
    device: int
    exchange: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """Who takes part in an epoch, and in what sizes; its digest decides the graph.

    Attributes:
        epoch: Grows from roster to roster.
        robust: Whether survivor sets are confirmed before anything is revealed.
        degree: Partners of each device.
        least_partners: How many of them must be in a cohort and among its survivors.
        keepers: Devices that hold shares.
        threshold: Keepers that open a secret.
        least_cohort: Fewest devices in a sum.
        keys: Sorted by device; the place of a key is its device's seat.
        signature: By the fleet's authority over the digest; empty where a fleet has none.
    """

    epoch: int
    robust: bool
    degree: int
    least_partners: int
    keepers: int
    threshold: int
    least_cohort: int
    keys: tuple[EpochKey, ...]
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterReply:
    """The roster was checked, and this device is in it.

    Attributes:
        roster: Its digest, as the device works it out.
        seat: The device's.
    """

    roster: bytes
    seat: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositRequest:
    """Take part in this round; rides on a check-in.

    Attributes:
        roster: Digest of the roster.
        round: Greater than any before in this epoch.
    """

    roster: bytes
    round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposit:
    """What lets the round go on without a device that vanishes.

    Attributes:
        round: The round answered.
        seat: Who deposits.
        commitment: Hash of the secret that opens the edges.
        shares: That secret's shares, each sealed to its keeper, in the keepers' order.
        edges: Seeds of the masks shared with each partner, under that secret.
    """

    round: int
    seat: int
    commitment: bytes
    shares: bytes
    edges: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SummedRequest:
    """Answer this; what it adds to sums stays with you until it is masked.

    Attributes:
        question: An ordinary request, encoded.
        deposit: The round its sums are made in; None where they are over: what is not in them by
            then waits for a later exchange.
    """

    question: bytes
    deposit: DepositRequest | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SummedReply:
    """An ordinary reply without what is summed, and the way into the sum.

    Attributes:
        clear: The reply, encoded; what is summed is left out of it.
        deposit: None where this device has no part in the sum.
        sections: How many numbers each of the summed fields has, the same for every device.
    """

    clear: bytes
    deposit: Deposit | None
    sections: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskRequest:
    """Send your vector, masked towards this cohort.

    Attributes:
        round: Which round.
        length: Numbers in the vector.
        bound: No number's absolute value is greater.
        word_bytes: 4 or 8; sums are taken modulo 2 to so many bits.
        cohort: Bitmap of the seats that made a deposit.
        about: Names what is summed; there is one sum of a name.
    """

    round: int
    length: int
    bound: int
    word_bytes: int
    cohort: bytes
    about: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedInput:
    """A vector under masks.

    Attributes:
        round: The round answered.
        seat: Who sends.
        words: The masked numbers, little-endian.
        commitment: Hash of the secret the self-mask comes from.
        shares: That secret's shares, each sealed to its keeper, in the keepers' order.
    """

    round: int
    seat: int
    words: bytes
    commitment: bytes
    shares: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmRequest:
    """These survive, says the coordinator: sign it towards the other keepers.

    Attributes:
        round: Which round.
        survivors: Bitmap of the seats whose input is in the sum.
    """

    round: int
    survivors: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """A keeper's word on the one survivor set it was shown.

    Attributes:
        round: The round answered.
        seat: Who confirms.
        tags: One for each keeper, in the keepers' order; only that keeper can check it.
    """

    round: int
    seat: int
    tags: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class UnmaskRequest:
    """Reveal what opens the sum over these survivors.

    Attributes:
        round: Which round.
        survivors: Bitmap of the seats whose input is in the sum.
        confirmed: Bitmap over the keepers, in their order: whose tag follows.
        tags: The tags made for this keeper. Empty in quick rounds.
    """

    round: int
    survivors: bytes
    confirmed: bytes
    tags: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmasking:
    """A keeper's pads, one for each device of the cohort in order of seats.

    Attributes:
        round: The round answered.
        seat: Who reveals.
        pads: For a survivor the pad of its self-mask's share, for any other that of its edges'.
    """

    round: int
    seat: int
    pads: bytes


SumRequest: TypeAlias = (
    EpochRequest | Roster | SummedRequest | MaskRequest | ConfirmRequest | UnmaskRequest
)
SumReply: TypeAlias = EpochKey | RosterReply | SummedReply | MaskedInput | Confirmation | Unmasking
SUM_REQUESTS: tuple[type[SumRequest], ...] = (
    EpochRequest,
    Roster,
    SummedRequest,
    MaskRequest,
    ConfirmRequest,
    UnmaskRequest,
)

# A number once given is never given again.
SUM_KINDS: dict[int, type] = {
    26: EpochKey,
    27: Roster,
    28: DepositRequest,
    29: Deposit,
    30: MaskRequest,
    31: MaskedInput,
    32: ConfirmRequest,
    33: Confirmation,
    34: UnmaskRequest,
    35: Unmasking,
    36: EpochRequest,
    37: RosterReply,
    38: SummedRequest,
    39: SummedReply,
}
