"""A coordinator that lies during a round.

Each named case is refused, and goes through where its protection is taken out.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from fieldvote.errors import FieldvoteError, RefusalError, WireError
from fieldvote.sums import ConfirmRequest, DepositRequest, MaskRequest, UnmaskRequest
from privacy.secagg import Parameters, Participant, Summation, client, server, survivors
from privacy.secagg.state import ParticipantState
from privacy.secagg.survivors import TAG_BYTES
from tests.privacy.secagg.fleet import enrol
from tests.privacy.secagg.stage import (
    BOUND,
    DEVICES,
    ENTROPY,
    EVERYBODY,
    LENGTH,
    THRESHOLD,
    Stage,
    seats,
)

Patch = pytest.MonkeyPatch


def forget(device: Participant, **changed: object) -> Participant:
    """Return a device that has forgotten something of its open round."""
    state = ParticipantState.from_bytes(device.to_bytes())
    return Participant(replace(state, open=replace(state.open, **changed)))


def two_survivor_sets_confirmed(patch: Patch | None) -> None:
    stage = Stage("confirm")
    stage.victim.confirm(ConfirmRequest(round=5, survivors=seats(*EVERYBODY)))
    if patch:
        stage.victim = forget(stage.victim, survivors=b"")
    stage.victim.confirm(ConfirmRequest(round=5, survivors=seats(0, 1, 2, 3, 4)))


def alive_when_confirmed_and_dead_when_unmasked(patch: Patch | None) -> None:
    stage = Stage("unmask")
    if patch:
        patch.setattr(Participant, "_check_quorum", lambda *_: None)
    asked = stage.round.unmask_request(0)
    stage.victim.unmask(replace(asked, survivors=seats(0, 1, 2, 3, 4)))


def both_pads_of_one_device_in_two_answers(patch: Patch | None) -> None:
    stage = Stage("unmask")
    if patch:
        patch.setattr(Participant, "_check_quorum", lambda *_: None)
    before = stage.victim.to_bytes()
    stage.victim.unmask(stage.round.unmask_request(0))
    again = Participant.from_bytes(before) if patch else stage.victim
    again.unmask(replace(stage.round.unmask_request(0), survivors=seats(0, 1, 2, 3, 4)))


def second_answer_for_the_same_round(patch: Patch | None) -> None:
    stage = Stage("unmask")
    before = stage.victim.to_bytes()
    stage.victim.unmask(stage.round.unmask_request(0))
    again = Participant.from_bytes(before) if patch else stage.victim
    again.unmask(stage.round.unmask_request(0))


def second_input_for_the_same_round(patch: Patch | None) -> None:
    stage = Stage("mask")
    before = stage.victim.to_bytes()
    stage.victim.mask(stage.asked, stage.values[0], entropy=ENTROPY)
    again = Participant.from_bytes(before) if patch else stage.victim
    again.mask(replace(stage.asked, cohort=seats(0, 1, 2, 3, 4)), stage.values[0], entropy=ENTROPY)


def replayed_round(patch: Patch | None) -> None:
    stage = Stage("unmask")
    if patch:
        state = ParticipantState.from_bytes(stage.victim.to_bytes())
        stage.victim = Participant(replace(state, next_round=0))
    stage.victim.deposit(DepositRequest(roster=stage.fleet.epoch.digest, round=5), entropy=ENTROPY)


def a_leap_of_rounds_that_never_ends(patch: Patch | None) -> None:
    stage = Stage("deposit")
    if patch:
        patch.setattr(client, "MAX_ROUNDS_SLEPT", 1 << 62)
        patch.setattr(client, "_advance", lambda chains, ahead: (dict(chains), dict(chains)))
    asked = DepositRequest(roster=stage.fleet.epoch.digest, round=1 << 60)
    stage.victim.deposit(asked, entropy=ENTROPY)


def cohort_of_one(patch: Patch | None) -> None:
    cohort(patch, 0)


def too_small_cohort(patch: Patch | None) -> None:
    cohort(patch, 0, 1, 2, 3)


def cohort_without_the_device(patch: Patch | None) -> None:
    cohort(patch, 1, 2, 3, 4, 5)


def cohort(patch: Patch | None, *present: int) -> None:
    stage = Stage("mask")
    if patch:
        patch.setattr(Participant, "_check_present", lambda *_: None)
    asked = replace(stage.asked, cohort=seats(*present))
    stage.victim.mask(asked, stage.values[0], entropy=ENTROPY)


def too_few_survivors(patch: Patch | None) -> None:
    survivor_set(patch, 0, 1)


def told_dead_though_it_answered(patch: Patch | None) -> None:
    survivor_set(patch, 1, 2, 3, 4, 5)


def survivor_set(patch: Patch | None, *present: int) -> None:
    stage = Stage("confirm")
    if patch:
        patch.setattr(Participant, "_check_present", lambda *_: None)
    stage.victim.confirm(ConfirmRequest(round=5, survivors=seats(*present)))


def a_survivor_from_outside_the_cohort(patch: Patch | None) -> None:
    stage = Stage("mask")
    asked = replace(stage.asked, cohort=seats(0, 1, 2, 3, 4))
    stage.victim.mask(asked, stage.values[0], entropy=ENTROPY)
    if patch:
        stage.victim = forget(stage.victim, cohort=seats(*EVERYBODY))
    stage.victim.confirm(ConfirmRequest(round=5, survivors=seats(*EVERYBODY)))


def all_partners_of_one_device_declared_gone(patch: Patch | None) -> None:
    sizes = Parameters(degree=2, least_partners=1, keepers=DEVICES, threshold=3)
    fleet = enrol(DEVICES, sizes, least_cohort=3, floors=None)
    round_ = Summation(fleet.epoch, number=0, length=LENGTH, bound=BOUND)
    for device in fleet.devices:
        round_.add_deposit(device.deposit(round_.deposit_request(), entropy=ENTROPY))
    zeros = np.zeros(LENGTH, dtype=np.int64)
    for device in fleet.devices:
        device.mask(round_.mask_request(), zeros, entropy=ENTROPY)
    ring = fleet.epoch.graph().ring.tolist()
    present = [ring[place] for place in (0, 2, 3, 4)]  # whoever sits at 0 keeps no partner
    keeper = fleet.devices[ring[3]]
    if patch:
        check = Participant._check_present
        patch.setattr(
            Participant,
            "_check_present",
            lambda self, present, whose: check(self, present, np.array([self.seat])),
        )
    keeper.confirm(ConfirmRequest(round=0, survivors=seats(*present)))


def unmask_before_anything_is_confirmed(patch: Patch | None) -> None:
    stage = Stage("confirm")
    if patch:
        quick = replace(stage.fleet.epoch, robust=False)
        state = ParticipantState.from_bytes(stage.victim.to_bytes())
        stage.victim = Participant(replace(state, epoch=quick))
    stage.victim.unmask(stage.round.unmask_request(0))


def too_few_confirmations(patch: Patch | None) -> None:
    confirmations(patch, "threshold", kept=THRESHOLD - 2, change=lambda tag: tag)


def forged_survivor_signatures(patch: Patch | None) -> None:
    confirmations(patch, "count", kept=DEVICES - 1, change=lambda tag: bytes(len(tag)))


def confirmations(
    patch: Patch | None, without: str, *, kept: int, change: Callable[[bytes], bytes]
) -> None:
    stage = Stage("unmask")
    asked = stage.round.unmask_request(0)
    tags = [change(asked.tags[TAG_BYTES * i : TAG_BYTES * (i + 1)]) for i in range(kept)]
    if patch and without == "count":
        patch.setattr(client, "count_valid_tags", lambda tags, *_, **__: len(tags))
    elif patch:
        patch.setattr(client, "count_valid_tags", lambda *_, **__: DEVICES)
    lie = replace(asked, confirmed=seats(*range(1, kept + 1)), tags=b"".join(tags))
    stage.victim.unmask(lie)


def reflected_survivor_signatures(patch: Patch | None) -> None:
    if patch:  # tags that do not say who speaks to whom
        tag = survivors.view_tag
        for module in (client, survivors):
            patch.setattr(
                module, "view_tag", lambda key, view, **_: tag(key, view, signer=0, reader=0)
            )
    stage = Stage("confirm")
    own = stage.victim.confirm(stage.round.confirm_request()).tags
    lie = UnmaskRequest(
        round=5,
        survivors=seats(*EVERYBODY),
        confirmed=seats(1, 2, 3, 4, 5),
        tags=own[TAG_BYTES:],
    )
    stage.victim.unmask(lie)


def confirmations_of_another_survivor_set(patch: Patch | None) -> None:
    stage = Stage("confirm")
    stage.victim.confirm(ConfirmRequest(round=5, survivors=seats(*EVERYBODY)))
    for device in stage.devices[1:5]:
        other = ConfirmRequest(round=5, survivors=seats(0, 1, 2, 3, 4))
        stage.round.add_confirmation(device.confirm(other))
    if patch:
        patch.setattr(client, "count_valid_tags", lambda tags, *_, **__: len(tags))
    stage.victim.unmask(stage.round.unmask_request(0))


def lying_about_the_range(patch: Patch | None) -> None:
    stage = Stage("mask")
    if patch:
        patch.setattr(client, "_check_range", lambda *_: None)
    lie = replace(stage.asked, bound=1 << 29, word_bytes=4)
    stage.victim.mask(lie, stage.values[0], entropy=ENTROPY)


def a_range_the_device_does_not_keep_to(patch: Patch | None) -> None:
    stage = Stage("mask")
    if patch:
        words = np.zeros(LENGTH, dtype=np.uint32)
        patch.setattr(client, "to_words", lambda *_, **__: words)
    lie = replace(stage.asked, bound=10)
    stage.victim.mask(lie, np.full(LENGTH, 11, dtype=np.int64), entropy=ENTROPY)


def poisoned_shares(patch: Patch | None) -> None:
    stage = Stage("unmask")
    if patch:
        patch.setattr(server, "opens", lambda *_: True)
        patch.setattr(server, "from_words", lambda words, **_: words)
    for seat in range(THRESHOLD):
        reply = stage.devices[seat].unmask(stage.round.unmask_request(seat))
        if seat == 1:
            reply = replace(reply, pads=bytes(len(reply.pads)))
        stage.round.add_unmasking(reply)
    assert not np.array_equal(stage.round.total(), sum(stage.values))


def another_roster_than_the_device_checked(patch: Patch | None) -> None:
    stage = Stage("deposit")
    other = bytes(32)
    if patch:
        state = ParticipantState.from_bytes(stage.victim.to_bytes())
        stage.victim = Participant(replace(state, epoch=replace(state.epoch, digest=other)))
    stage.victim.deposit(DepositRequest(roster=other, round=5), entropy=ENTROPY)


CASES: list[Callable[[Patch | None], None]] = [
    two_survivor_sets_confirmed,
    alive_when_confirmed_and_dead_when_unmasked,
    both_pads_of_one_device_in_two_answers,
    second_answer_for_the_same_round,
    second_input_for_the_same_round,
    replayed_round,
    a_leap_of_rounds_that_never_ends,
    cohort_of_one,
    too_small_cohort,
    cohort_without_the_device,
    too_few_survivors,
    told_dead_though_it_answered,
    a_survivor_from_outside_the_cohort,
    all_partners_of_one_device_declared_gone,
    unmask_before_anything_is_confirmed,
    too_few_confirmations,
    forged_survivor_signatures,
    reflected_survivor_signatures,
    confirmations_of_another_survivor_set,
    lying_about_the_range,
    a_range_the_device_does_not_keep_to,
    poisoned_shares,
    another_roster_than_the_device_checked,
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


LIES: list[Callable[[Participant], object]] = [
    lambda device: device.deposit(DepositRequest(roster=bytes(32), round=9), entropy=ENTROPY),
    lambda device: device.mask(
        MaskRequest(round=5, length=LENGTH, bound=9, word_bytes=4, cohort=seats(0)),
        np.zeros(LENGTH, dtype=np.int64),
        entropy=ENTROPY,
    ),
    lambda device: device.confirm(ConfirmRequest(round=5, survivors=seats(0))),
    lambda device: device.unmask(
        UnmaskRequest(round=5, survivors=seats(0), confirmed=seats(), tags=b"")
    ),
]


@pytest.mark.parametrize("leg", ["deposit", "mask", "confirm", "unmask"])
@pytest.mark.parametrize("lie", LIES)
def test_a_refusal_changes_nothing(leg: str, lie: Callable[[Participant], object]) -> None:
    victim = Stage(leg).victim
    before = victim.to_bytes()
    with pytest.raises(FieldvoteError):
        lie(victim)
    assert victim.to_bytes() == before


@pytest.mark.parametrize("bitmap", [b"", b"\xff", b"\x3f\x00"])
def test_a_bitmap_that_is_no_set_of_seats_is_a_wire_error(bitmap: bytes) -> None:
    stage = Stage("confirm")
    with pytest.raises(WireError):
        stage.victim.confirm(ConfirmRequest(round=5, survivors=bitmap))


def test_one_lying_keeper_costs_no_sum_while_another_can_stand_in() -> None:
    stage = Stage("unmask")
    for seat in range(THRESHOLD + 1):
        reply = stage.devices[seat].unmask(stage.round.unmask_request(seat))
        if seat == 2:
            reply = replace(reply, pads=bytes(len(reply.pads)))
        stage.round.add_unmasking(reply)
    assert np.array_equal(stage.round.total(), sum(stage.values))
