import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError
from fieldvote.rng import keyed_entropy
from privacy.secagg import Parameters, Participant, Summation
from privacy.secagg.masks import ratchet
from privacy.secagg.state import ParticipantState
from tests.privacy.secagg.fleet import Fleet, enrol, everybody

ENTROPY = keyed_entropy(2, "state")


def deposited() -> tuple[Fleet, Summation]:
    fleet = enrol(4, everybody(4, 3))
    round_ = Summation(fleet.epoch, number=2, length=1, bound=5)
    for device in fleet.devices:
        round_.add_deposit(device.deposit(round_.deposit_request(), entropy=ENTROPY))
    return fleet, round_


def test_the_state_comes_back_from_its_bytes_at_every_leg() -> None:
    fleet, round_ = deposited()
    device = fleet.devices[0]
    assert_same(device)
    device.mask(round_.mask_request(), np.array([1]), entropy=ENTROPY)
    assert_same(device)
    for seat in (1, 2, 3):
        answer = fleet.devices[seat].mask(round_.mask_request(), np.array([1]), entropy=ENTROPY)
        round_.add_input(answer)
    assert_same(fleet.devices[1])


def assert_same(device: Participant) -> None:
    blob = device.to_bytes()
    assert Participant.from_bytes(blob).to_bytes() == blob
    assert ParticipantState.from_bytes(blob) == ParticipantState.from_bytes(blob)
    assert Participant.from_bytes(blob).epoch == device.epoch


@given(st.integers(0, 2000), st.integers(0, 255))
@settings(deadline=None, max_examples=200)
def test_bytes_that_are_no_state_are_an_input_error(place: int, value: int) -> None:
    blob = bytearray(enrol_once().to_bytes())
    blob[place % len(blob)] = value
    for damaged in (bytes(blob), bytes(blob[: place % len(blob)])):
        try:
            Participant.from_bytes(damaged)
        except InputError:
            continue


_ONE: list[Participant] = []


def enrol_once() -> Participant:
    if not _ONE:
        _ONE.append(deposited()[0].devices[0])
    return _ONE[0]


def test_keys_of_a_round_that_is_over_are_not_in_the_state() -> None:
    fleet, round_ = deposited()
    device = fleet.devices[0]
    opened = ParticipantState.from_bytes(device.to_bytes()).open
    assert opened is not None
    for other in fleet.devices:
        answer = other.mask(round_.mask_request(), np.array([1]), entropy=ENTROPY)
        round_.add_input(answer)
    for other in fleet.devices:
        round_.add_confirmation(other.confirm(round_.confirm_request()))
    device.unmask(round_.unmask_request(0))
    state = ParticipantState.from_bytes(device.to_bytes())
    assert state.open is None
    assert all(key not in device.to_bytes() for key in opened.keys.values())
    # nor do they follow from what is left: the ratchet turns one way
    later = {1: state.chains[1]}
    for _ in range(50):
        later, key = ratchet(later)
        assert key[1] != opened.keys[1]


def test_a_device_that_keeps_no_shares_is_done_after_its_input() -> None:
    sizes = Parameters(degree=4, least_partners=1, keepers=3, threshold=2)
    fleet = enrol(8, sizes, floors=None)
    round_ = Summation(fleet.epoch, number=0, length=1, bound=5)
    for device in fleet.devices:
        round_.add_deposit(device.deposit(round_.deposit_request(), entropy=ENTROPY))
    for device in fleet.devices:
        device.mask(round_.mask_request(), np.array([1]), entropy=ENTROPY)
        opened = ParticipantState.from_bytes(device.to_bytes()).open
        assert (opened is not None) == device.keeps
    assert sum(device.keeps for device in fleet.devices) == 3


def test_both_ends_of_every_pair_hold_the_same_key_and_nobody_holds_another() -> None:
    sizes = Parameters(degree=2, least_partners=1, keepers=3, threshold=2)
    fleet = enrol(9, sizes, floors=None)
    states = [ParticipantState.from_bytes(device.to_bytes()) for device in fleet.devices]
    graph = fleet.epoch.graph()
    for state in states:
        for peer, chain in state.chains.items():
            assert states[peer].chains[state.seat] == chain
        expected = {*graph.partners(state.seat).tolist(), *graph.keepers.tolist()}
        if state.seat in graph.keepers:
            expected = set(range(9))
        assert set(state.chains) == expected


def test_another_version_of_the_state_is_refused() -> None:
    blob = bytearray(enrol_once().to_bytes())
    blob[1] = 2
    with pytest.raises(InputError):
        Participant.from_bytes(bytes(blob))
