"""Who is in the next round and what it may buy: laws on the budget and on money."""

from collections.abc import Callable
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.rounds.planning import NO_LIMIT, Planner, affordable, to_micro
from coordinator.settings import BudgetSettings, CampaignSettings, PaceSettings, RolloutSettings
from coordinator.store.budget import Resource
from coordinator.store.campaign import open_store
from fieldvote.errors import SettingsError, UnavailableError
from tests.coordinator.rounds.campaign import NOON, ONE, THREE, TWO, Campaign, settings_with
from tests.coordinator.store.places import candidate


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 30), st.integers(0, 30), st.integers(0, 10), st.integers(0, 10),
    st.integers(0, 10),
)  # fmt: skip
def test_no_more_is_affordable_than_either_limit_leaves_and_none_is_no_limit(
    labels: int, paid: int, reserved: int, spent: int, waiting: int
) -> None:
    price = 0.05
    with closing(open_store(None, now=lambda: NOON)) as store:
        for key, resource, unit in (
            ("l", Resource.LABELS, 1),
            ("m", Resource.MONEY, to_micro(price)),
        ):
            store.reserve(f"{key}1", resource, reserved * unit, NO_LIMIT)
            store.reserve(f"{key}2", resource, spent * unit, NO_LIMIT)
            store.settle_budget(f"{key}2", spent * unit)
        for number in range(waiting):
            store.keep_candidate(1, candidate(bytes([number]) * 16))
        gone = reserved + spent + waiting

        def left(**limits: float) -> int:
            budget = BudgetSettings(**limits)  # type: ignore[arg-type]  # a table
            return affordable(settings_with(price=price, budget=budget), store)

        assert left() == NO_LIMIT
        assert left(labels=labels) == labels - gone
        assert left(money=paid * price) == paid - gone
        assert left(money=paid * price + price / 2) == paid - gone
        assert left(labels=labels, money=paid * price) == min(labels, paid) - gone


@settings(deadline=None)
@given(st.integers(0, 10**7))
def test_money_in_millionths_does_not_drift(cents: int) -> None:
    assert to_micro(cents / 100) == cents * 10_000


def test_what_costs_nothing_is_not_limited_by_money() -> None:
    with closing(open_store(None, now=lambda: NOON)) as store:
        free = settings_with(price=0.0, budget=BudgetSettings(money=0.0))
        assert affordable(free, store) == NO_LIMIT


def test_spare_devices_are_surveyed_on_top_of_the_share() -> None:
    for spare, sizes in ((0.0, {1}), (0.5, {2})):
        pace = PaceSettings(minimum_share=0.5, spare_share=spare)
        with closing(Campaign(settings_with(surveyed_share=0.4, pace=pace))) as made:
            made.run(1)
            planner = Planner(made.parts, None, quorum=1)
            plan = planner.plan(made.scheduler.campaign)
            assert {len(plan.devices)} == sizes
            # asked again it is the same plan: who is drawn hangs on the round alone
            assert planner.plan(made.scheduler.campaign) == plan


def test_a_cohort_that_somebody_chose_is_taken_as_it_is() -> None:
    with closing(Campaign()) as made:
        made.run(1)
        planner = Planner(made.parts, lambda number, _: [TWO] if number == 2 else [], quorum=1)
        assert planner.plan(made.scheduler.campaign).devices == (TWO,)


def test_devices_under_update_are_not_greeted() -> None:
    class Updates:
        def bring(self, devices: object) -> None:
            assert devices == []

        def held(self) -> list[object]:
            return [ONE, THREE]

    with closing(Campaign()) as made:
        planner = Planner(made.parts, None, quorum=1, updates=Updates())  # type: ignore[arg-type]  # a small one
        assert planner.plan(made.scheduler.campaign).devices == (TWO,)
        with pytest.raises(UnavailableError, match="1 training devices are there, 2 are needed"):
            Planner(made.parts, None, quorum=2, updates=Updates()).plan(  # type: ignore[arg-type]  # see above
                made.scheduler.campaign
            )


@pytest.mark.parametrize(
    ("build", "key"),
    [
        (lambda: CampaignSettings(name=""), "name"),
        (lambda: CampaignSettings(name="x", strategy="flet"), "strategy: did you mean 'fleet'"),
        (lambda: CampaignSettings(name="x", surveyed_share=3.0), "surveyed_share"),
        (lambda: CampaignSettings(name="x", labels_per_device=0), "labels_per_device"),
        (lambda: CampaignSettings(name="x", price=float("nan")), "price"),
        (lambda: CampaignSettings(name="x", vote_weight=-1.0), "vote_weight"),
        (lambda: CampaignSettings(name="x", exchanges=1), "exchanges"),
        (lambda: CampaignSettings(name="x", sketch_bits=60), "sketch_bits"),
        (lambda: CampaignSettings(name="x", sketch_bits=256), "sketch_bits"),
        (lambda: CampaignSettings(name="x", seed_offers=0), "seed_offers"),
        (lambda: PaceSettings(minimum_share=1.5), "minimum_share"),
        (lambda: PaceSettings(minimum_share=0.8, spare_share=0.5), "spare_share"),
        (lambda: PaceSettings(open_rounds=0), "open_rounds"),
        (lambda: PaceSettings(least_interval_s=-1.0), "least_interval_s"),
        (lambda: BudgetSettings(labels=-1), "labels"),
        (lambda: RolloutSettings(doubt=0.0), "doubt"),
        (lambda: RolloutSettings(canary_share=2.0), "canary_share"),
    ],
)
def test_settings_no_campaign_can_go_by_are_refused_by_name(
    build: Callable[[], object], key: str
) -> None:
    with pytest.raises(SettingsError, match=key):
        build()


def test_averaging_learns_from_its_first_exchange() -> None:
    assert CampaignSettings(name="x", learner="averaged", exchanges=1).exchanges == 1
