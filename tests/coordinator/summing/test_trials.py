"""Trials of a release under masks: the sums of plain trials, and how many devices told them."""

from collections.abc import Iterator

import numpy as np
import pytest

from coordinator.plausible import can_try
from coordinator.releases.trial import conduct_of
from fieldvote.records import DeviceId, decode, encode
from fieldvote.releases import TrialReply
from fieldvote.summed_fields import SUMMED, put_in, take_out
from tests.coordinator.releases.signed import (
    A2,
    A_LOW,
    A,
    B,
    install,
    proposer,
    signed,
    survey_of,
    task_of,
    trial_of,
)
from tests.coordinator.rounds.campaign import Fleet, make_agent
from tests.coordinator.rounds.campaign import make_fleet as make_plain
from tests.coordinator.summing.fleets import means_of
from tests.coordinator.summing.legs import Liar

FIRST = signed((A, B), 3)
NEXT = signed((A2, B, A_LOW), 4)
TASK, AFTER = task_of(FIRST), task_of(NEXT)
DEVICES = [DeviceId(n) for n in range(1, 12)]
BROUGHT = 2


def _phones() -> Fleet:
    """Return devices with the first release installed, all of them surveyed."""
    fleet = make_plain(training=len(DEVICES), held_out=0, items=6)
    agents = {}
    for device, pool in fleet.pools.items():
        install(pool, TASK)
        agents[device] = make_agent(
            pool,
            device,
            False,
            task=TASK,
            propose=proposer(FIRST, 3),
            secure=means_of(device, len(DEVICES)),
        )
        agents[device].handle(encode(survey_of(TASK, 1)))
    return Fleet(fleet.pools, agents)


@pytest.fixture(name="phones")
def _made() -> Iterator[Fleet]:
    fleet = _phones()
    yield fleet
    fleet.close()


def test_a_trial_under_masks_is_the_sum_of_plain_ones(phones: Fleet) -> None:
    request = trial_of(TASK, NEXT)
    twins = _phones()
    plain = [decode(twins.agents[d].handle(encode(request)), TrialReply) for d in DEVICES]
    twins.close()
    liar = Liar(phones)
    liar.enrol()
    total = liar.total(DEVICES, request)
    bounds = SUMMED[type(request)].bounds
    lengths = [len(part) for part in take_out(plain[0], bounds)[1].values()]
    parts = np.split(total, np.cumsum(lengths)[:-1])
    whole = put_in(take_out(plain[0], bounds)[0], dict(zip(bounds, parts, strict=True)))
    assert isinstance(whole, TrialReply)
    assert whole.told == len(DEVICES)
    assert whole.votes.tolist() == sum(reply.votes for reply in plain).tolist()
    assert can_try(whole, task=AFTER.digest, functions=4, brought=BROUGHT, classes=2)
    assert conduct_of([whole], BROUGHT).devices == conduct_of(plain, BROUGHT).devices
    assert conduct_of([whole], BROUGHT).items == conduct_of(plain, BROUGHT).items
    assert conduct_of([whole], BROUGHT).timed == conduct_of(plain, BROUGHT).timed


def test_a_second_trial_has_nothing_to_add(phones: Fleet) -> None:
    liar = Liar(phones)
    liar.enrol()
    liar.total(DEVICES, trial_of(TASK, NEXT))
    again = liar.check_in(DEVICES, trial_of(TASK, NEXT, number=9))
    assert {reply.deposit for reply in again.values()} == {None}
