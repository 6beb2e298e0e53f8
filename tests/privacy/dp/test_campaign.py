"""What a campaign's releases cost follows from its policy, and adds up to no more than it has."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, LedgerSpentError, RefusalError
from fieldvote.privacy_policy import PrivacySettings, PrivacySplit
from privacy.dp.campaign import (
    is_apart,
    is_repeated,
    plan_of,
    planned_spending,
    policy_of,
    price_of,
    shares_of,
)
from privacy.dp.policy import Unit

RECORD = PrivacySettings(unit="record")
UNITS = {
    "record": ("moments", "votes", "anchors", "gram", "cross", "evaluation"),
    "watched": ("moments", "votes", "anchors", "gram", "cross", "evaluation", "arrivals"),
    "device": ("update", "verdict"),
}


@given(
    st.sampled_from(["record", "watched", "device"]),
    st.floats(0.05, 50.0),
    st.integers(1, 40),
    st.floats(0.01, 0.97),
)
@settings(deadline=None, max_examples=60)
def test_all_rounds_together_cost_no_more_than_each_kind_may(unit, epsilon, rounds, training):
    watch = 0.1 * (1.0 - training) if unit == "watched" else 0.0
    rest = (1.0 - training - watch) / 2.0
    chosen = PrivacySettings(
        unit="device" if unit == "device" else "record",
        epsilon=epsilon,
        rounds=rounds,
        split=PrivacySplit(training=training, summaries=rest, evaluation=rest, watch=watch),
    )
    spent: dict[str, int] = {}
    for about in UNITS[unit]:
        # of releases that share no record, all cost what the dearest does
        for turn in range(rounds if is_repeated(about) and not is_apart(about) else 1):
            price = price_of(chosen, about, turn)
            spent[price.kind] = spent.get(price.kind, 0) + price.micro_rho
    policy = policy_of(chosen)
    assert all(amount <= policy.micro_rho_by_kind[kind] for kind, amount in spent.items())
    assert sum(spent.values()) == planned_spending(chosen, rounds) <= policy.micro_rho
    assert planned_spending(chosen, rounds + 5) == planned_spending(chosen, rounds)


def test_later_rounds_get_more_and_what_is_not_in_the_budget_is_refused():
    prices = [price_of(RECORD, "cross", turn).micro_rho for turn in range(RECORD.rounds)]
    assert prices == sorted(prices)
    assert prices[-1] / prices[0] == pytest.approx(1.3**7, rel=0.01)
    with pytest.raises(LedgerSpentError, match="for 8 releases of cross"):
        price_of(RECORD, "cross", RECORD.rounds)
    with pytest.raises(LedgerSpentError, match="for 1 releases of votes"):
        price_of(RECORD, "votes", 1)
    with pytest.raises(InputError, match="no statistic"):
        price_of(RECORD, "gradients", 0)
    with pytest.raises(InputError):
        price_of(RECORD, "cross", -1)


def test_the_watch_has_its_share_in_every_round_and_none_where_the_policy_gives_it_none():
    split = PrivacySplit(training=0.5, summaries=0.2, evaluation=0.2, watch=0.1)
    prices = {price_of(replace(RECORD, split=split), "arrivals", n).micro_rho for n in range(8)}
    assert prices == {policy_of(RECORD).micro_rho // 10}
    with pytest.raises(RefusalError, match=r"lets no arrivals leave: privacy\.split\.watch is 0"):
        price_of(RECORD, "arrivals", 0)


@pytest.mark.parametrize("rounds", [50, 200])
def test_of_many_rounds_the_first_too_may_release_something(rounds: int) -> None:
    many = replace(RECORD, rounds=rounds)
    for about in ("anchors", "cross", "evaluation"):
        assert price_of(many, about, 0).micro_rho > 0
        plan_of(many, about, 0, l2_squared=10, length=500, secure=True)


def test_what_hides_a_record_is_not_released_where_devices_are_promised_and_the_reverse():
    assert policy_of(RECORD).unit is Unit.RECORD
    with pytest.raises(RefusalError, match="hides one device, the policy one record"):
        price_of(RECORD, "update", 0)
    with pytest.raises(RefusalError, match="hides one record, the policy one device"):
        price_of(replace(RECORD, unit="device"), "gram", 0)
    with pytest.raises(InputError, match="its sums are exact"):
        policy_of(PrivacySettings())


def test_a_share_of_the_noise_is_enough_only_where_no_single_reply_is_seen():
    assert shares_of(RECORD, secure=True) == RECORD.sure == 80
    assert shares_of(RECORD, secure=False) == 1
    assert shares_of(replace(RECORD, against="outsiders"), secure=False) == 80


@pytest.mark.parametrize("about", UNITS["record"])
def test_the_noise_of_a_plan_costs_its_price_and_no_more(about: str) -> None:
    for secure in (True, False):
        plan = plan_of(RECORD, about, 0, l2_squared=26, length=101, secure=secure)
        cost = plan.noise.micro_rho(l2_squared=plan.l2_squared, length=101)
        price = price_of(RECORD, about, 0).micro_rho
        assert 0.97 * price <= cost <= price
        assert plan.noise.shares == 1 or plan.noise.share_variance >= 3
