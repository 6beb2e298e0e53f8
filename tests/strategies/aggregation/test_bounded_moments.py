import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, ShapeError
from fieldvote.rng import keyed_entropy, stream
from privacy.dp.mechanisms import add_share, noise_within
from strategies.aggregation.bounded_moments import MOMENTS_L2_SQUARED, BoundedMoments


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5), st.floats(0.01, 100.0))
@settings(deadline=None)
def test_no_record_moves_them_by_more_than_what_is_accounted(row, longest):
    made = BoundedMoments.from_embeddings(np.array([row]), longest=longest)
    assert sum(int(number) ** 2 for number in made.totals) <= MOMENTS_L2_SQUARED


def test_they_add_up_and_tell_mean_and_spread_through_noise():
    rows = stream(1, "rows").normal(0.2, 0.3, size=(4000, 6))
    whole = BoundedMoments.from_embeddings(rows, longest=3.0)
    parts = [BoundedMoments.from_embeddings(rows[a::2], longest=3.0) for a in (0, 1)]
    assert np.array_equal((parts[0] + parts[1]).totals, whole.totals)
    noise = noise_within(20_000, l2_squared=MOMENTS_L2_SQUARED, length=len(whole.totals))
    noised = add_share(whole.totals, noise, keyed_entropy(1, "moments"))
    for made in (whole, BoundedMoments(longest=3.0, totals=noised)):
        mean, spread = made.mean_and_spread()
        assert mean == pytest.approx(rows.mean(axis=0), abs=0.03)
        assert spread == pytest.approx(rows.std(), abs=0.03)


def test_noise_alone_divides_nothing_by_nothing():
    totals = np.array([-500, 30, -40, -70, 10], dtype=np.int64)
    mean, spread = BoundedMoments(longest=2.0, totals=totals).mean_and_spread()
    assert np.isfinite(mean).all()
    assert spread >= 0.01


@pytest.mark.parametrize("longest", [0.0, -1.0, float("nan"), float("inf")])
def test_a_length_that_is_none_is_refused(longest):
    with pytest.raises(InputError):
        BoundedMoments.from_embeddings(np.ones((2, 2)), longest=longest)


def test_sums_of_other_features_or_lengths_do_not_add():
    one = BoundedMoments.from_embeddings(np.ones((2, 2)), longest=1.0)
    for other in (
        BoundedMoments.from_embeddings(np.ones((2, 3)), longest=1.0),
        BoundedMoments.from_embeddings(np.ones((2, 2)), longest=2.0),
    ):
        with pytest.raises(ShapeError):
            one + other
