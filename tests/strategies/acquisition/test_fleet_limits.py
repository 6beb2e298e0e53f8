"""Quotas, floors and pending items, against a choice that looks at everything for every pick."""

from collections import Counter
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, ShapeError
from strategies.acquisition import hamming, sketch
from strategies.acquisition.duplicates import duplicate_groups
from strategies.acquisition.fleet import select_fleet
from strategies.acquisition.fleet_limits import FleetLimits, take
from strategies.acquisition.offers import Offers, aged
from tests.strategies.acquisition.test_fleet import offered


def by_hand(
    order: list[int], offers: Offers, budget: int, limits: FleetLimits, pending: Offers
) -> list[int]:
    """Take the first offer that may be taken, again and again."""
    taken: list[int] = []
    groups = duplicate_groups(
        np.concatenate([offers.sketch, pending.sketch]), limits.duplicate_bits or 0
    )

    def first(*, named: int | None = None, below: int | None = None) -> int | None:
        of_device = Counter(offers.device[taken].tolist())
        asked = np.concatenate([offers.sketch[taken], pending.sketch])
        for i in order:
            device = int(offers.device[i])
            near = hamming(asked, offers.sketch[i]).min(initial=10**6)
            if limits.chained:
                near_groups = {*groups[taken], *groups[len(offers) :]}
                near = -1 if groups[i] in near_groups else 10**6
            bits, cap = limits.duplicate_bits, limits.per_device_cap
            if (
                i not in taken
                and (named is None or offers.predicted[i] == named)
                and (below is None or of_device[device] < below)
                and (cap is None or of_device[device] < cap)
                and (bits is None or not offers.sketch.shape[1] or near > bits)
            ):
                return i
        return None

    wanted: list[dict[str, int]] = []
    for name, count in limits.wanted(offers, budget, pending):
        wanted += [{"named": name}] * count
    for turn in range(1, limits.per_device_floor + 1):
        wanted += [{"below": turn}] * len(order)
    for wish in wanted + [{}] * budget:
        found = first(**wish)
        if found is not None and len(taken) < budget:
            taken.append(found)
    return sorted(taken, key=order.index)


