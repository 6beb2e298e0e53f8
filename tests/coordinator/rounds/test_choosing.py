"""A campaign that finds out how to choose: by events alone, and once for each round."""

from dataclasses import replace

import pytest

from coordinator.rounds.campaign import CampaignState, replay_campaign
from coordinator.rounds.choosing import ARMS, bandit_of, choose_strategy
from coordinator.rounds.events import Abandoned, Evaluated, Planned, Resolved, Trained
from coordinator.rounds.machine import Phase, RoundState
from coordinator.rounds.reproduce import reproduce
from coordinator.rounds.steering import Play, Steering, strategy_of
from coordinator.settings import CampaignSettings
from edge.selection import FLEET
from fieldvote.errors import SettingsError
from strategies.acquisition import ACQUISITIONS
from tests.coordinator.rounds.campaign import Campaign, settings_with

AUTO = settings_with(strategy="auto", exchanges=2)


def planned(number: int, strategy: str) -> Planned:
    return Planned(
        round=number, kind="ordinary", devices=(1,), budget=5, first=False, at="", strategy=strategy
    )


def test_every_arm_is_one_a_device_can_rank_by() -> None:
    assert set(ARMS) <= {FLEET, *ACQUISITIONS}
    assert len(set(ARMS)) == len(ARMS)


@pytest.mark.slow  # a campaign of six rounds
def test_rounds_take_turns_choose_by_what_is_in_their_event_and_can_be_made_again() -> None:
    campaign = Campaign(AUTO)
    campaign.run(6)
    chosen = [event.strategy for event in campaign.events(Planned)]
    assert chosen[0] == ""
    assert set(chosen[1:5]) == set(ARMS)  # each is tried before one is tried again
    plays = campaign.scheduler.campaign.steering.plays
    assert sorted(play.round for play in plays) == list(range(2, 7))
    assert all(play.known for play in plays)
    for number in range(2, 7):
        made = reproduce(
            campaign.store, campaign.parts.task, AUTO, campaign.scheduler.events, number
        )
        assert all(each.same for each in made)
    # the state that was folded once says the same as the events read again
    assert replay_campaign(campaign.scheduler.events).steering.plays == plays
    campaign.close()


def test_the_same_state_chooses_the_same_and_no_other_strategy_is_touched() -> None:
    steering = Steering(plays=tuple(Play(round=n, strategy=arm) for n, arm in enumerate(ARMS, 2)))
    picks = {choose_strategy(steering, AUTO, 9) for _ in range(5)}
    assert len(picks) == 1
    assert choose_strategy(steering, settings_with(strategy="margin"), 9) == ""
    assert strategy_of(RoundState(strategy="entropy"), settings_with(strategy="margin")) == "margin"
    assert strategy_of(RoundState(), AUTO) == FLEET


def test_the_strategy_that_brings_more_is_chosen_more() -> None:
    steering, counts = Steering(), dict.fromkeys(ARMS, 0)
    for number in range(2, 80):
        arm = choose_strategy(steering, AUTO, number)
        counts[arm] += 1
        reward = 1.0 if arm == "entropy" else 0.1
        play = Play(round=number, strategy=arm, labels=5, reward=reward, known=True)
        steering = Steering(plays=(*steering.plays, play)[-64:])
    assert counts["entropy"] > sum(counts.values()) / 2
    assert min(counts.values()) >= 1


def test_rewards_come_with_the_evaluation_and_never_for_a_round_that_is_given_up() -> None:
    campaign = CampaignState(scored=(8, 2, 2, 8), model="m", last=1)
    events = [planned(2, "margin"), Abandoned(round=2, reason="")]
    assert replay_campaign(events, campaign).steering.plays == ()
    waiting = replay_campaign([planned(2, "margin")], campaign)
    assert bandit_of(waiting.steering).waiting == {"2": "margin"}
    state = replace(waiting.rounds[2], phase=Phase.RESOLVING)
    waiting = replace(waiting, rounds={2: state})
    resolved = Resolved(round=2, answers=5, cost=0.0, base="b", parent="m", labels=5)
    labeled = replay_campaign([resolved], waiting)
    labeled = replace(labeled, rounds={2: replace(state, phase=Phase.TRAINING)})
    trained = replay_campaign([Trained(round=2, model="n", parent="m", exchanges=1)], labeled)
    judged = replay_campaign([Evaluated(round=2, held_out=(10, 0, 0, 10), random_arm=())], trained)
    (play,) = judged.steering.plays
    assert (play.labels, play.known) == (5, True)
    assert play.reward > 0
    worse = replay_campaign([Evaluated(round=2, held_out=(5, 5, 5, 5), random_arm=())], trained)
    assert worse.steering.plays[0].reward < 0
    blind = replay_campaign([Evaluated(round=2, held_out=(), random_arm=())], trained)
    assert blind.steering.plays == ()


def test_without_a_random_arm_nothing_is_found_out_and_that_is_said() -> None:
    with pytest.raises(SettingsError, match="random_share"):
        CampaignSettings(name="a", strategy="auto", random_share=0.0)
