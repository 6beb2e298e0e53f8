"""A coordinator that lies about an epoch: its devices, its keys, its sizes.

Each named case is refused, and goes through where its protection is taken out.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from fieldvote.errors import RefusalError
from fieldvote.rng import keyed_entropy
from fieldvote.sums import Roster
from privacy.sealing.keys import SealingKey, SigningKey
from privacy.secagg import (
    Floors,
    Parameters,
    Participant,
    check_roster,
    client,
    floors,
    make_roster,
    roster,
    sign_epoch_key,
)
from tests.privacy.secagg.fleet import Fleet, enrol, everybody

ENTROPY = keyed_entropy(12, "malicious rosters")
Patch = pytest.MonkeyPatch
FLOORS = Floors(max_corrupt=0.2, least_cohort=5, least_threshold=3, least_sum=3)


@dataclass(frozen=True, slots=True)
class Offer:
    """A roster as the coordinator changed it."""

    roster: Roster
    fleet: Fleet
    floors: Floors = FLOORS
    newer_than: int = 0
    authority: bytes | None = None


def judge(offer: Offer) -> None:
    check_roster(
        offer.roster,
        directory=offer.fleet.directory,
        floors=offer.floors,
        newer_than=offer.newer_than,
        authority=offer.authority,
    )


def honest(sizes: Parameters | None = None, least_cohort: int = 5, robust: bool = True) -> Offer:
    fleet = enrol(
        8, sizes or everybody(8, 6, 4), least_cohort=least_cohort, robust=robust, floors=None
    )
    return Offer(fleet.roster, fleet)


def test_the_roster_of_an_honest_coordinator_is_accepted() -> None:
    judge(honest())


def substituted_key(patch: Patch | None) -> None:
    offer = honest()
    mine = SealingKey.generate(ENTROPY).public
    keys = (replace(offer.roster.keys[0], exchange=mine), *offer.roster.keys[1:])
    if patch:
        patch.setattr(roster, "check_epoch_key", lambda *_: None)
    judge(replace(offer, roster=replace(offer.roster, keys=keys)))


def ghost_that_fills_the_cohort(patch: Patch | None) -> None:
    offer = honest()
    ghost = sign_epoch_key(
        epoch=1,
        device=999,
        exchange=SealingKey.generate(ENTROPY).public,
        signer=SigningKey.generate(ENTROPY),
    )
    if patch:
        patch.setattr(roster, "check_epoch_key", lambda *_: None)
    with_ghost = replace(
        offer.roster, degree=8, keepers=9, threshold=7, keys=(*offer.roster.keys, ghost)
    )
    judge(replace(offer, roster=with_ghost))


def one_device_twice(patch: Patch | None) -> None:
    offer = honest()
    twice = replace(
        offer.roster,
        degree=8,
        keepers=9,
        threshold=7,
        keys=(offer.roster.keys[0], *offer.roster.keys),
    )
    if patch:  # as if it were another device
        keys = [replace(key, device=i) for i, key in enumerate(twice.keys)]
        keys[0] = replace(keys[0], exchange=bytes(32))
        patch.setattr(roster, "check_epoch_key", lambda *_: None)
        twice = replace(twice, keys=tuple(keys))
    judge(replace(offer, roster=twice))


def key_of_an_earlier_epoch(patch: Patch | None) -> None:
    offer = honest()
    old = enrol(8, everybody(8, 6, 4), number=0, floors=None).roster.keys[0]
    if patch:
        patch.setattr(roster, "check_epoch_key", lambda *_: None)
    keys = (old, *offer.roster.keys[1:])
    judge(replace(offer, roster=replace(offer.roster, keys=keys)))


def replayed_epoch(patch: Patch | None) -> None:
    judge(replace(honest(), newer_than=0 if patch else 1))


def threshold_one(patch: Patch | None) -> None:
    offer = honest(everybody(8, 1, 4))
    if patch:
        patch.setattr(floors, "insecurity", lambda *_, **__: 0)
        offer = replace(offer, floors=replace(offer.floors, least_threshold=1))
    judge(offer)


def threshold_that_corrupt_keepers_split(patch: Patch | None) -> None:
    offer = honest(everybody(8, 5, 4))  # 2 of 8 may be corrupt: 2t = 10 = keepers + corrupt
    if patch:
        offer = replace(offer, floors=replace(offer.floors, max_corrupt=0.1))
    judge(offer)


def wrong_graph_in_which_a_device_may_be_surrounded(patch: Patch | None) -> None:
    offer = honest(Parameters(degree=2, least_partners=1, keepers=8, threshold=6))
    if patch:
        patch.setattr(floors, "insecurity", lambda *_, **__: 0)
    judge(offer)


def cohorts_below_the_floor(patch: Patch | None) -> None:
    offer = honest(least_cohort=4)
    if patch:
        offer = replace(offer, floors=replace(offer.floors, least_cohort=3, least_sum=2))
    judge(offer)


def cohorts_that_corrupt_devices_nearly_fill(patch: Patch | None) -> None:
    offer = honest()
    strict = replace(offer.floors, least_sum=4 if not patch else 3)
    judge(replace(offer, floors=strict))


def quick_rounds_where_confirmed_ones_are_asked_for(patch: Patch | None) -> None:
    offer = honest(robust=False)
    judge(replace(offer, floors=replace(offer.floors, quick=patch is not None)))


def roster_the_authority_did_not_sign(patch: Patch | None) -> None:
    offer, authority = honest(), SigningKey.generate(ENTROPY)
    signed = make_roster(
        offer.roster.keys, sizes=everybody(8, 6, 4), least_cohort=5, authority=authority
    )
    lie = replace(offer.roster, signature=signed.signature if patch else bytes(64))
    judge(replace(offer, roster=lie, authority=authority.public))


def another_roster_enrolled_in_than_was_checked(patch: Patch | None) -> None:
    offer = honest()
    mine = SealingKey.generate(ENTROPY).public
    first, second, *others = offer.roster.keys
    lie = replace(offer.roster, keys=(first, replace(second, exchange=mine), *others))
    if patch:
        patch.setattr(client, "roster_digest", lambda _: offer.fleet.epoch.digest)
    Participant.enrol(offer.fleet.epoch, lie, device=100, secret=offer.fleet.secrets[0])


def own_key_replaced_in_the_roster(patch: Patch | None) -> None:
    offer = honest()
    secret = offer.fleet.secrets[0 if patch else 1]
    Participant.enrol(offer.fleet.epoch, offer.roster, device=100, secret=secret)


CASES: list[Callable[[Patch | None], None]] = [
    substituted_key,
    ghost_that_fills_the_cohort,
    one_device_twice,
    key_of_an_earlier_epoch,
    replayed_epoch,
    threshold_one,
    threshold_that_corrupt_keepers_split,
    wrong_graph_in_which_a_device_may_be_surrounded,
    cohorts_below_the_floor,
    cohorts_that_corrupt_devices_nearly_fill,
    quick_rounds_where_confirmed_ones_are_asked_for,
    roster_the_authority_did_not_sign,
    another_roster_enrolled_in_than_was_checked,
    own_key_replaced_in_the_roster,
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_lying_coordinator_is_refused(case: Callable[[Patch | None], None]) -> None:
    with pytest.raises(RefusalError):
        case(None)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_without_its_protection_the_same_lie_goes_through(
    case: Callable[[Patch | None], None], monkeypatch: Patch
) -> None:
    case(monkeypatch)


@pytest.mark.parametrize(
    "change", [{"keepers": 9}, {"degree": 5}, {"degree": 8}, {"threshold": 0}, {"threshold": 9}]
)
def test_sizes_that_make_no_graph_are_refused(change: dict[str, int]) -> None:
    offer = honest()
    with pytest.raises(RefusalError, match="contradict"):
        judge(replace(offer, roster=replace(offer.roster, **change)))


def test_a_key_of_low_order_is_refused() -> None:
    fleet = enrol(3, everybody(3, 2))
    keys = (fleet.roster.keys[0], replace(fleet.roster.keys[1], exchange=bytes(32)))
    lie = replace(fleet.roster, keys=(*keys, fleet.roster.keys[2]))
    epoch = replace(fleet.epoch, digest=roster.roster_digest(lie))
    with pytest.raises(RefusalError, match="low order"):
        Participant.enrol(epoch, lie, device=100, secret=fleet.secrets[0])
