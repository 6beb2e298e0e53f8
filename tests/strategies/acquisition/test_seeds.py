"""First items: of each device one at most, typical, of groups that differ."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError
from strategies.acquisition import sketch
from strategies.acquisition.offers import Offers
from strategies.acquisition.seeds import select_seeds


def offered(device: np.ndarray, sketches: np.ndarray) -> Offers:
    return Offers(
        device=device.astype(np.int64),
        score=np.zeros(len(device)),
        predicted=np.full(len(device), -1, dtype=np.int64),
        sketch=sketches,
    )


@settings(deadline=None, max_examples=80)
@given(
    devices=st.lists(st.integers(0, 6), max_size=30),
    kinds=st.integers(1, 30),
    budget=st.integers(0, 12),
    seed=st.integers(0, 99),
)
def test_each_device_gives_one_and_none_twice_as_far_as_the_budget_goes(
    devices: list[int], kinds: int, budget: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    some = rng.integers(0, 256, (kinds, 8), dtype=np.uint8)
    offers = offered(np.array(devices), some[rng.integers(0, kinds, len(devices))])
    picks = select_seeds(offers, budget, np.random.default_rng(seed))
    of = offers.device[picks].tolist()
    assert len(of) == len(set(of)) == min(budget, len(set(devices)))
    assert picks.tolist() == sorted(set(picks.tolist()))
    assert picks.tolist() == select_seeds(offers, budget, np.random.default_rng(seed)).tolist()


def test_a_rare_kind_is_asked_of_a_fleet_whose_lots_would_hardly_find_it() -> None:
    rng = np.random.default_rng(3)
    centers = 6.0 * rng.standard_normal((5, 24))
    found = drawn = 0
    for seed in range(20):
        kind = rng.choice(5, 80, p=[0.4, 0.4, 0.1, 0.06, 0.04])
        points = centers[kind] + rng.standard_normal((80, 24))
        offers = offered(np.repeat(np.arange(20), 4), sketch(points, bits=64, seed=7))
        picks = select_seeds(offers, 20, np.random.default_rng(seed))
        found += len(set(kind[picks]))
        drawn += len(set(kind[::4]))  # the first of each device
    assert found >= 1.1 * drawn


def test_a_negative_budget_is_refused_and_nothing_comes_of_nothing() -> None:
    none = Offers.none(sketch_bytes=8)
    assert not len(select_seeds(none, 3, np.random.default_rng(0)))
    with pytest.raises(InputError, match="0 or more"):
        select_seeds(none, -1, np.random.default_rng(0))
