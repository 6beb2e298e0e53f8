"""What the coordinator refuses from devices, and when it has too few of them."""

from dataclasses import replace

import numpy as np
import pytest

from fieldvote.errors import InputError, RefusalError, UnavailableError, WireError
from fieldvote.rng import keyed_entropy
from privacy.secagg import Summation
from tests.privacy.secagg.fleet import enrol, everybody

ENTROPY = keyed_entropy(8, "server")


def opened() -> tuple[Summation, list]:
    fleet = enrol(5, everybody(5, 3), least_cohort=4)
    round_ = Summation(fleet.epoch, number=1, length=2, bound=5)
    deposits = [
        device.deposit(round_.deposit_request(), entropy=ENTROPY) for device in fleet.devices
    ]
    return round_, [fleet.devices, deposits]


def test_a_deposit_that_does_not_fit_is_refused_and_changes_nothing() -> None:
    round_, (_, deposits) = opened()
    good = deposits[0]
    for bad in (
        replace(good, round=2),
        replace(good, seat=5),
        replace(good, seat=-1),
        replace(good, shares=good.shares[:-1]),
        replace(good, edges=good.edges + b"x"),
        replace(good, commitment=b""),
    ):
        with pytest.raises(WireError):
            round_.add_deposit(bad)
    round_.add_deposit(good)
    with pytest.raises(RefusalError, match="already"):
        round_.add_deposit(good)


def test_an_input_is_added_once_and_only_of_the_cohort() -> None:
    round_, (devices, deposits) = opened()
    for deposit in deposits[:4]:
        round_.add_deposit(deposit)
    asked = round_.mask_request()
    with pytest.raises(RefusalError, match="late"):
        round_.add_deposit(deposits[4])
    answers = [device.mask(asked, np.array([1, 2]), entropy=ENTROPY) for device in devices[:4]]
    round_.add_input(answers[0])
    for bad, error in [
        (answers[0], RefusalError),
        (replace(answers[1], seat=4), RefusalError),
        (replace(answers[1], words=answers[1].words[:-4]), WireError),
        (replace(answers[1], round=0), WireError),
    ]:
        with pytest.raises(error):
            round_.add_input(bad)
    assert round_.survivors == (0,)


def test_a_round_with_too_few_devices_waits_for_more() -> None:
    round_, (devices, deposits) = opened()
    for deposit in deposits[:3]:
        round_.add_deposit(deposit)
    with pytest.raises(UnavailableError, match="3 devices"):
        round_.mask_request()
    round_.add_deposit(deposits[3])
    asked = round_.mask_request()
    for device in devices[:3]:
        round_.add_input(device.mask(asked, np.array([1, 2]), entropy=ENTROPY))
    with pytest.raises(UnavailableError, match="3 devices"):
        round_.confirm_request()
    with pytest.raises(UnavailableError):
        round_.total()


@pytest.mark.parametrize(
    ("number", "length", "bound"), [(-1, 2, 5), (0, 0, 5), (0, 2, 0), (0, 2, 1 << 62)]
)
def test_a_round_that_sums_nothing_or_too_much_is_refused(
    number: int, length: int, bound: int
) -> None:
    fleet = enrol(5, everybody(5, 3))
    with pytest.raises(InputError):
        Summation(fleet.epoch, number=number, length=length, bound=bound)


def test_an_input_out_of_its_announced_range_is_seen_in_the_sum() -> None:
    round_, (devices, deposits) = opened()
    for deposit in deposits:
        round_.add_deposit(deposit)
    asked = round_.mask_request()
    answers = [device.mask(asked, np.array([1, 2]), entropy=ENTROPY) for device in devices]
    words = np.frombuffer(answers[0].words, dtype="<u4") + np.uint32(900)
    answers[0] = replace(answers[0], words=words.tobytes())  # adds what it was not to send
    for answer in answers:
        round_.add_input(answer)
    for device in devices:
        round_.add_confirmation(device.confirm(round_.confirm_request()))
    for seat, device in enumerate(devices):
        round_.add_unmasking(device.unmask(round_.unmask_request(seat)))
    with pytest.raises(RefusalError, match="out of range"):
        round_.total()
