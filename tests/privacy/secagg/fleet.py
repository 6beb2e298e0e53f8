"""A whole fleet in memory, and one round of it with devices vanishing where a test says so."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fieldvote.codec import decode, encode
from fieldvote.rng import keyed_entropy
from fieldvote.sums import (
    Confirmation,
    ConfirmRequest,
    Deposit,
    DepositRequest,
    EpochKey,
    MaskedInput,
    MaskRequest,
    Roster,
    Unmasking,
    UnmaskRequest,
)
from privacy.sealing.keys import SealingKey, SigningKey
from privacy.secagg import (
    Epoch,
    Floors,
    Parameters,
    Participant,
    Summation,
    check_roster,
    make_roster,
    sign_epoch_key,
)
from privacy.secagg.roster import roster_digest

Message = TypeVar("Message")

# Floors of a fleet of a few devices; what a test is about it sets itself.
SMALL = Floors(max_corrupt=0.0, least_cohort=2, least_threshold=1, least_sum=2)

WIRE: dict[int, type] = {
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
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Devices with their identities, enrolled in one epoch."""

    signers: tuple[SigningKey, ...]
    secrets: tuple[SealingKey, ...]
    directory: dict[int, bytes]
    roster: Roster
    epoch: Epoch
    devices: list[Participant] = field(default_factory=list)


def everybody(devices: int, threshold: int, least_partners: int = 1) -> Parameters:
    """Return the sizes of a complete graph in which everybody keeps shares."""
    return Parameters(
        degree=devices - 1, least_partners=least_partners, keepers=devices, threshold=threshold
    )


def enrol(
    devices: int,
    sizes: Parameters,
    *,
    least_cohort: int = 2,
    robust: bool = True,
    floors: Floors | None = SMALL,
    number: int = 1,
) -> Fleet:
    """Return a fleet enrolled in an epoch; without floors the devices accept any sizes."""
    entropy = keyed_entropy(7, "fleet", devices, number)
    signers = tuple(SigningKey.generate(entropy) for _ in range(devices))
    secrets = tuple(SealingKey.generate(entropy) for _ in range(devices))
    keys = [
        sign_epoch_key(epoch=number, device=100 + i, exchange=secret.public, signer=signer)
        for i, (secret, signer) in enumerate(zip(secrets, signers, strict=True))
    ]
    roster = make_roster(keys, sizes=sizes, least_cohort=least_cohort, robust=robust)
    directory = {100 + i: signer.public for i, signer in enumerate(signers)}
    epoch = Epoch(
        number=number,
        digest=roster_digest(roster),
        devices=devices,
        sizes=sizes,
        least_cohort=least_cohort,
        robust=robust,
    )
    if floors is not None:
        checked = check_roster(roster, directory=directory, floors=floors, newer_than=0)
        assert checked == epoch
    return Fleet(
        signers=signers,
        secrets=secrets,
        directory=directory,
        roster=roster,
        epoch=epoch,
        devices=[
            Participant.enrol(epoch, roster, device=100 + i, secret=secret)
            for i, secret in enumerate(secrets)
        ],
    )


def sent(message: Message) -> Message:
    """Return a message as it comes out of the wire."""
    return decode(encode(message, WIRE), WIRE, (type(message),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """Who vanishes before which leg."""

    deposit: Collection[int] = ()
    mask: Collection[int] = ()
    confirm: Collection[int] = ()
    unmask: Collection[int] = ()


def play(
    fleet: Fleet,
    values: Sequence[NDArray[np.int64]],
    *,
    number: int,
    bound: int,
    losses: Losses | None = None,
    killed: bool = False,
) -> tuple[NDArray[np.int64], tuple[int, ...]]:
    """Play one round; return the sum and the seats in it.

    Args:
        fleet: Enrolled devices.
        values: One vector for each seat.
        number: The round's number.
        bound: As announced.
        losses: Who vanishes when.
        killed: Whether every device dies and is started again between legs, and every message goes
            over the wire.
    """
    losses = losses or Losses()
    gone: set[int] = set()
    entropy = keyed_entropy(number, "round")
    carry = sent if killed else lambda message: message

    def left(losing: Collection[int], seats: Sequence[int]) -> list[int]:
        gone.update(losing)
        if killed:
            for seat in range(len(fleet.devices)):
                fleet.devices[seat] = Participant.from_bytes(fleet.devices[seat].to_bytes())
        return [seat for seat in seats if seat not in gone]

    round_ = Summation(fleet.epoch, number=number, length=len(values[0]), bound=bound)
    seats = range(len(fleet.devices))
    asked = carry(round_.deposit_request())
    for seat in left(losses.deposit, seats):
        round_.add_deposit(carry(fleet.devices[seat].deposit(asked, entropy=entropy)))
    cohort = left((), seats)
    asked = carry(round_.mask_request())
    for seat in left(losses.mask, cohort):
        answer = fleet.devices[seat].mask(asked, values[seat], entropy=entropy)
        round_.add_input(carry(answer))
    asked = carry(round_.confirm_request())
    if fleet.epoch.robust:
        for seat in left(losses.confirm, round_.keepers):
            round_.add_confirmation(carry(fleet.devices[seat].confirm(asked)))
    for seat in left(losses.unmask, round_.keepers):
        asked = carry(round_.unmask_request(seat))
        round_.add_unmasking(carry(fleet.devices[seat].unmask(asked)))
    return round_.total(), round_.survivors
