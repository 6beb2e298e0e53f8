"""What crosses in secure aggregation: keys of an epoch, and the legs of one summed round.

A device has a *seat*: its place in the roster, from 0. Sets of seats travel as bitmaps, seat 0 in
the lowest bit of the first byte. Masked numbers, sealed shares and pads travel as bytes, since
every pattern of bits is equally likely in them. What each means is said in `privacy/secagg`.
"""

from dataclasses import dataclass


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
class MaskRequest:
    """Send your vector, masked towards this cohort.

    Attributes:
        round: Which round.
        length: Numbers in the vector.
        bound: No number's absolute value is greater.
        word_bytes: 4 or 8; sums are taken modulo 2 to so many bits.
        cohort: Bitmap of the seats that made a deposit.
    """

    round: int
    length: int
    bound: int
    word_bytes: int
    cohort: bytes


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
