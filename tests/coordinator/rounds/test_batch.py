"""What people can answer in time, how long it takes them, and the minutes a campaign may spend."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.rounds.batch import (
    answer_seconds,
    answers_per_hour,
    in_time,
    seconds_per_answer,
)
from coordinator.rounds.events import Planned, Selected
from coordinator.rounds.planning import affordable, item_seconds, minutes_key, spent_seconds
from coordinator.settings import BudgetSettings, CampaignSettings, LabelingSettings
from coordinator.steering_settings import CapacitySettings
from coordinator.store.budget import Resource, Spending
from fieldvote.errors import SettingsError
from fieldvote.records import MaskedItem
from tests.coordinator.rounds.campaign import NOON, Campaign, Reader, TurnedClock, settings_with

PLAIN = CampaignSettings(name="a")


class SlowReader(Reader):
    """Takes twelve seconds for an answer."""

    def __init__(self, clock: TurnedClock) -> None:
        super().__init__()
        self.clock = clock

    def answer(self, item: MaskedItem) -> int | None:
        self.clock.sleep(12.0)
        return super().answer(item)


def slow(**changes: object) -> Campaign:
    campaign = Campaign(settings_with(exchanges=2, **changes))
    campaign.people = (SlowReader(campaign.clock),)
    campaign.scheduler = campaign.started()
    return campaign


@settings(deadline=None, max_examples=50)
@given(
    pauses=st.lists(st.integers(1, 2000), max_size=20),
    people=st.lists(st.integers(0, 2), max_size=20),
)
def test_pauses_of_one_person_are_measured_and_nobody_elses(
    pauses: list[int], people: list[int]
) -> None:
    times, said, last = NOON, [], dict[int, object]()
    expected = []
    for pause, who in zip(pauses, people, strict=False):
        times += timedelta(seconds=pause)
        before = last.get(who)
        if before is not None and 0 < (times - before).total_seconds() <= 600:  # type: ignore[operator]  # two times
            expected.append((times - before).total_seconds())  # type: ignore[operator]  # two times
        last[who] = times
        said.append((str(who), times.isoformat()))
    assert sorted(answer_seconds(reversed(said))) == sorted(expected)


def test_what_nobody_measured_lasts_as_long_as_the_settings_say() -> None:
    assert seconds_per_answer([8.0] * 4, PLAIN) == 30.0
    assert seconds_per_answer([8.0] * 5, PLAIN) == 8.0
    assert answers_per_hour([], PLAIN) is None
    told = replace(PLAIN, capacity=CapacitySettings(answers_per_hour=90.0))
    assert answers_per_hour([], told) == 90.0
    two = [(who, (NOON + timedelta(seconds=20 * n)).isoformat()) for n in range(6)
           for who in ("ann", "bob")]  # fmt: skip
    assert answers_per_hour(two, PLAIN) == 360.0


def test_a_round_asks_for_what_can_be_answered_in_its_time() -> None:
    campaign = slow(capacity=CapacitySettings(hours=0.01), labels_per_device=5)
    campaign.run(3)
    # 0.01 hours are 36 seconds, and an answer takes twelve
    assert [event.budget for event in campaign.events(Planned)][1:] in ([15, 3], [3, 3])
    assert in_time(campaign.store, campaign.settings) == 3
    assert in_time(campaign.store, PLAIN) is None
    campaign.close()


def test_minutes_are_reserved_measured_and_never_passed() -> None:
    campaign = slow(budget=BudgetSettings(minutes=4.0), labels_per_device=5)
    for _ in range(4):
        campaign.scheduler.turn()
    while campaign.scheduler.turn() is None or campaign.scheduler.campaign.open:
        pass
    spending = campaign.store.budget()[Resource.MINUTES]
    answers, _ = campaign.store.paid()
    assert spending.reserved == 0
    assert answers * 12 <= spending.spent <= 240 + 3 * 30
    assert affordable(campaign.settings, campaign.store) <= 0
    assert campaign.events(Selected)
    campaign.close()


def test_what_a_round_measured_is_what_it_spent() -> None:
    campaign = slow(budget=BudgetSettings(minutes=60.0))
    campaign.run(2)
    times = campaign.store.answer_times(2)
    assert spent_seconds(campaign.store, campaign.settings, 2) == (len(times) - 1) * 12 + 12
    assert minutes_key(2) not in campaign.store.unsettled()
    campaign.close()


def test_several_answers_an_item_take_as_much_longer() -> None:
    campaign = Campaign()
    several = replace(campaign.settings, labeling=LabelingSettings(answers=3))
    assert item_seconds(campaign.store, several) == 4 * item_seconds(
        campaign.store, campaign.settings
    )
    campaign.close()


def test_without_a_limit_no_minute_is_kept() -> None:
    campaign = Campaign()
    campaign.run(2)
    assert campaign.store.budget()[Resource.MINUTES] == Spending()
    campaign.close()


@pytest.mark.parametrize(
    "wrong", [{"hours": 0.0}, {"answers_per_hour": -1.0}, {"minutes_per_answer": 0.0}]
)
def test_people_who_never_answer_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError):
        CapacitySettings(**wrong)