@settings(deadline=None, max_examples=120)
@given(
    seed=st.integers(0, 2**32),
    items=st.integers(0, 25),
    waiting=st.integers(0, 5),
    budget=st.integers(0, 20),
    cap=st.none() | st.integers(2, 5),
    floor=st.integers(0, 2),
    bits=st.none() | st.integers(0, 30),
    shares=st.dictionaries(st.integers(0, 3), st.sampled_from([0.0, 0.07, 0.25]), max_size=3),
    size=st.sampled_from([0, 1, 8, 9]),
    chained=st.booleans(),
)
def test_what_is_taken_is_what_looking_at_everything_takes(
    seed: int,
    items: int,
    waiting: int,
    budget: int,
    cap: int | None,
    floor: int,
    bits: int | None,
    shares: dict[int, float],
    size: int,
    chained: bool,
) -> None:
    rng = np.random.default_rng(seed)
    offers = offered(rng, items, kinds=12, sketch_bytes=size)
    pending = offered(rng, waiting, kinds=12, sketch_bytes=size)
    limits = FleetLimits(
        per_device_cap=cap,
        duplicate_bits=bits,
        chained=chained,
        class_shares=shares,
        per_device_floor=floor,
    )
    order = rng.permutation(items)
    # an order may name an offer twice
    taken = take(
        np.concatenate([order[: items // 2], order]),
        offers,
        budget,
        limits,
        pending,
        pending.sketch,
    )
    assert taken.tolist() == by_hand(order.tolist(), offers, budget, limits, pending)


def many(seed: int, items: int = 240, *, rare: int = 12) -> Offers:
    """Offers of 12 devices; class 2 is rare, and of the least uncertain."""
    rng = np.random.default_rng(seed)
    predicted = rng.integers(0, 2, items)
    score = 0.5 + rng.random(items) / 2
    predicted[:rare], score[:rare] = 2, rng.random(rare) / 10
    return Offers(
        device=rng.integers(0, 12, items),
        score=score,
        predicted=predicted,
        sketch=rng.integers(0, 256, (items, 8), dtype=np.uint8),
    )


@pytest.mark.parametrize("budget", [1, 10, 24, 60])
def test_a_declared_rare_class_reaches_its_share(budget: int) -> None:
    offers = many(1)
    plain = select_fleet(offers, budget, np.random.default_rng(0))
    assert not (offers.predicted[plain] == 2).any()
    chosen = select_fleet(offers, budget, np.random.default_rng(0), class_shares={2: 0.15})
    assert (offers.predicted[chosen] == 2).sum() == min(ceil(0.15 * budget), 12)
    assert len(chosen) == budget
    # the rest are the most wanted still
    others = chosen[offers.predicted[chosen] != 2]
    assert set(others.tolist()) <= set(plain.tolist())


def test_pending_items_count_towards_the_share_of_their_class() -> None:
    offers, pending = many(1), many(2, 10, rare=4)
    chosen = select_fleet(
        offers, 20, np.random.default_rng(0), class_shares={2: 0.2}, pending=pending
    )
    # a fifth of 20 picks and 10 pending is 6, of which 4 are on their way
    assert (offers.predicted[chosen] == 2).sum() == 2


def test_every_device_gets_its_least_picks_and_none_more_than_its_most() -> None:
    offers = many(3)
    bold = Offers(
        device=offers.device,
        score=offers.score + 5.0 * (offers.device == 4),
        predicted=offers.predicted,
        sketch=offers.sketch,
    )
    alone = Counter(bold.device[select_fleet(bold, 30, np.random.default_rng(0))].tolist())
    assert alone[4] > 10
    fair = select_fleet(bold, 30, np.random.default_rng(0), per_device_floor=2, per_device_cap=4)
    counts = Counter(bold.device[fair].tolist())
    assert len(fair) == 30
    assert set(counts.values()) <= {2, 3, 4}
    assert set(counts) == set(range(12))


def test_a_region_that_is_pending_is_asked_about_after_all_others() -> None:
    rng = np.random.default_rng(5)
    centers = rng.standard_normal((9, 40))
    group = np.repeat(np.arange(9), 12)
    bits = sketch(centers[group] + 0.2 * rng.standard_normal((108, 40)), bits=128, seed=5)
    offers = Offers(
        device=rng.integers(0, 9, 108),
        score=np.where(group < 3, 0.9, 0.6) + 0.05 * rng.random(108),
        predicted=group % 3,
        sketch=bits,
    )
    asked = np.flatnonzero(np.isin(group, [0, 1, 2]))[::12]
    pending = Offers(
        device=offers.device[asked],
        score=offers.score[asked],
        predicted=offers.predicted[asked],
        sketch=bits[asked],
    )
    for seed in range(5):
        draw = np.random.default_rng(seed)
        plain = select_fleet(offers, 6, draw, prefilter=20)
        assert set(group[plain]) & {0, 1, 2}
        draw = np.random.default_rng(seed)
        after = select_fleet(offers, 6, draw, prefilter=20, pending=pending)
        assert not set(group[after]) & {0, 1, 2}
        assert len(set(group[after])) >= 5
        assert not set(after.tolist()) & set(asked.tolist()), "a pending item was asked again"


def test_of_a_text_that_changed_on_its_way_one_version_is_asked() -> None:
    # each version differs in 4 bits from the one before, and in more from those further back
    steps = np.tril(np.ones((16, 16), dtype=np.uint8), -1).repeat(4, axis=1)
    offers = Offers(
        device=np.arange(16),
        score=np.linspace(0.9, 0.5, 16),
        predicted=np.zeros(16, dtype=np.int64),
        sketch=np.packbits(steps, axis=1),
    )
    rng = np.random.default_rng(0)
    assert select_fleet(offers, 16, rng, duplicate_bits=4).tolist() == list(range(0, 16, 2))
    assert select_fleet(offers, 16, rng, duplicate_bits=4, chained=True).tolist() == [0]
    assert select_fleet(offers, 16, rng, duplicate_bits=3, chained=True).tolist() == list(range(16))


def test_nothing_wished_for_changes_nothing() -> None:
    for seed in range(10):
        offers = many(seed, 100)
        plain, wished = (
            select_fleet(offers, 20, np.random.default_rng(seed), **wishes)
            for wishes in (
                {},
                {"class_shares": {}, "per_device_floor": 0, "pending": offers.none(sketch_bytes=8)},
            )
        )
        assert plain.tolist() == wished.tolist()


def test_limits_that_are_none_are_refused() -> None:
    for wrong in (
        {"per_device_floor": -1},
        {"per_device_cap": 1, "per_device_floor": 2},
        {"class_shares": {0: -0.1}},
        {"class_shares": {0: 0.6, 1: 0.6}},
        {"class_shares": {0: float("nan")}},
    ):
        with pytest.raises(InputError):
            select_fleet(many(0), 5, np.random.default_rng(0), **wrong)
    with pytest.raises(ShapeError):
        select_fleet(many(0), 5, np.random.default_rng(0), pending=Offers.none(sketch_bytes=16))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.integers(0, 30), st.integers(0, 9))
def test_older_offers_are_worth_less_and_then_nothing(seed: int, items: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    offers, ages = offered(rng, items), rng.integers(0, 12, items)
    left, which = aged(offers, ages, half_life_rounds=3.0, most_rounds=most)
    assert which.tolist() == [i for i in range(items) if ages[i] <= most]
    for place, i in enumerate(which):
        assert left.score[place] == pytest.approx(offers.score[i] * 0.5 ** (ages[i] / 3.0))
        assert left.sketch[place].tolist() == offers.sketch[i].tolist()
    new, all_of_them = aged(offers, np.zeros(items, dtype=np.int64))
    assert new.score.tolist() == offers.score.tolist()
    assert len(all_of_them) == items


def test_of_two_equal_offers_the_newer_is_picked() -> None:
    offers = Offers(
        device=np.arange(3),
        score=np.array([0.8, 0.8, 0.5]),
        predicted=np.zeros(3, dtype=np.int64),
        sketch=np.arange(24, dtype=np.uint8).reshape(3, 8) * 37,
    )
    left, which = aged(offers, np.array([1, 0, 0]))
    picked = select_fleet(left, 1, np.random.default_rng(0), prefilter=1)
    assert which[picked].tolist() == [1]


def test_ages_that_are_none_are_refused() -> None:
    offers = many(0, 20)
    with pytest.raises(ShapeError):
        aged(offers, np.zeros(3, dtype=np.int64))
    for wrong in (
        {"half_life_rounds": 0.0},
        {"half_life_rounds": float("nan")},
        {"most_rounds": -1},
    ):
        with pytest.raises(InputError):
            aged(offers, np.zeros(20, dtype=np.int64), **wrong)
    with pytest.raises(InputError):
        aged(offers, np.full(20, -1))
