import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, ShapeError
from strategies.aggregation.groups import GroupSum, deal, median_of_groups
from strategies.aggregation.robust import ROBUST, krum, median, multi_krum, trimmed_mean

RULES = [name for name in ROBUST if name != "mean"]


@pytest.mark.parametrize("name", ROBUST)
def test_where_all_agree_every_rule_says_what_they_say(name):
    assert ROBUST[name](np.tile([1.0, -2.0, 3.0], (7, 1)), 0.2).tolist() == [1.0, -2.0, 3.0]


@pytest.mark.parametrize("name", ROBUST)
@given(st.permutations(range(9)))
@settings(deadline=None, max_examples=20)
def test_the_order_of_the_devices_does_not_matter(name, order):
    rows = np.random.default_rng(1).normal(size=(9, 4))
    assert ROBUST[name](rows[list(order)], 0.2) == pytest.approx(ROBUST[name](rows, 0.2))


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("lie", [1e12, -1e12, 3.0, math.nan, math.inf])
def test_a_fifth_of_liars_cannot_lead_far_from_the_honest(name, lie):
    honest = np.random.default_rng(2).normal(1.0, 0.1, size=(40, 5))
    found = ROBUST[name](np.vstack([honest, np.full((10, 5), lie)]), 0.2)
    assert np.abs(found - 1.0).max() < 0.35


def test_the_plain_mean_is_led_anywhere_by_one():
    rows = np.vstack([np.ones((9, 2)), np.full((1, 2), 1e12)])
    assert ROBUST["mean"](rows, 0.2).min() > 1e10


def test_the_trimmed_mean_is_the_mean_of_what_a_sort_leaves():
    rows = np.random.default_rng(3).normal(size=(11, 6))
    twin = [np.mean(sorted(column)[3:-3]) for column in rows.T]
    assert trimmed_mean(rows, 0.2) == pytest.approx(twin)
    assert trimmed_mean(rows, 0.0) == pytest.approx(rows.mean(axis=0))
    assert trimmed_mean(rows[:2], 0.49) == pytest.approx(rows[:2].mean(axis=0))


def test_krum_is_the_row_that_a_double_loop_finds():
    rows = np.random.default_rng(4).normal(size=(12, 3))
    liars = 3
    scores = []
    for i, row in enumerate(rows):
        others = sorted(((row - other) ** 2).sum() for j, other in enumerate(rows) if j != i)
        scores.append(sum(others[: 12 - liars - 2]))
    order = np.argsort(scores)
    assert krum(rows, 0.25) == pytest.approx(rows[order[0]])
    assert multi_krum(rows, 0.25) == pytest.approx(rows[order[: 12 - liars]].mean(axis=0))


def test_one_device_is_believed():
    for rule in (median, trimmed_mean, krum, multi_krum):
        assert rule(np.array([[2.0, 3.0]])).tolist() == [2.0, 3.0]


@pytest.mark.parametrize("name", ROBUST)
def test_what_cannot_be_combined_is_refused(name):
    for rows in (np.empty((0, 3)), np.empty((3, 0)), np.ones(3)):
        with pytest.raises(ShapeError):
            ROBUST[name](rows, 0.2)
    with pytest.raises(InputError):
        ROBUST[name](np.full((3, 2), np.nan), 0.2)
    for share in (-0.1, 0.5, math.nan):
        with pytest.raises(InputError):
            ROBUST[name](np.ones((3, 2)), share)


@given(st.integers(1, 200), st.integers(1, 30), st.integers(1, 30))
@settings(deadline=None)
def test_groups_hold_everybody_once_and_never_fall_below_the_floor(devices, groups, floor):
    rng = np.random.default_rng(devices)
    if devices < floor:
        with pytest.raises(InputError):
            deal(devices, groups=groups, floor=floor, rng=rng)
        return
    dealt = deal(devices, groups=groups, floor=floor, rng=rng)
    assert sorted(np.concatenate(dealt).tolist()) == list(range(devices))
    assert min(len(group) for group in dealt) >= floor
    assert len(dealt) <= groups


def test_company_is_drawn_anew():
    rng = np.random.default_rng(1)
    first, second = (deal(40, groups=4, floor=10, rng=rng)[0].tolist() for _ in range(2))
    assert first != second


def test_sums_that_cannot_be_true_are_dropped_and_fewer_than_half_of_the_others_outvoted():
    honest = [GroupSum(total=np.array([10.0 + i]), devices=10) for i in range(3)]
    within = [GroupSum(total=np.array([-20.0]), devices=10)]
    beyond = [GroupSum(total=np.array([lie]), devices=10) for lie in (1e9, math.nan, math.inf)]
    found = median_of_groups([*honest, *within, *beyond], bound=2.0)
    assert found.dropped == (4, 5, 6)
    assert found.value == pytest.approx([1.05])


def test_noise_may_make_a_sum_longer_by_the_slack():
    noised = GroupSum(total=np.array([21.0]), devices=10)
    with pytest.raises(InputError, match="none of 1"):
        median_of_groups([noised], bound=2.0)
    assert median_of_groups([noised], bound=2.0, slack=2.0).value == pytest.approx([2.1])


@pytest.mark.parametrize(
    "bad",
    [
        {"sums": []},
        {"bound": 0.0},
        {"bound": math.nan},
        {"slack": -1.0},
        {"sums": [GroupSum(total=np.ones(2), devices=0)]},
        {"sums": [GroupSum(total=np.ones(2), devices=1), GroupSum(total=np.ones(3), devices=1)]},
    ],
)
def test_groups_that_are_none_are_refused(bad):
    arguments = {"sums": [GroupSum(total=np.ones(2), devices=3)], "bound": 9.0} | bad
    with pytest.raises(InputError):
        median_of_groups(arguments.pop("sums"), **arguments)
