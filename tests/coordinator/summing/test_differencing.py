"""Two sums that differ in one device: what they would tell, and why they are never both there."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from edge.summing import SecureSums
from fieldvote.errors import RefusalError
from fieldvote.records import DeviceId
from tests.coordinator.rounds.campaign import Fleet
from tests.coordinator.summing.fleets import make_fleet, secure_task
from tests.coordinator.summing.legs import SURVEY, Liar

DEVICES = [DeviceId(n) for n in range(1, 13)]
VICTIM, OTHERS = DEVICES[0], DEVICES[1:]


@pytest.fixture(name="fleet")
def _fleet() -> Iterator[Fleet]:
    fleet = make_fleet(held_out=1)
    yield fleet
    fleet.close()


def test_two_sums_of_one_name_tell_a_device_and_the_second_is_refused(fleet: Fleet) -> None:
    liar = Liar(fleet)
    liar.enrol()
    liar.total(DEVICES)
    with pytest.raises(RefusalError, match="never twice"):
        liar.total(OTHERS)


def test_without_that_rule_two_sums_do_tell_a_devices_votes(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SecureSums, "_check_unopened", lambda _self, _name: None)
    liar = Liar(fleet)
    liar.enrol()
    everybody, without = liar.total(DEVICES), liar.total(OTHERS)
    vector = liar.payload(VICTIM).vector
    assert vector.any()
    assert (everybody - without).tolist() == vector.tolist()


def test_a_round_that_lost_a_device_is_not_opened_and_begins_anew(fleet: Fleet) -> None:
    liar = Liar(fleet)
    liar.enrol()
    lost = liar.begin(DEVICES)
    liar.mask(lost, OTHERS)
    with pytest.raises(RefusalError, match="begin this sum anew"):
        liar.open(lost)
    made = liar.total(OTHERS)
    assert made.tolist() == sum(liar.payload(device).vector for device in OTHERS).tolist()


def test_where_the_policy_lets_it_a_sum_goes_on_without_the_device_it_lost() -> None:
    task = secure_task(b'[cohort]\nsums = "secure"\nleast_cohort = 10\npartial = true\n')
    fleet = make_fleet(held_out=1, task=task)
    liar = Liar(fleet)
    liar.enrol()
    lost = liar.begin(DEVICES)
    liar.mask(lost, OTHERS)
    assert (
        liar.open(lost).tolist() == sum(liar.payload(device).vector for device in OTHERS).tolist()
    )
    fleet.close()


def test_an_item_is_in_one_sum_however_often_it_is_asked_for(fleet: Fleet) -> None:
    liar = Liar(fleet)
    liar.enrol()
    assert liar.total(DEVICES)[0] == 12 * 6
    assert not liar.total(DEVICES, replace(SURVEY, round=2)).any()


def test_what_was_never_masked_is_in_the_next_sum(fleet: Fleet) -> None:
    liar = Liar(fleet)
    liar.enrol()
    liar.begin(DEVICES)  # and then nothing: the cohort was never settled
    columns = [pool.column("summed") for pool in liar.pools.values()]
    assert not np.concatenate(columns).any()
    assert liar.total(DEVICES, replace(SURVEY, round=2))[0] == 12 * 6


def test_what_was_masked_is_masked_again_for_the_same_sum_only(fleet: Fleet) -> None:
    liar = Liar(fleet)
    liar.enrol()
    lost = liar.begin(DEVICES)
    liar.mask(lost, DEVICES)
    before = liar.payload(VICTIM).vector
    assert not liar.begin(DEVICES, replace(SURVEY, round=2)).survivors
    assert liar.payload(VICTIM).vector[0] == 0, "another sum has none of these items"
    assert before[0] == 6


def test_what_was_masked_in_one_epoch_is_not_masked_in_another(fleet: Fleet) -> None:
    liar = Liar(fleet)
    liar.enrol()
    lost = liar.begin(DEVICES)
    liar.mask(lost, DEVICES)
    later = Liar(fleet, epoch=2)
    later.enrol()
    later.begin(DEVICES)
    assert later.payload(VICTIM).vector[0] == 0
