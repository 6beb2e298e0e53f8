import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, ShapeError
from fieldvote.rng import keyed_entropy, stream
from privacy.dp.mechanisms import add_share, noise_within
from strategies.aggregation.bounded_moments import BoundedMoments, moments_l2_squared


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5), st.floats(0.01, 100.0))
@settings(deadline=None)
def test_no_record_moves_them_by_more_than_what_is_accounted(row, limit):
    made = BoundedMoments.from_embeddings(np.array([row]), limit=limit)
    moved = sum(int(number) ** 2 for number in made.totals)
    assert moved <= moments_l2_squared(len(row))


def test_they_add_up_and_tell_mean_and_spread_through_noise():
    rows = stream(1, "rows").normal(0.2, 0.3, size=(4000, 6))
    whole = BoundedMoments.from_embeddings(rows, limit=1.0)
    parts = [BoundedMoments.from_embeddings(rows[a::2], limit=1.0) for a in (0, 1)]
    assert np.array_equal((parts[0] + parts[1]).totals, whole.totals)
    noise = noise_within(20_000, l2_squared=moments_l2_squared(6), length=len(whole.totals))
    noised = add_share(whole.totals, noise, keyed_entropy(1, "moments"))
    for made in (whole, BoundedMoments(limit=1.0, totals=noised)):
        mean, stddev = made.mean_and_stddev()
        assert mean == pytest.approx(rows.mean(axis=0), abs=0.02)
        assert stddev == pytest.approx(rows.std(axis=0), abs=0.03)


def test_noise_alone_divides_nothing_by_nothing():
    totals = np.array([-500, 30, -40, -70, 10], dtype=np.int64)
    mean, stddev = BoundedMoments(limit=2.0, totals=totals).mean_and_stddev()
    assert np.isfinite(mean).all()
    assert (stddev >= 0.02).all()


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan"), float("inf")])
def test_a_limit_that_is_none_is_refused(limit):
    with pytest.raises(InputError):
        BoundedMoments.from_embeddings(np.ones((2, 2)), limit=limit)


def test_sums_of_other_features_or_limits_do_not_add():
    one = BoundedMoments.from_embeddings(np.ones((2, 2)), limit=1.0)
    for other in (
        BoundedMoments.from_embeddings(np.ones((2, 3)), limit=1.0),
        BoundedMoments.from_embeddings(np.ones((2, 2)), limit=2.0),
    ):
        with pytest.raises(ShapeError):
            one + other
