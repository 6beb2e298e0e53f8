from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, ShapeError
from strategies.aggregation.fixed_point import INPUT_FRACTION, INPUT_LIMIT, check_inputs
from strategies.neighbours import lean_on_neighbours
from strategies.representation import Moments, Representation


def pool(seed: int, *, items: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return features in wildly different units."""
    rng = np.random.default_rng(seed)
    unit = 10.0 ** rng.integers(-6, 7, size=width)
    return (rng.normal(size=(items, width)) + rng.normal(scale=3, size=width)) * unit


def made(seed: int = 1, **settings_: float) -> Representation:
    return Representation.from_moments(
        Moments.from_embeddings(pool(seed, items=200, width=6)), **settings_
    )


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    items=st.integers(0, 60),
    devices=st.sampled_from([1, 7, 30]),
)
def test_moments_over_any_sharding_have_the_same_bits(seed: int, items: int, devices: int):
    whole = pool(seed, items=items, width=5)
    owner = np.random.default_rng(seed).integers(devices, size=items)

    parts = [Moments.from_embeddings(whole[owner == device]) for device in range(devices)]
    total = reduce(Moments.__add__, parts, Moments.empty(width=5))

    assert (total.to_vector() == Moments.from_embeddings(whole).to_vector()).all()


def test_moments_give_mean_and_spread_in_any_unit():
    whole = pool(2, items=500, width=8)

    mean, stddev = Moments.from_embeddings(whole).mean_and_stddev()

    np.testing.assert_allclose(mean, whole.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(stddev, whole.std(axis=0), rtol=1e-9)


def test_a_small_spread_around_a_large_mean_is_kept():
    seconds = 1.7e9 + np.random.default_rng(3).normal(scale=1e4, size=(400, 1))

    _, stddev = Moments.from_embeddings(seconds).mean_and_stddev()

    assert stddev[0] == pytest.approx(seconds.std(), rel=1e-4)


@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1.7e9, 1e-9])
def test_a_constant_feature_has_no_spread_and_gives_no_input(value: float):
    embeddings = np.full((11, 2), value)
    embeddings[:, 1] = np.arange(11)
    fleet = Moments.from_embeddings(embeddings)
    representation = Representation.from_moments(fleet)

    inputs = representation.inputs(embeddings + 1.0, representation.centre(embeddings))

    assert fleet.mean_and_stddev()[1][0] == 0.0
    assert (inputs[:, 0] == 0).all()
    assert (inputs[:, 1] != 0).any()


def test_moments_come_back_from_their_vector_and_can_be_taken_out():
    a, b = (Moments.from_embeddings(pool(seed, items=9, width=4)) for seed in (4, 5))

    again = Moments.from_vector(a.to_vector() + b.to_vector())

    assert (again.to_vector() == (a + b).to_vector()).all()
    assert ((again - b).to_vector() == a.to_vector()).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e9])
def test_a_value_that_cannot_be_summed_is_refused(bad: float):
    with pytest.raises(InputError):
        Moments.from_embeddings(np.array([[0.0, bad]]))
    representation = made()
    with pytest.raises(InputError):
        representation.inputs(np.full((1, 6), bad), np.zeros(6))


def test_moments_of_no_item_make_no_representation():
    with pytest.raises(InputError):
        Representation.from_moments(Moments.empty(width=3))


def test_one_item_and_no_item_are_represented():
    one = pool(6, items=1, width=4)
    representation = Representation.from_moments(Moments.from_embeddings(one), fourier=8)

    assert representation.inputs(one, representation.centre(one)).shape == (1, 13)
    assert representation.inputs(one[:0], representation.centre(one[:0])).shape == (0, 13)
    assert (representation.centre(one[:0]) == 0).all()


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32), recentre=st.floats(0, 1), fourier=st.integers(0, 20))
def test_inputs_are_whole_numbers_within_the_budget_whatever_comes(
    seed: int, recentre: float, fourier: int
):
    representation = made(seed, recentre=recentre, fourier=fourier)
    strange = pool(seed + 1, items=30, width=6) * 100

    inputs = representation.inputs(strange, representation.centre(strange))

    check_inputs(inputs)
    assert np.abs(inputs).max() <= INPUT_LIMIT
    assert inputs.shape == (30, representation.width)
    assert (inputs[:, -1] == 2**INPUT_FRACTION).all()


def test_inputs_of_a_row_do_not_depend_on_its_neighbours():
    representation = made(fourier=50)
    rows = pool(1, items=40, width=6)
    whole = representation.inputs(rows, np.zeros(6))

    alone = np.vstack([representation.inputs(rows[i : i + 1], np.zeros(6)) for i in range(40)])

    assert (whole == alone).all()


def test_linear_inputs_have_the_promised_length():
    rows = pool(1, items=200, width=6)
    representation = made(norm=8.0)

    linear = representation.inputs(rows, np.zeros(6))[:, :6] * 2.0**-INPUT_FRACTION

    assert np.sqrt((linear**2).sum(axis=1).mean()) == pytest.approx(8.0, rel=0.02)


def test_full_recentring_takes_a_device_offset_out():
    rng = np.random.default_rng(7)
    fleet = rng.normal(size=(2000, 3))
    offset = np.array([0.5, -0.25, 0.1])
    device = rng.normal(size=(500, 3)) + offset
    moments = Moments.from_embeddings(fleet)

    def shift(recentre: float) -> float:
        representation = Representation.from_moments(moments, recentre=recentre)
        inputs = representation.inputs(device, representation.centre(device))
        return float(np.abs(inputs[:, :3].mean(axis=0)).max())

    assert shift(1.0) < 0.05 * shift(0.0)
    assert shift(0.5) == pytest.approx(shift(0.0) / 2, rel=0.1)


def test_the_centre_of_few_items_is_shrunk():
    representation = Representation.from_moments(Moments.from_embeddings(np.array([[-1.0], [1.0]])))

    assert representation.centre(np.array([[1.0]])) == pytest.approx(1 / 6)
    assert representation.centre(np.ones((15, 1))) == pytest.approx(15 / 20)


def test_fourier_features_approach_the_gaussian_kernel():
    rows = np.random.default_rng(8).normal(size=(60, 5))
    representation = Representation.from_moments(
        Moments.from_embeddings(rows), fourier=2000, seed=3
    )
    inputs = representation.inputs(rows, np.zeros(5)) * 2.0**-INPUT_FRACTION
    linear, waves = inputs[:, :5], inputs[:, 5:-1]
    squared = ((linear[:, None] - linear[None]) ** 2).sum(axis=-1)
    expected = np.exp(-squared / (2 * representation.bandwidth**2))

    kernel = waves @ waves.T / (representation.amplitude**2 * 2000 / 2)

    # The mean of 2,000 products has a standard error of at most 0.023; 3,600 pairs stay within
    # six of them.
    assert np.abs(kernel - expected).max() < 0.14


def test_another_seed_gives_other_waves_and_the_same_seed_the_same():
    rows = pool(1, items=5, width=6)
    first, again, other = (
        made(fourier=20, seed=seed).inputs(rows, np.zeros(6)) for seed in (1, 1, 2)
    )

    assert (first == again).all()
    assert (first[:, 6:-1] != other[:, 6:-1]).any()


@pytest.mark.parametrize(
    "settings_",
    [
        {"recentre": 1.5},
        {"recentre": -0.1},
        {"fourier": -1},
        {"fourier": 2048},
        {"fourier": 5, "fourier_share": -1.0},
        {"norm": 0.0},
        {"clip": -1.0},
        {"bandwidth_share": 0.0},
    ],
)
def test_settings_outside_the_budget_are_refused(settings_: dict[str, float]):
    with pytest.raises(InputError):
        made(1, **settings_)


def test_embeddings_of_another_width_are_refused():
    with pytest.raises(ShapeError):
        made().inputs(np.zeros((2, 5)), np.zeros(6))
    with pytest.raises(ShapeError):
        made().inputs(np.zeros((2, 6)), np.zeros(5))


def test_columns_in_different_units_are_brought_to_one_spread():
    same = np.random.default_rng(9).normal(size=(300, 5)) * np.array([0.5, 1.0, 1.0, 2.0, 2.0])
    mixed = same * np.array([1.0, 1.0, 1e-3, 1.0, 1e4])

    def spreads(rows: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> list[float]:
        representation = Representation.from_moments(Moments.from_embeddings(rows))
        linear = representation.inputs(rows, np.zeros(5))[:, :5]
        return list(np.round(linear.std(axis=0) / linear.std(), 1))

    assert spreads(mixed) == [1.0] * 5
    assert spreads(same)[0] < 0.5 < 1.2 < spreads(same)[4]


@pytest.mark.parametrize("fourier", [0, 5])
def test_smooth_inputs_lean_before_the_fourier_layer_and_on_the_pool_that_is_given(fourier: int):
    rows = pool(5, items=40, width=6)
    plain, smooth = made(fourier=fourier), made(fourier=fourier, smooth=0.4)
    nothing = np.zeros(6)
    linear = plain.inputs(rows, nothing)[:, :6]

    inputs = smooth.inputs(rows, nothing)
    among = smooth.inputs(rows[:7], nothing, pool=rows)

    leant = lean_on_neighbours(linear, 0.4)
    assert (inputs[:, :6] == leant).all()
    # neither the wave nor the bias leans: they are those of the linear inputs there are
    assert (np.abs(inputs[:, 6:-1]) <= plain.amplitude * 2**INPUT_FRACTION).all()
    assert (inputs[:, -1] == 2**INPUT_FRACTION).all()
    assert (among[:, :6] == lean_on_neighbours(linear[:7], 0.4, pool=linear)).all()


def test_items_on_another_device_are_nobodys_neighbours():
    rows, nothing = pool(6, items=30, width=6), np.zeros(6)
    smooth = made(smooth=0.5)
    alone = smooth.inputs(rows[:15], nothing)
    beside = smooth.inputs(np.concatenate([rows[:15], rows[15:]]), nothing)[:15]
    assert not (alone == beside).all()
    assert (alone == smooth.inputs(rows[:15], nothing)).all()
