"""The watch over new items in a campaign that hides records: noised, paid for, looked at, again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coordinator.rounds.drift import layout_of, may_watch, read_counts
from coordinator.rounds.events import Closed, Watched
from coordinator.rounds.private_budget import explained
from coordinator.rounds.private_sums import PrivateLeg, plan_for
from coordinator.rounds.reproduce import reproduce
from coordinator.service import status_of
from coordinator.steering_settings import DriftSettings
from fieldvote.records import KINDS, SurveyReply, decode
from fieldvote.task import Task
from privacy.dp import ledger as ledger_module
from privacy.dp.campaign import planned_spending, price_of
from tests.coordinator.driven import write_campaign
from tests.coordinator.rounds.campaign import SMALL_FILES, Campaign, settings_with
from tests.coordinator.rounds.test_drift import COME, come
from tests.coordinator.summing.fleets import FLOORS, Secure, make_fleet, secure_task

SPLIT = "[privacy.split]\nsummaries = 0.2\nevaluation = 0.2\nwatch = 0.1\n"
POLICY = (
    '\n[privacy]\nunit = "record"\nagainst = "outsiders"\ncohort = 3\ndropouts = 0.0\n'
    f"corrupt = 0.0\nrounds = 3\nbound = 4.0\n{SPLIT}"
)
SETTINGS = settings_with(drift=DriftSettings(watch=True), labels_per_device=1, exchanges=2)


def watched_task(policy: str = POLICY) -> Task:
    files = {**SMALL_FILES, "policy.toml": SMALL_FILES["policy.toml"] + policy.encode()}
    return Task.parse(files, "small watched task")


TASK = watched_task()
NEW = PrivateLeg(about="arrivals", turn=1)


def turned(rounds: int, task: Task = TASK) -> Campaign:
    """Return a campaign to whose devices items came before each of its rounds."""
    campaign = Campaign(SETTINGS, task=task)
    for number in range(1, rounds + 1):
        come(campaign, number)
        campaign.run(1)
    return campaign


def test_a_round_looks_at_noised_histograms_knows_their_noise_and_is_made_again_to_the_bit() -> (
    None
):
    campaign = turned(3)
    looks, plan = campaign.events(Watched), plan_for(TASK, NEW)
    assert [look.round for look in looks] == [2, 3]
    for look in looks:
        assert look.steps == plan.steps
        assert look.noise == pytest.approx(float(3 * plan.noise.share_variance) ** 0.5)
        rows = reproduce(campaign.store, TASK, SETTINGS, campaign.scheduler.events, look.round)
        assert {row.step for row in rows} >= {"drift", "label model", "model"}
        assert [row for row in rows if not row.same] == []
    first, second = (read_counts(campaign.store.artifact(look.counts)) for look in looks)
    assert not layout_of(TASK).is_exact(second - first)
    # votes and anchors, anchors, anchors: and the histograms in a leg of their own
    asked = [event.round for event in campaign.events(Closed) if event.exchange == "votes"]
    assert asked == [1, 1, 2, 2, 3, 3]
    replies = [decode(blob, *KINDS.values()) for _, _, blob in campaign.network.replies]
    surveys = [reply for reply in replies if isinstance(reply, SurveyReply)]
    assert surveys
    assert not any(len(reply.arrivals) for reply in surveys)
    for device, agent in campaign.fleet.agents.items():
        spent = agent._parts.outbox.ledger.spent
        if int(device) <= 3:
            assert spent.by_kind["watch"].releases == 2
            price = price_of(TASK.policy.privacy, "arrivals", 1).micro_rho
            assert 0.97 * price <= spent.by_kind["watch"].micro_rho <= price
        assert spent.micro_rho <= planned_spending(TASK.policy.privacy, 3)
    campaign.close()


def test_a_coordinator_that_dies_at_any_line_looks_once_a_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ledger_module, "add_share", lambda values, _noise, _entropy: values)
    campaign = Campaign(SETTINGS, task=TASK)
    come(campaign, 1)
    for _ in range(400):
        campaign.scheduler = campaign.started(rounds=2)  # a new process at every single step
        if campaign.scheduler.finished:
            break
        campaign.scheduler.turn()
        campaign.clock.sleep(1.0)
    (look,) = campaign.events(Watched)
    counts = read_counts(campaign.store.artifact(look.counts)) // look.steps
    assert layout_of(TASK).is_exact(counts)
    items = sum(len(pool) for device, pool in campaign.fleet.pools.items() if int(device) <= 3)
    assert look.items == counts[0] == items > 3 * COME
    campaign.close()


def test_under_masks_the_histograms_are_the_sum_of_all_devices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ledger_module, "add_share", lambda values, _noise, _entropy: values)
    noise = (
        '[privacy]\nunit = "record"\ncohort = 10\ndropouts = 0.4\ncorrupt = 0.1\nrounds = 2\n'
        f"bound = 4.0\n{SPLIT}"
    )
    task = secure_task(FLOORS + noise.encode())
    drift = DriftSettings(watch=True)
    campaign = Secure(make_fleet(task=task), task=task, settings=replace(SETTINGS, drift=drift))
    campaign.run(2)
    (look,) = (event for event in campaign.scheduler.events if isinstance(event, Watched))
    counts = read_counts(campaign.store.artifact(look.counts)) // look.steps
    assert layout_of(task).is_exact(counts)
    assert look.items == counts[0] == 12 * 6
    # the noise of all twelve is in it, though no more than half of it is counted on
    plan = plan_for(task, NEW)
    assert look.noise == pytest.approx(float(12 * plan.noise.share_variance) ** 0.5)
    campaign.close()


def test_a_campaign_whose_policy_gives_the_watch_nothing_says_so_and_never_looks(
    tmp_path: Path,
) -> None:
    deaf = watched_task(POLICY.replace(SPLIT, ""))
    assert (may_watch(TASK), may_watch(deaf)) == (True, False)
    campaign = turned(2, deaf)
    assert campaign.events(Watched) == []
    assert not np.any([event.watch for event in campaign.scheduler.campaign.rounds.values()])
    campaign.close()
    assert any(line.startswith("Watch: noise") for line in explained(TASK, devices=100))
    assert not any(line.startswith("Watch") for line in explained(deaf, devices=100))
    config, policy = write_campaign(tmp_path), tmp_path / "task" / "policy.toml"
    config.write_text(config.read_text() + "[campaign.drift]\nwatch = true\n")
    before = policy.read_text()
    for split, said in (("", "not watched"), (SPLIT, "")):
        policy.write_text(f'{before}\n[privacy]\nunit = "record"\n{split}')
        assert str(status_of(config).get("drift", "")).startswith(said)
        assert ("drift" in status_of(config)) == bool(said)
