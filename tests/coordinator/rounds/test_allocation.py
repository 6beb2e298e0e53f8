"""Quotas: what is missing is asked for, together never more than all, of classes there are."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.models.totals import dump_settings, load_settings_text
from coordinator.rounds.allocation import aims_of, check_classes, wishes_of
from coordinator.rounds.events import Planned
from coordinator.rounds.machine import RoundState
from coordinator.rounds.reproduce import reproduce
from coordinator.steering_settings import AllocationSettings, ClassShare
from fieldvote.errors import SettingsError
from tests.coordinator.rounds.campaign import Campaign, settings_with

HIGH = AllocationSettings(classes=(ClassShare(name="high", share=0.8),))


@settings(deadline=None, max_examples=80)
@given(
    quotas=st.lists(st.floats(0.01, 0.3), min_size=1, max_size=3),
    labels=st.lists(st.integers(0, 50), min_size=3, max_size=3),
    budget=st.integers(0, 40),
    drift=st.lists(st.floats(0.0, 0.6), min_size=3, max_size=3),
)
def test_shares_are_never_more_than_all_and_reach_the_quota_where_they_can(
    quotas: list[float], labels: list[int], budget: int, drift: list[float]
) -> None:
    names = ["a", "b", "c"]
    allocation = AllocationSettings(
        classes=tuple(ClassShare(name=n, share=q) for n, q in zip(names, quotas, strict=False))
    )
    have = dict(enumerate(labels))
    aims = aims_of(allocation, names, have, budget, drift)
    assert sum(aims) <= 1.0
    assert all(0.0 <= share <= 1.0 for share in aims)
    wanted = aims_of(allocation, names, have, budget)
    if wanted and sum(wanted) < 0.999:
        for place, quota in enumerate(quotas):
            after = labels[place] + wanted[place] * budget
            assert after >= quota * (sum(labels) + budget) - 1e-4 * max(budget, 1)


def test_a_class_that_is_missing_is_asked_for_until_its_quota_is_reached() -> None:
    rules = settings_with(allocation=HIGH, exchanges=2, labels_per_device=3, sketch_bits=64)
    campaign = Campaign(replace(rules, seed_offers=3))
    campaign.run(3)
    assert len(campaign.store.offers(1)) == 9
    granted = campaign.store.offers(1, granted=True)
    assert sorted(offer.device for offer in granted) == list(campaign.events(Planned)[0].devices)
    assert {8 * len(offer.sketch) for offer in campaign.store.offers(3)} == {64}
    aims = [event.aims for event in campaign.events(Planned)]
    assert aims[0] == ()  # without a head nothing is predicted
    assert all(each[1] > 0 for each in aims[1:])
    for number in (1, 2, 3):
        made = reproduce(
            campaign.store,
            campaign.parts.task,
            campaign.settings,
            campaign.scheduler.events,
            number,
        )
        assert all(each.same for each in made)
    campaign.close()


def test_quotas_are_read_back_from_what_a_round_kept() -> None:
    with_quota = settings_with(allocation=HIGH)
    assert load_settings_text(dump_settings(with_quota)) == with_quota
    assert wishes_of(RoundState(), with_quota).class_shares == {}
    floor = settings_with(allocation=AllocationSettings(per_device=2))
    assert wishes_of(RoundState(aims=(0.25, 0.0)), floor).per_device_floor == 2


def test_a_class_the_task_does_not_have_is_said_at_the_start() -> None:
    check_classes(settings_with(allocation=HIGH), ["low", "high"])
    with pytest.raises(SettingsError, match="did you mean 'hihg'"):
        check_classes(settings_with(allocation=HIGH), ["low", "hihg"])


def test_more_than_all_a_class_twice_and_debts_are_refused() -> None:
    half = ClassShare(name="a", share=0.6)
    for wrong in (
        {"classes": (half, half)},
        {"classes": (half, ClassShare(name="b", share=0.6))},
        {"per_device": -1},
    ):
        with pytest.raises(SettingsError):
            AllocationSettings(**wrong)
    with pytest.raises(SettingsError):
        ClassShare(name="a", share=0.0)
