"""Who taught a head is asked under masks like anything else, and comes to the same bits."""

from contextlib import closing
from dataclasses import replace

import numpy as np

from coordinator.governance_settings import InfluenceSettings, RetentionSettings
from coordinator.rounds.events import Evaluated
from tests.coordinator.rounds.campaign import TASK
from tests.coordinator.summing.fleets import SETTINGS, Secure, make_fleet

ROUNDS = 2
TRACED = replace(
    SETTINGS,
    influence=InfluenceSettings(curvature_exchanges=1),
    retention=RetentionSettings(measure="always", hold=1.0),
)


def judged(campaign: Secure) -> list[Evaluated]:
    """Return how each round's head was judged."""
    campaign.run(ROUNDS)
    return [event for event in campaign.scheduler.events if isinstance(event, Evaluated)]


def test_traces_and_fates_under_masks_are_those_of_plain_sums_to_the_bit() -> None:
    with closing(Secure(make_fleet(), settings=TRACED)) as secure:
        ours = judged(secure)
        assert not secure.parts.inbox.dropped
        assert not secure.summing.dropped
    with closing(Secure(make_fleet(task=TASK), settings=TRACED, task=TASK)) as plain:
        theirs = judged(plain)
    assert [e.fates for e in ours] == [e.fates for e in theirs]
    assert np.sum(ours[1].fates) > 0
    assert all(e.trace for e in ours)
    # the policies differ, and nothing that a trace is made of
    assert [e.trace for e in ours] == [e.trace for e in theirs]
