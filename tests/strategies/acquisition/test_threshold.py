"""A threshold from a summed histogram: what ships is what a choice over all scores would ship."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError
from strategies.acquisition.threshold import Threshold, above, score_histogram, threshold_for


@settings(deadline=None, max_examples=120)
@given(
    seed=st.integers(0, 2**32),
    items=st.integers(0, 60),
    devices=st.integers(1, 6),
    budget=st.integers(0, 80),
    bins=st.integers(1, 40),
    steps=st.integers(1, 50),
)
def test_bins_above_the_edge_ship_whole_and_fit_the_budget(
    seed: int, items: int, devices: int, budget: int, bins: int, steps: int
) -> None:
    rng = np.random.default_rng(seed)
    scores, device = rng.integers(0, steps + 1, items) / steps, rng.integers(0, devices, items)
    summed = sum(
        (score_histogram(scores[device == d], bins=bins) for d in range(devices)),
        start=np.zeros(bins, dtype=np.int64),
    )
    # the histogram of all is the sum over devices
    assert summed.tolist() == score_histogram(scores, bins=bins).tolist()
    threshold = threshold_for(summed, budget)
    own = np.minimum((scores * bins).astype(int), bins - 1)
    sure = set(np.flatnonzero(own > threshold.edge).tolist())
    edge = set(np.flatnonzero(own == threshold.edge).tolist())
    shipped = [
        int(np.flatnonzero(device == d)[place])
        for d in range(devices)
        for place in above(scores[device == d], threshold, rng, bins=bins)
    ]
    assert len(set(shipped)) == len(shipped)
    assert sure <= set(shipped) <= sure | edge
    assert threshold.there == len(edge)
    assert len(sure) + threshold.shipped == min(budget, items)
    if threshold.shipped == threshold.there:
        assert set(shipped) == sure | edge
    if not threshold.shipped:
        assert set(shipped) == sure


def test_a_device_ships_its_best_first() -> None:
    scores = np.array([0.2, 0.9, 0.7, 0.9])
    threshold = threshold_for(score_histogram(scores), 3)
    assert above(scores, threshold, np.random.default_rng(0)).tolist() == [1, 3, 2]


def test_on_average_the_fleet_ships_what_the_budget_buys() -> None:
    rng = np.random.default_rng(3)
    pools = [rng.random(50) ** 2 for _ in range(40)]
    threshold = threshold_for(sum(score_histogram(pool, bins=16) for pool in pools), 333)
    counts = [sum(len(above(pool, threshold, rng, bins=16)) for pool in pools) for _ in range(200)]
    # each count strays by sqrt(there)/2 at most; five deviations of the mean of 200
    assert abs(np.mean(counts) - 333) < 5 * threshold.there**0.5 / 2 / 200**0.5
    assert 0 < threshold.shipped < threshold.there


def test_noise_below_zero_counts_as_nobody() -> None:
    assert threshold_for(np.array([9, -4, 3, -1]), 5) == Threshold(edge=0, shipped=2, there=9)
    assert threshold_for(np.array([-1, -1]), 5) == Threshold(edge=0, shipped=0, there=0)


def test_what_are_not_scores_or_thresholds_is_refused() -> None:
    rng = np.random.default_rng(0)
    for scores in ([1.1], [-0.1], [float("nan")], [[0.5]]):
        with pytest.raises(InputError):
            score_histogram(scores)
        with pytest.raises(InputError):
            above(scores, Threshold(edge=0, shipped=0, there=0), rng)
    with pytest.raises(InputError):
        score_histogram([0.5], bins=0)
    with pytest.raises(InputError):
        threshold_for(np.zeros(0, dtype=np.int64), 1)
    with pytest.raises(InputError):
        threshold_for(np.zeros(3, dtype=np.int64), -1)
    for edge, shipped, there in ((-1, 0, 0), (0, 2, 1), (0, -1, 1)):
        with pytest.raises(InputError):
            Threshold(edge=edge, shipped=shipped, there=there)
