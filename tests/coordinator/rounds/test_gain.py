"""Two shadow heads in a round: the same as trained centrally, made again to the bit, and cheap."""

from dataclasses import replace

import numpy as np
import pytest

from coordinator.models.shadow_heads import Samples, comparing, fits
from coordinator.rounds.events import Asked, Closed, Compared, Evaluated
from coordinator.rounds.reproduce import reproduce
from coordinator.rounds.steering_view import gain_told
from coordinator.rounds.views import list_rounds, show_round
from coordinator.steering_settings import GainSettings
from fieldvote.arms import draw_of, for_evaluation
from fieldvote.comparing import GRADIENT, OUTCOME, SKETCH, CompareReply
from fieldvote.conversation import Conversation
from fieldvote.errors import SettingsError
from fieldvote.records import ARM_CHOSEN, ARM_RANDOM, ARM_SEED, decode, encode
from tests.coordinator.rounds.campaign import Campaign, settings_with

COMPARING = settings_with(
    gain=GainSettings(every=2, least=1, exchanges=3), random_share=0.5, labels_per_device=3
)


@pytest.fixture(scope="module")
def compared() -> Campaign:
    campaign = Campaign(COMPARING)
    campaign.run(4)
    return campaign


def test_heads_are_compared_in_every_second_round_before_the_new_one_is_judged(
    compared: Campaign,
) -> None:
    assert [event.round for event in compared.events(Compared)] == [2, 4]
    names = [type(event).__name__ for event in compared.scheduler.events if event.round == 4]
    assert names.index("Compared") < names.index("Evaluated")
    legs = [e.leg for e in compared.events(Asked) if e.exchange == "compare" and e.round == 4]
    assert legs == list(range(len(legs)))
    assert 3 <= len(legs) <= 2 + COMPARING.gain.exchanges
    assert all(e.sums for e in compared.events(Closed) if e.exchange == "compare")


def test_equally_many_of_each_kind_teach_and_none_that_judges(compared: Campaign) -> None:
    (event,) = (event for event in compared.events(Compared) if event.round == 4)
    labeled = compared.store.labeled_arms(4)
    samples = Samples.of(labeled, COMPARING.seed + 4)
    below = {ARM_CHOSEN: samples.chosen_below, ARM_RANDOM: samples.drawn_below}
    teach = [
        (item, arm)
        for item, arm in labeled
        if arm != ARM_SEED
        and draw_of(item, samples.seed) < below[arm]
        and not (arm == ARM_RANDOM and for_evaluation(item))
    ]
    kinds = [arm for _, arm in teach]
    assert kinds.count(ARM_CHOSEN) == kinds.count(ARM_RANDOM) == event.labels == samples.labels > 0


def test_a_comparison_is_made_again_from_its_legs_and_to_other_bits_from_others(
    compared: Campaign,
) -> None:
    events = compared.scheduler.events
    made = {e.step: e for e in reproduce(compared.store, compared.parts.task, COMPARING, events, 4)}
    assert made["gain"].same
    assert all(each.same for each in made.values())
    (said,) = (event for event in events if isinstance(event, Compared) and event.round == 4)
    bent = [replace(e, better=e.better + 1) if e is said else e for e in events]
    remade = reproduce(compared.store, compared.parts.task, COMPARING, bent, 4)
    assert not {each.step: each for each in remade}["gain"].same


def test_the_head_that_is_served_does_not_depend_on_the_comparison(compared: Campaign) -> None:
    without = Campaign(replace(COMPARING, gain=GainSettings()))
    without.run(4)
    assert without.scheduler.campaign.model == compared.scheduler.campaign.model
    assert [e.held_out for e in without.events(Evaluated)] == [
        e.held_out for e in compared.events(Evaluated)
    ]
    assert without.events(Compared) == []
    without.close()


def test_people_see_it_with_its_interval(compared: Campaign) -> None:
    (event,) = (event for event in compared.events(Compared) if event.round == 4)
    assert show_round(compared.store, 4)["gain_per_1000_labels"] == gain_told(event)
    assert list_rounds(compared.store)[3]["gain"] == f"{event.per_thousand:.2f}"
    gain = compared.scheduler.campaign.steering.gain
    assert (gain.round, gain.low, gain.high) == (4, event.low, event.high)
    assert event.low <= event.per_thousand <= event.high


def test_with_too_few_labels_of_a_kind_a_round_goes_on_without() -> None:
    campaign = Campaign(replace(COMPARING, gain=GainSettings(every=1, least=500)))
    campaign.run(2)
    assert campaign.events(Compared) == []
    assert not [e for e in campaign.events(Asked) if e.exchange == "compare"]
    campaign.close()


@pytest.mark.slow  # two campaigns, one of them started at every turn
def test_a_coordinator_that_is_started_anew_at_every_turn_comes_to_the_same() -> None:
    found = []
    for restarts in (False, True):
        campaign = Campaign(COMPARING)
        if restarts:
            while not (scheduler := campaign.started(rounds=4)).finished:
                if scheduler.turn() is not None:
                    campaign.clock.sleep(1.0)
            campaign.scheduler = scheduler
        else:
            campaign.run(4)
        legs = [e.sums for e in campaign.events(Closed) if e.exchange == "compare"]
        found.append((campaign.events(Compared), legs))
        campaign.close()
    assert found[0] == found[1]


def test_a_head_that_is_done_first_waits_for_the_other() -> None:
    campaign = Campaign(COMPARING)
    campaign.run(2)
    base = campaign.parts.shelf.get(campaign.scheduler.campaign.model)
    samples = Samples(labels=1, seed=1, chosen_below=0, drawn_below=0)
    talk = Conversation.begin(comparing(3, base, samples, COMPARING))
    abouts = []
    while talk.asked is not None:
        abouts.append(talk.asked.about)
        replies = [
            agent.handle(encode(talk.asked))
            for device, agent in campaign.fleet.agents.items()
            if talk.asked.about == OUTCOME or int(device) <= 3
        ]
        vectors = [decode(reply, CompareReply).sums for reply in replies]
        assert all(fits(talk.asked, vector) for vector in vectors)
        talk.tell(np.sum(vectors, axis=0))
    assert abouts[0] == SKETCH
    assert abouts[-1] == OUTCOME
    assert set(abouts[1:-1]) <= {GRADIENT}
    campaign.close()


def test_sums_that_no_device_can_have_are_not_counted(compared: Campaign) -> None:
    base = compared.parts.shelf.get(compared.scheduler.campaign.model)
    samples = Samples(labels=1, seed=1, chosen_below=0, drawn_below=0)
    request = next(comparing(1, base, samples, COMPARING))
    outcome = replace(request, about=OUTCOME)
    assert fits(outcome, np.array([5, 2, 3]))
    for wrong in ([5, 3, 3], [-1, 0, 0], [5, 1], [1 << 40, 0, 0]):
        assert not fits(outcome, np.array(wrong))
    for length in (0, 1, 8):
        assert not fits(request, np.zeros(length, dtype=np.int64))
        assert not fits(replace(request, about=GRADIENT), np.zeros(length, dtype=np.int64))


@pytest.mark.parametrize("wrong", [{"every": -1}, {"least": 0}, {"exchanges": 1}])
def test_heads_that_nothing_trains_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(SettingsError):
        GainSettings(**wrong)
