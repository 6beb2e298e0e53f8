from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, ShapeError
from strategies.aggregation.fixed_point import BLOCK_ROWS, INPUT_FRACTION, INPUT_LIMIT
from strategies.aggregation.sketch import (
    MAX_RANK,
    HeadSums,
    head_sums,
    projection,
    sketch_length,
)
from tests.strategies.aggregation.problems import Problem, problem

WIDTHS = st.sampled_from([1, 2, MAX_RANK - 1, MAX_RANK, MAX_RANK + 1, 40])


def sums_of(given_: Problem, seed: int = 1) -> HeadSums:
    return head_sums(given_.inputs, given_.weight, seed=seed)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    items=st.integers(1, 80),
    width=WIDTHS,
    devices=st.sampled_from([1, 2, 7, 30]),
)
def test_sketches_over_any_sharding_have_the_same_bits(
    seed: int, items: int, width: int, devices: int
):
    whole = problem(seed, items=items, width=width, classes=3)
    owner = np.random.default_rng(seed).integers(devices, size=items)
    shards = [whole.rows(np.flatnonzero(owner == device)) for device in range(devices)]

    total = reduce(HeadSums.__add__, map(sums_of, shards), HeadSums.empty(width=width))

    assert (total.to_vector() == sums_of(whole).to_vector()).all()


def test_a_wide_sharded_problem_beyond_one_block_has_the_same_bits():
    whole = problem(5, items=BLOCK_ROWS + 500, width=150, classes=4)
    order = np.random.default_rng(6).permutation(len(whole.inputs))
    shards = [whole.rows(at) for at in np.array_split(order, 30)]

    total = reduce(HeadSums.__add__, map(sums_of, shards))

    assert (total.sketch == sums_of(whole).sketch).all()


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32), items=st.integers(0, 60), width=WIDTHS)
def test_a_sketch_is_the_gram_matrix_times_the_projection(seed: int, items: int, width: int):
    given_ = problem(seed, items=items, width=width, classes=2)
    real = given_.inputs * 2.0**-INPUT_FRACTION
    gram = real.T @ (real * given_.weight[:, None])

    sums = sums_of(given_, seed)

    # A root is rounded by up to 2^-7 and at most 16 long, in each of the two factors.
    atol = 1e-9 + items * width * 2 * 2.0**-7 * np.abs(real).max(initial=0) * 1.5
    np.testing.assert_allclose(sums.sketch_values, gram @ projection(width, seed=seed), atol=atol)
    assert sums.total_weight == pytest.approx(given_.weight.sum(), abs=items * 2.0**-13)


def test_sketches_equal_whole_number_arithmetic_at_the_edge_of_the_budget():
    rng = np.random.default_rng(7)
    inputs = rng.choice([-1.0, 1.0], size=(BLOCK_ROWS + 3, 40)) * INPUT_LIMIT
    exact = inputs.astype(np.int64) >> 1  # a weight of 16 makes a root four times the input

    sums = head_sums(inputs, np.full(len(inputs), 16.0), seed=3)

    assert (sums.sketch == exact.T @ (exact @ projection(40, seed=3).astype(np.int64))).all()


def test_the_sketch_of_rows_that_are_rounded_is_that_of_a_positive_matrix():
    given_ = problem(12, items=300, width=60, classes=3)

    core = projection(60, seed=1).T @ sums_of(given_).sketch

    assert (core == core.T).all()
    assert np.linalg.eigvalsh(core)[0] > 0


def test_a_wide_sketch_is_far_smaller_than_the_gram_matrix():
    assert sketch_length(513) * 6 < 513 * 514 // 2
    assert sketch_length(513) == len(HeadSums.empty(width=513).to_vector())


def test_the_projection_is_signs_that_a_seed_names():
    signs = projection(100, seed=1)

    assert signs.shape == (100, MAX_RANK)
    assert (np.abs(signs) == 1).all()
    assert np.linalg.matrix_rank(signs) == MAX_RANK
    assert (signs == projection(100, seed=1)).all()
    assert (signs != projection(100, seed=2)).any()


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32), items=st.integers(0, 30), width=WIDTHS)
def test_vectors_bring_back_the_sums(seed: int, items: int, width: int):
    sums = sums_of(problem(seed, items=items, width=width, classes=2))

    again = HeadSums.from_vector(sums.to_vector())

    assert again.width == width
    assert (again.sketch == sums.sketch).all()
    assert again.weight == sums.weight


def test_vectors_add_as_their_sums_do():
    a, b = (sums_of(problem(seed, items=20, width=33, classes=3)) for seed in (1, 2))

    added = HeadSums.from_vector(a.to_vector() + b.to_vector())

    assert (added.to_vector() == (a + b).to_vector()).all()


def test_taking_rows_out_again_leaves_the_rest():
    whole = problem(10, items=30, width=20, classes=2)
    first, rest = whole.rows(np.arange(10)), whole.rows(np.arange(10, 30))

    left = sums_of(whole) - sums_of(first)

    assert (left.to_vector() == sums_of(rest).to_vector()).all()


def test_scaled_sums_are_those_of_lighter_items():
    given_ = problem(13, items=50, width=20, classes=2)
    light = Problem(inputs=given_.inputs, targets=given_.targets, weight=np.full(50, 0.25))
    heavy = Problem(inputs=given_.inputs, targets=given_.targets, weight=np.ones(50))

    scaled = sums_of(heavy).scaled(0.25)

    assert scaled.weight == sums_of(light).weight
    scale = np.abs(sums_of(light).sketch_values).max()
    difference = np.abs(scaled.sketch_values - sums_of(light).sketch_values).max()
    assert difference < 0.02 * scale


def test_no_item_sums_to_nothing():
    assert not head_sums(np.zeros((0, 30)), np.zeros(0), seed=1).to_vector().any()


@pytest.mark.parametrize("length", [0, 1, 3, 6, 8, 1 + MAX_RANK**2 + 1, 1 + 2049 * MAX_RANK])
def test_a_vector_that_is_no_sketch_is_refused(length: int):
    with pytest.raises(ShapeError):
        HeadSums.from_vector(np.zeros(length, dtype=np.int64))


@pytest.mark.parametrize("entry", [2**62, -(2**63), 2 * 2**20 * 2])
def test_a_sketch_that_its_weight_does_not_explain_is_refused(entry: int):
    vector = HeadSums.empty(width=2).to_vector()
    vector[:2] = 1 << 12, entry
    with pytest.raises(InputError):
        HeadSums.from_vector(vector)


def test_summed_weight_that_could_overflow_is_refused():
    heavy = HeadSums(sketch=np.zeros((1, 1), dtype=np.int64), weight=(1 << 37) - 1)

    with pytest.raises(InputError):
        heavy + heavy


def test_sums_of_different_widths_do_not_add():
    with pytest.raises(ShapeError):
        HeadSums.empty(width=2) + HeadSums.empty(width=3)
