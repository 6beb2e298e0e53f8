"""Noise under masks: shares are added before a vector is masked, so only their sum is ever seen."""

from collections.abc import Iterator

import numpy as np
import pytest

from coordinator.inbox import VOTED
from coordinator.rounds.events import Evaluated, Trained
from edge.private import _values
from fieldvote.private import PrivateReply, PrivateRequest
from fieldvote.records import KINDS, decode
from fieldvote.sums import MaskedInput, SummedReply
from privacy.dp import ledger as ledger_module
from privacy.dp.campaign import plan_of, planned_spending, shares_of
from strategies.private_statistics import Statistic
from tests.coordinator.summing.fleets import FLOORS, Secure, make_fleet, secure_task

NOISE = (
    b'[privacy]\nunit = "record"\ncohort = 10\ndropouts = 0.4\ncorrupt = 0.1\nrounds = 2\n'
    b"bound = 4.0\n"
)
TASK = secure_task(FLOORS + NOISE)
PRIVACY = TASK.policy.privacy


@pytest.fixture(name="campaign")
def _campaign() -> Iterator[Secure]:
    made = Secure(make_fleet(task=TASK), task=TASK)
    yield made
    made.close()


def test_a_private_campaign_over_secure_sums_trains_and_nobody_sees_a_devices_numbers(
    campaign: Secure,
) -> None:
    assert shares_of(PRIVACY, secure=TASK.policy.cohort.secure) == 5
    campaign.run(2)
    masked = 0
    for _, _, blob in campaign.network.replies:
        reply = decode(blob, *KINDS.values())
        assert not isinstance(reply, PrivateReply)
        masked += isinstance(reply, MaskedInput)
        if isinstance(reply, SummedReply):
            clear = decode(reply.clear, *KINDS.values())
            assert not isinstance(clear, PrivateReply) or not len(clear.sums)
    assert masked > 0
    events = campaign.scheduler.events
    heads = [event.model for event in events if isinstance(event, Trained)]
    assert len(set(heads)) == 2
    assert campaign.parts.shelf.get(heads[-1]).weights.any()
    assert sum(isinstance(event, Evaluated) for event in events) == 2
    spent = [agent._parts.outbox.ledger.spent.micro_rho for agent in campaign.fleet.agents.values()]
    assert 0 < min(spent) <= max(spent) <= planned_spending(PRIVACY, 2)


def test_what_the_cohort_says_is_the_exact_sum_where_the_noise_is_taken_out(
    campaign: Secure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "add_share", lambda values, _noise, _entropy: values)
    campaign.run(1)
    gram = campaign.store.total(VOTED)
    assert gram is not None
    trained = next(e for e in campaign.scheduler.events if isinstance(e, Trained))
    model = campaign.parts.shelf.get(trained.model)
    request = PrivateRequest(round=1, step=1, about="gram", turn=0, model=model)
    trains = [a for a in campaign.fleet.agents.values() if not a._parts.evaluates]
    exact = sum(_values(agent._held, request) for agent in trains)
    found = Statistic.named("gram", functions=2, classes=2, width=3, cap=PRIVACY.cap_votes)
    plan = plan_of(
        PRIVACY, "gram", 0, l2_squared=found.l2_squared, length=found.length, secure=True
    )
    assert np.array_equal(gram[1:], exact * plan.steps)
