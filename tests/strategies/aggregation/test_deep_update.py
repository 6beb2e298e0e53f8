"""Moves of a network add up to the same bits however devices are grouped, and none is too long."""

from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, ShapeError
from fieldvote.rng import stream
from strategies.aggregation.deep_update import (
    LARGEST_CLIP,
    MOST_ITEMS,
    PARAMETER_FRACTION,
    DeepUpdate,
    deep_update,
    from_steps,
    is_deep_update,
    to_steps,
)

SHAPES = ((3, 4), (4,), (), (2, 1, 3, 3))
SIZE = 12 + 4 + 1 + 18
UNIT = 1 << PARAMETER_FRACTION


def drawn(*labels: int, spread: float = 1.0) -> np.ndarray:
    return np.rint(stream(1, "deep", *labels).normal(0, spread * UNIT, SIZE)).astype(np.int64)


@settings(deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 12.0))
def test_parameters_within_sixteen_come_back_to_the_bit(seed: int, spread: float) -> None:
    vector = np.clip(drawn(seed, spread=spread), -16 * UNIT, 16 * UNIT)
    arrays = from_steps(vector, SHAPES)
    assert [array.shape for array in arrays] == list(SHAPES)
    assert all(array.dtype == np.float32 for array in arrays)
    np.testing.assert_array_equal(to_steps(arrays), vector)


@settings(deadline=None)
@given(st.integers(2, 9), st.integers(0, 10**6))
def test_a_sum_is_the_same_bits_under_any_grouping(devices: int, seed: int) -> None:
    before = drawn(seed)
    moves = [
        deep_update(before, drawn(seed, d, spread=2.0), weight=d + 0.5, clip=3.0)
        for d in range(devices)
    ]
    cut = 1 + seed % (devices - 1)
    whole = reduce(DeepUpdate.__add__, moves)
    left, right = (reduce(DeepUpdate.__add__, part) for part in (moves[:cut], moves[cut:]))
    np.testing.assert_array_equal((right + left).to_vector(), whole.to_vector())
    np.testing.assert_array_equal(DeepUpdate.from_vector(whole.to_vector()).product, whole.product)


@settings(deadline=None)
@given(st.integers(0, 10**6), st.floats(1e-4, LARGEST_CLIP), st.floats(0, 500))
def test_a_move_is_no_longer_than_the_clip_and_what_an_honest_device_sends_is_taken(
    seed: int, clip: float, weight: float
) -> None:
    before, after = drawn(seed), drawn(seed, 1, spread=5.0)
    update = deep_update(before, after, weight=weight, clip=clip)
    assert np.linalg.norm(update.mean) <= clip
    assert update.items == np.ceil(weight)
    assert is_deep_update(update.to_vector(), size=SIZE, clip=clip)


def test_a_move_within_the_clip_is_not_touched() -> None:
    before, after = drawn(1), drawn(1) + 5
    update = deep_update(before, after, weight=3, clip=1.0)
    np.testing.assert_array_equal(update.product, np.full(SIZE, 15))


FORGED = {
    "too long": lambda v: v * np.array([1] + [2] * SIZE),
    "of another network": lambda v: v[:-1],
    "of less than no items": lambda v: v * np.array([-1] + [1] * SIZE),
    "of more items than fit": lambda v: v + np.array([MOST_ITEMS] + [0] * SIZE),
    "of no items": lambda v: v * np.array([0] + [1] * SIZE),
    "overflowing": lambda v: v | np.array([0] + [1 << 62] * SIZE),
    "empty": lambda v: v[:0],
}


@pytest.mark.parametrize("how", FORGED)
def test_a_vector_no_honest_device_can_send_is_told_apart(how: str) -> None:
    honest = deep_update(drawn(1), drawn(2, spread=9.0), weight=4, clip=2.0).to_vector()
    assert is_deep_update(honest, size=SIZE, clip=2.0)
    assert not is_deep_update(FORGED[how](honest), size=SIZE, clip=2.0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 5000.0])
def test_a_parameter_that_cannot_travel_does_not(value: float) -> None:
    with pytest.raises(InputError, match="does not travel"):
        to_steps([np.array([0.0, value], np.float32)])


def test_a_vector_of_another_length_or_beyond_bounds_is_refused() -> None:
    with pytest.raises(ShapeError):
        from_steps(np.zeros(SIZE + 1, np.int64), SHAPES)
    with pytest.raises(InputError):
        from_steps(np.full(SIZE, 1 << 62), SHAPES)
    with pytest.raises(ShapeError):
        deep_update(np.zeros(2, np.int64), np.zeros(3, np.int64), weight=1, clip=1.0)


@pytest.mark.parametrize(
    ("weight", "clip"), [(-1.0, 1.0), (np.nan, 1.0), (1.0, 0.0), (1.0, np.nan), (1.0, 257.0)]
)
def test_weights_and_clips_out_of_range_are_refused(weight: float, clip: float) -> None:
    with pytest.raises(InputError):
        deep_update(drawn(1), drawn(2), weight=weight, clip=clip)


def test_sums_of_other_networks_do_not_add() -> None:
    with pytest.raises(ShapeError):
        DeepUpdate.empty(3) + DeepUpdate.empty(4)
    with pytest.raises(ShapeError):
        DeepUpdate.from_vector(np.zeros(1, np.int64))
