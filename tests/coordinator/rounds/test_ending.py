"""A campaign that ends by its own rule: surely, with a sentence, until somebody objects."""

from dataclasses import replace

import pytest

from coordinator.rounds.campaign import CampaignState, advance_campaign, load_state
from coordinator.rounds.commands import Command
from coordinator.rounds.events import Compared, Planned, Stopped
from coordinator.rounds.steering import GainState, Steering
from coordinator.rounds.steering_view import steering_rows
from coordinator.rounds.stopping import why_stop
from coordinator.rounds.views import list_rounds, show_round
from coordinator.settings import BudgetSettings
from coordinator.steering_settings import StopSettings
from fieldvote.errors import SettingsError
from tests.coordinator.rounds.campaign import Campaign, settings_with

SPENT = settings_with(
    stop=StopSettings(when_spent=True), budget=BudgetSettings(labels=7), exchanges=2
)


def test_a_budget_that_is_spent_ends_it_with_an_event_and_a_sentence() -> None:
    campaign = Campaign(SPENT)
    for _ in range(6):
        campaign.scheduler.run_round()
    (stopped,) = campaign.events(Stopped)
    assert stopped.round == campaign.scheduler.campaign.last
    assert "budget is spent" in stopped.reason
    assert campaign.scheduler.finished
    assert campaign.started().finished  # and it stays ended for whoever comes next
    assert show_round(campaign.store)["campaign_ended"] == stopped.reason
    assert list_rounds(campaign.store)[-1]["ended"] == "the campaign"
    assert steering_rows(load_state(campaign.store)[1])["ended"] == stopped.reason
    campaign.close()


def test_somebody_who_plans_a_round_goes_on_and_it_ends_again_after_that() -> None:
    campaign = Campaign(SPENT)
    for _ in range(4):
        campaign.scheduler.run_round()
    campaign.scheduler.obey(Command(what="plan", budget=1))
    assert not campaign.scheduler.campaign.steering.stopped
    for _ in range(2):
        campaign.scheduler.run_round()
    assert [event.round for event in campaign.events(Stopped)] == [
        campaign.scheduler.campaign.last - 1,
        campaign.scheduler.campaign.last,
    ]
    campaign.close()


def test_without_a_rule_nothing_ends_it() -> None:
    campaign = Campaign(replace(SPENT, stop=StopSettings()))
    rounds = 0
    while campaign.scheduler.turn() is None or campaign.scheduler.campaign.open:
        rounds += 1
        assert rounds < 500
    assert campaign.events(Stopped) == []
    assert not campaign.scheduler.finished
    campaign.close()


@pytest.mark.parametrize(
    ("scored", "target", "ends"),
    [((95, 5, 0, 0), 0.88, True), ((95, 5, 0, 0), 0.94, False), ((), 0.5, False)],
)
def test_a_target_is_reached_only_if_it_surely_is(
    scored: tuple[int, ...], target: float, ends: bool
) -> None:
    campaign = Campaign()
    state = CampaignState(scored=scored, last=3)
    settings = settings_with(stop=StopSettings(at_accuracy=target))
    assert bool(why_stop(state, settings, campaign.store)) is ends
    campaign.close()


@pytest.mark.parametrize(
    ("gain", "ends"),
    [
        (GainState(round=3, labels=9, per_thousand=0.1, low=-0.4, high=0.4), True),
        (GainState(round=3, labels=9, per_thousand=0.1, low=-0.4, high=0.6), False),
        (GainState(), False),
    ],
)
def test_a_gain_ends_it_only_if_it_is_surely_too_little(gain: GainState, ends: bool) -> None:
    campaign = Campaign()
    state = CampaignState(last=3, steering=Steering(gain=gain))
    settings = settings_with(stop=StopSettings(at_least_gain=0.5))
    assert bool(why_stop(state, settings, campaign.store)) is ends
    campaign.close()


def test_a_comparison_that_nothing_judged_says_nothing_of_the_gain() -> None:
    blind = Compared(
        round=1, labels=9, better=0, worse=0, items=0, per_thousand=0.0, low=0.0, high=0.0
    )
    planned = Planned(round=1, kind="ordinary", devices=(1,), budget=1, first=True, at="")
    begun = advance_campaign(CampaignState(), planned)
    assert advance_campaign(begun, blind).steering.gain.round == 0


def test_an_end_that_is_not_the_campaigns_changes_nothing() -> None:
    planned = Planned(round=1, kind="ordinary", devices=(1,), budget=1, first=True, at="")
    begun = advance_campaign(CampaignState(), planned)
    assert advance_campaign(begun, Stopped(round=2, reason="no such round")) is begun
    ended = advance_campaign(begun, Stopped(round=1, reason="enough"))
    assert ended.steering.stopped == "enough"
    assert advance_campaign(ended, Stopped(round=1, reason="again")) is ended


@pytest.mark.parametrize("wrong", [{"at_accuracy": 1.0}, {"at_least_gain": 1e9}])
def test_an_end_that_never_comes_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError):
        StopSettings(**wrong)  # type: ignore[arg-type]  # numbers
