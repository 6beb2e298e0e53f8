"""A coordinator that is killed while it opens a sum goes on with what it wrote down."""

import numpy as np
import pytest

from fieldvote.errors import InputError, RefusalError, UnavailableError
from fieldvote.rng import keyed_entropy, stream
from privacy.secagg import Summation
from tests.privacy.secagg.fleet import Fleet, enrol, everybody

ENTROPY = keyed_entropy(12, "kept rounds")
ABOUT = b"the votes of round 3"
DEVICES = 6


def _fleet(*, threshold: int = 4) -> Fleet:
    return enrol(DEVICES, everybody(DEVICES, threshold))


def _masked(fleet: Fleet, *, about: bytes = ABOUT, gone: tuple[int, ...] = ()) -> Summation:
    """Play a round up to its confirmations."""
    made = Summation(fleet.epoch, number=0, length=3, bound=100, about=about)
    for device in fleet.devices:
        made.add_deposit(device.deposit(made.deposit_request(), entropy=ENTROPY))
    for seat, device in enumerate(fleet.devices):
        if seat not in gone:
            values = np.array([seat, 10, -seat])
            made.add_input(device.mask(made.mask_request(), values, entropy=ENTROPY))
    for seat in made.keepers:
        made.add_confirmation(fleet.devices[seat].confirm(made.confirm_request()))
    return made


@pytest.mark.parametrize("gone", [(), (2,)])
def test_a_round_goes_on_from_its_bytes_and_asks_in_the_same_words(gone: tuple[int, ...]) -> None:
    fleet = _fleet()
    made = _masked(fleet, gone=gone)
    again = Summation.from_bytes(fleet.epoch, made.to_bytes())
    assert again.keepers == made.keepers
    for seat in made.keepers:
        assert again.unmask_request(seat) == made.unmask_request(seat)
        again.add_unmasking(fleet.devices[seat].unmask(again.unmask_request(seat)))
    there = [seat for seat in range(DEVICES) if seat not in gone]
    assert again.total().tolist() == [sum(there), 10 * len(there), -sum(there)]
    assert again.to_bytes() == made.to_bytes()


def test_what_was_revealed_before_is_needed_again() -> None:
    fleet = _fleet()
    made = _masked(fleet)
    made.add_unmasking(fleet.devices[0].unmask(made.unmask_request(0)))
    with pytest.raises(UnavailableError, match="0 keepers revealed"):
        Summation.from_bytes(fleet.epoch, made.to_bytes()).total()


def test_bytes_that_are_no_round_are_refused() -> None:
    fleet = _fleet()
    blob = _masked(fleet).to_bytes()
    rng = stream(4, "no round")
    for cut in (0, 1, len(blob) // 2, len(blob) - 1):
        with pytest.raises(InputError):
            Summation.from_bytes(fleet.epoch, blob[:cut])
    for place in rng.integers(0, 40, size=200):
        spoilt = bytearray(blob)
        spoilt[place] ^= int(rng.integers(1, 256))
        try:
            Summation.from_bytes(fleet.epoch, bytes(spoilt))
        except InputError:
            continue  # most are none; the rest are rounds of other numbers


def test_keepers_that_were_told_of_different_sums_open_none() -> None:
    fleet = _fleet()
    made = Summation(fleet.epoch, number=0, length=3, bound=100, about=ABOUT)
    other = Summation(fleet.epoch, number=0, length=3, bound=100, about=b"something else")
    for device in fleet.devices:
        deposit = device.deposit(made.deposit_request(), entropy=ENTROPY)
        made.add_deposit(deposit)
        other.add_deposit(deposit)
    made.mask_request()
    for seat, device in enumerate(fleet.devices):
        asked = (made if seat % 2 else other).mask_request()
        made.add_input(device.mask(asked, np.zeros(3, dtype=np.int64), entropy=ENTROPY))
    for seat in made.keepers:
        made.add_confirmation(fleet.devices[seat].confirm(made.confirm_request()))
    for seat in made.keepers:
        with pytest.raises(RefusalError, match="3 keepers confirm"):
            fleet.devices[seat].unmask(made.unmask_request(seat))
