"""A campaign that hides records: whole rounds over real agents, their ledgers, and the budget."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coordinator.inbox import VOTED, VOTED_ITEMS, VOTES
from coordinator.rounds.events import Agreed, Closed, Evaluated, Trained, Tried
from coordinator.rounds.private_budget import explained, privacy_rows, spent_epsilon
from coordinator.rounds.reproduce import reproduce
from coordinator.service import status_of
from fieldvote.errors import RefusalError, UnavailableError
from fieldvote.heads import EvaluateReply, GradientReply, VotesReply
from fieldvote.private import PrivateReply
from fieldvote.records import KINDS, AnswersReply, SurveyReply, decode
from fieldvote.task import Task
from privacy.dp.campaign import planned_spending
from tests.coordinator.driven import write_campaign
from tests.coordinator.rounds.campaign import SETTINGS, SMALL_FILES, Campaign

POLICY = (
    '\n[privacy]\nunit = "record"\nagainst = "outsiders"\ncohort = 3\ndropouts = 0.0\n'
    "corrupt = 0.0\nrounds = 2\nbound = 4.0\n"
)


def private_task(policy: str = POLICY) -> Task:
    files = {**SMALL_FILES, "policy.toml": SMALL_FILES["policy.toml"] + policy.encode()}
    return Task.parse(files, "small private task")


TASK = private_task()
PRIVACY = TASK.policy.privacy


@pytest.fixture
def campaign() -> Iterator[Campaign]:
    made = Campaign(task=TASK)
    yield made
    made.close()


def spent(campaign: Campaign) -> dict[int, int]:
    ledgers = {d: agent._parts.outbox.ledger for d, agent in campaign.fleet.agents.items()}
    return {int(device): ledger.spent.micro_rho for device, ledger in ledgers.items()}


def test_two_rounds_are_turned_and_nothing_exact_crosses(campaign: Campaign) -> None:
    campaign.run(2)
    replies = [decode(blob, *KINDS.values()) for _, _, blob in campaign.network.replies]
    kinds = Counter(type(reply) for reply in replies)
    for reply in replies:
        if isinstance(reply, SurveyReply):
            assert (reply.items, len(reply.votes), len(reply.moments)) == (0, 0, 0)
        if isinstance(reply, AnswersReply):
            assert not reply.anchors.any()
            assert (len(reply.labeled), len(reply.voted)) == (0, 0)
    assert not {GradientReply, EvaluateReply, VotesReply} & set(kinds)
    # votes, moments and gram once; anchors and cross in each round; and the judging of two heads
    assert kinds[PrivateReply] == 3 * (3 + 2 + 2) + 4 * 2
    trained = campaign.events(Trained)
    assert len({event.model for event in trained}) == 2
    head = campaign.parts.shelf.get(trained[-1].model)
    assert (head.recentre, head.fourier) == (0.0, 0)
    assert head.weights.any()
    assert head.mean.any()
    assert len(campaign.events(Agreed)) == len(campaign.events(Evaluated)) == 2
    assert all("not told" in event.reason for event in campaign.events(Tried))
    assert min(min(event.held_out) for event in campaign.events(Evaluated)) >= 0


def test_every_device_is_charged_what_was_planned_and_no_more(campaign: Campaign) -> None:
    campaign.run(1)
    after_one = spent(campaign)
    campaign.run(1)
    after_two = spent(campaign)
    for device in (1, 2, 3):
        assert 0 < after_one[device] < after_two[device]
        assert after_one[device] <= planned_spending(PRIVACY, 1)
        assert 0.97 * planned_spending(PRIVACY, 2) <= after_two[device]
        assert after_two[device] <= planned_spending(PRIVACY, 2)
    assert after_two[4] < after_two[1]  # it is only asked how right heads are
    assert spent_epsilon(PRIVACY, 1) < spent_epsilon(PRIVACY, 2) <= PRIVACY.epsilon


def test_a_round_that_cannot_be_afforded_is_not_planned(campaign: Campaign) -> None:
    campaign.run(2)
    before = spent(campaign)
    with pytest.raises(UnavailableError, match="epsilon 4 was for 2 rounds"):
        campaign.run(1)
    rest = campaign.started(rounds=9).turn()
    assert rest is not None
    assert "privacy budget is spent" in rest.about
    assert campaign.scheduler.campaign.last == 2
    assert spent(campaign) == before


def test_what_is_released_once_is_not_asked_for_again(campaign: Campaign) -> None:
    campaign.run(1)
    votes, gram = campaign.store.total(VOTES), campaign.store.total(VOTED)
    assert votes is not None
    assert gram is not None
    assert gram[0] == 3  # devices that are in it
    campaign.run(1)
    assert np.array_equal(campaign.store.total(VOTES), votes)
    assert np.array_equal(campaign.store.total(VOTED), gram)
    assert campaign.store.total(VOTED_ITEMS)[0] >= 0
    legs = [(event.exchange, event.leg) for event in campaign.events(Closed) if event.round == 2]
    assert legs.count(("train", 0)) == 1
    assert ("train", 1) not in legs


def test_a_round_is_made_again_to_the_same_bytes(campaign: Campaign) -> None:
    campaign.run(2)
    for number in (1, 2):
        rows = reproduce(campaign.store, TASK, SETTINGS, campaign.scheduler.events, number)
        assert {row.step for row in rows} >= {"label model", "model", "evaluation"}
        assert all(row.same for row in rows), [row for row in rows if not row.same]


def test_a_coordinator_that_dies_mid_round_goes_on_and_pays_nothing_twice() -> None:
    whole, broken = Campaign(task=TASK), Campaign(task=TASK)
    try:
        whole.run(1)
        for _ in range(400):
            broken.scheduler = broken.started(rounds=1)  # a new process at every single step
            if broken.scheduler.finished:
                break
            broken.scheduler.turn()
            broken.clock.sleep(1.0)
        assert spent(broken) == spent(whole)
        assert len(broken.events(Trained)) == 1
    finally:
        whole.close()
        broken.close()


def test_a_sum_over_fewer_devices_than_share_its_noise_is_not_asked_for() -> None:
    campaign = Campaign(task=private_task(POLICY.replace("cohort = 3", "cohort = 5")))
    try:
        with pytest.raises(UnavailableError, match="5 are sure, and 3 training devices"):
            campaign.run(1)
        assert not any(spent(campaign).values())
    finally:
        campaign.close()


@pytest.mark.parametrize("learner", ["averaged", "deep"])
def test_deeper_training_is_refused_with_its_reason(learner: str) -> None:
    settings = replace(SETTINGS, learner=learner)
    with pytest.raises(RefusalError, match="only the head is trained, by ridge regression"):
        Campaign(settings, task=TASK)


def test_where_every_device_adds_all_of_the_noise_one_is_enough() -> None:
    policy = POLICY.replace('"outsiders"', '"coordinator"').replace("cohort = 3", "cohort = 50")
    campaign = Campaign(task=private_task(policy))
    try:
        campaign.run(1)
        assert len(campaign.events(Trained)) == 1
    finally:
        campaign.close()


def test_status_says_who_is_hidden_from_whom_and_what_it_costs() -> None:
    rows = privacy_rows(TASK, rounds=1, devices=3)
    assert "not from the coordinator" in rows["sums"]
    assert (
        rows["epsilon"].endswith("of 2 rounds, 1.37 left (delta 1e-06)")
        or "of 2" in (rows["epsilon"])
    )
    assert "Protects one record of one device: epsilon 4" in rows["privacy"]
    assert "offers" in rows["outside_epsilon"]
    assert rows["calibration"].startswith("none: ")
    alone = private_task(POLICY.replace('"outsiders"', '"coordinator"'))
    assert "every device adds all" in privacy_rows(alone, rounds=0, devices=3)["sums"]
    assert len(explained(TASK, devices=100)) >= 4


DEVICE_POLICY = POLICY.replace('"record"', '"device"') + "clip = 4.0\nadaptive = true\n"


def test_whole_devices_are_hidden_by_cut_updates_and_cut_counts() -> None:
    campaign = Campaign(task=private_task(DEVICE_POLICY))
    try:
        campaign.run(2)
        legs = {(event.exchange, event.leg) for event in campaign.events(Closed)}
        assert ("votes", 0) not in legs
        assert ("train", 1) not in legs
        heads = [campaign.parts.shelf.get(event.model) for event in campaign.events(Trained)]
        assert all(head.weights.any() for head in heads)
        assert campaign.store.total(VOTED)[0] == 2  # rounds whose lengths the bound follows
        rows = reproduce(campaign.store, campaign.task, SETTINGS, campaign.scheduler.events, 2)
        assert all(row.same for row in rows), [row for row in rows if not row.same]
        limit = planned_spending(campaign.task.policy.privacy, 2)
        assert all(0 < one <= limit for one in spent(campaign).values())
    finally:
        campaign.close()


def test_status_advises_against_hiding_devices_among_few() -> None:
    said = privacy_rows(private_task(DEVICE_POLICY), rounds=0, devices=100)["privacy"]
    assert "Not advised: 100 devices cannot hide one of themselves" in said
    assert "Not advised" not in privacy_rows(TASK, rounds=0, devices=100)["privacy"]


def test_status_says_what_epsilon_costs_before_a_campaign_has_begun(tmp_path: Path) -> None:
    config = write_campaign(tmp_path)
    policy = tmp_path / "task" / "policy.toml"
    policy.write_text(policy.read_text() + '\n[privacy]\nunit = "record"\n')
    said = status_of(config)
    assert said["phase"] == "not begun"
    assert "every device adds all of the noise" in str(said["sums"])
    assert "Training: on each number" in str(said["privacy"])
    assert str(said["epsilon"]).startswith("0.00 of 4 spent")
