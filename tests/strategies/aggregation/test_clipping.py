import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, ShapeError
from fieldvote.rng import keyed_entropy, stream
from privacy.dp.mechanisms import add_share, noise_within
from strategies.aggregation.clipping import (
    FLAG,
    L2_SQUARED,
    STEPS,
    AdaptiveBound,
    ClippedUpdate,
    clip_update,
    mean_update,
)

numbers = st.floats(-1e300, 1e300, allow_nan=False)


@given(st.lists(numbers, min_size=1, max_size=20), st.floats(1e-3, 1e3))
@settings(deadline=None, max_examples=300)
def test_no_device_moves_the_sum_by_more_than_what_is_accounted(update, bound):
    vector = clip_update(np.array(update), bound).to_vector()
    assert sum(int(number) ** 2 for number in vector) <= L2_SQUARED


def test_a_short_update_is_only_rounded_and_a_long_one_keeps_its_direction():
    short = np.array([0.3, -0.4])
    assert clip_update(short, 1.0).update / STEPS == pytest.approx(short, abs=1 / STEPS)
    assert clip_update(short, 1.0).within == FLAG
    long = clip_update(short * 100, 1.0)
    assert long.update / STEPS == pytest.approx([0.6, -0.8], abs=2 / STEPS)
    assert long.within == -FLAG


def test_the_flag_costs_a_hundredth_of_the_budget():
    assert L2_SQUARED <= 1.0101 * STEPS**2


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_an_update_that_is_not_finite_is_refused(bad):
    with pytest.raises(InputError):
        clip_update(np.array([1.0, bad]), 1.0)
    with pytest.raises(InputError):
        clip_update(np.array([1.0]), bad)


def test_sums_of_updates_are_updates_and_average():
    parts = [clip_update(np.array([x, 0.1]), 2.0) for x in (0.5, 1.0, -0.2)]
    total = sum(parts[1:], start=parts[0])
    again = ClippedUpdate.from_vector(total.to_vector())
    assert np.array_equal(again.update, total.update)
    assert again.within == 3 * FLAG
    assert mean_update(again, 2.0, devices=3) == pytest.approx([1.3 / 3, 0.1], abs=1e-3)
    with pytest.raises(InputError):
        mean_update(again, 2.0, devices=0)
    with pytest.raises(ShapeError):
        total + clip_update(np.array([1.0]), 2.0)


def test_the_bound_finds_the_median_length_through_noise():
    lengths = stream(1, "lengths").lognormal(1.0, 0.5, size=500)
    noise = noise_within(100_000, l2_squared=L2_SQUARED, length=2)
    adaptive = AdaptiveBound(bound=8.0)
    for round_ in range(40):
        clipped = [clip_update(np.array([length]), adaptive.bound) for length in lengths]
        total = sum(clipped[1:], start=clipped[0]).to_vector()
        noised = ClippedUpdate.from_vector(
            add_share(total, noise, keyed_entropy(1, "round", round_))
        )
        adaptive = adaptive.after(noised, devices=500)
    assert adaptive.bound == pytest.approx(float(np.median(lengths)), rel=0.1)


def test_a_bound_at_rate_zero_stays():
    total = clip_update(np.array([9.0]), 1.0)
    assert AdaptiveBound(bound=1.0, rate=0.0).after(total, devices=1).bound == 1.0


def test_noise_beyond_all_measure_moves_the_bound_by_e_at_most():
    wild = ClippedUpdate(update=np.zeros(1, dtype=np.int64), within=-(10**15))
    moved = AdaptiveBound(bound=1.0).after(wild, devices=10).bound
    assert moved == pytest.approx(math.e)


@pytest.mark.parametrize(
    "bad", [{"bound": 0.0}, {"bound": math.nan}, {"quantile": 1.0}, {"rate": -1.0}]
)
def test_a_bound_that_is_none_is_refused(bad):
    with pytest.raises(InputError):
        AdaptiveBound(**({"bound": 1.0} | bad))
