from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, ShapeError
from strategies.aggregation.fixed_point import BLOCK_ROWS, INPUT_FRACTION, INPUT_LIMIT
from strategies.aggregation.summed_head import (
    GradientSums,
    Head,
    HeadSums,
    gradient_sums,
    head_sums,
    predict,
)
from tests.strategies.aggregation.problems import problem

sharding = given(
    seed=st.integers(0, 2**32),
    items=st.integers(1, 80),
    width=st.integers(1, 12),
    devices=st.sampled_from([1, 2, 7, 30]),
)


@settings(deadline=None, max_examples=60)
@sharding
def test_gram_sums_over_any_sharding_have_the_same_bits(
    seed: int, items: int, width: int, devices: int
):
    whole = problem(seed, items=items, width=width, classes=3)
    owner = np.random.default_rng(seed).integers(devices, size=items)
    shards = [whole.rows(np.flatnonzero(owner == device)) for device in range(devices)]

    parts = [head_sums(shard.inputs, shard.weight) for shard in shards]
    total = reduce(HeadSums.__add__, parts, HeadSums.empty(width=width))

    central = head_sums(whole.inputs, whole.weight)
    assert (total.gram == central.gram).all()
    assert total.weight == central.weight


@settings(deadline=None, max_examples=60)
@sharding
def test_gradients_over_any_sharding_have_the_same_bits(
    seed: int, items: int, width: int, devices: int
):
    whole = problem(seed, items=items, width=width, classes=3)
    head = Head.from_values(np.random.default_rng(seed).normal(size=(width, 3)))
    owner = np.random.default_rng(seed).integers(devices, size=items)
    shards = [whole.rows(np.flatnonzero(owner == device)) for device in range(devices)]

    parts = [gradient_sums(s.inputs, s.targets, s.weight, head) for s in shards]
    total = reduce(GradientSums.__add__, parts, GradientSums.empty(width=width, classes=3))

    central = gradient_sums(whole.inputs, whole.targets, whole.weight, head)
    assert (total.gradient == central.gradient).all()
    assert (total.loss, total.weight) == (central.loss, central.weight)


def test_a_wide_sharded_problem_beyond_one_block_has_the_same_bits():
    whole = problem(5, items=BLOCK_ROWS + 500, width=150, classes=4)
    head = Head.from_values(np.random.default_rng(5).normal(size=(150, 4)))
    order = np.random.default_rng(6).permutation(len(whole.inputs))
    shards = [whole.rows(at) for at in np.array_split(order, 30)]

    grams = reduce(HeadSums.__add__, [head_sums(s.inputs, s.weight) for s in shards])
    slopes = reduce(
        GradientSums.__add__,
        [gradient_sums(s.inputs, s.targets, s.weight, head) for s in shards],
    )

    assert (grams.gram == head_sums(whole.inputs, whole.weight).gram).all()
    central = gradient_sums(whole.inputs, whole.targets, whole.weight, head)
    assert (slopes.gradient == central.gradient).all()
    assert slopes.loss == central.loss


def test_sums_equal_whole_number_arithmetic_at_the_edge_of_the_budget():
    rng = np.random.default_rng(7)
    inputs = rng.choice([-1.0, 1.0], size=(BLOCK_ROWS + 3, 6)) * INPUT_LIMIT
    weight = np.full(len(inputs), 16.0)
    exact = inputs.astype(np.int64)
    expected = exact.T @ (exact * (16 << 12))

    sums = head_sums(inputs, weight)

    assert (sums.gram == expected[np.triu_indices(6)]).all()


def test_gradient_and_loss_agree_with_the_textbook():
    given_ = problem(8, items=60, width=9, classes=4)
    head = Head.from_values(np.random.default_rng(8).normal(size=(9, 4)))
    real = given_.inputs * 2.0**-INPUT_FRACTION
    odds = np.exp(real @ head.values)
    p = odds / odds.sum(axis=1, keepdims=True)
    weighted = given_.weight[:, None]

    sums = gradient_sums(given_.inputs, given_.targets, given_.weight, head)

    expected = real.T @ (weighted * (p - given_.targets))
    # A weight is rounded by up to 2^-13, an input is at most 16, and there are 60 rows.
    np.testing.assert_allclose(sums.gradient_values, expected, atol=60 * 16 * 2.0**-13)
    assert sums.loss_nats == pytest.approx(-(weighted * given_.targets * np.log(p)).sum(), rel=1e-3)
    np.testing.assert_allclose(predict(given_.inputs, head), p, atol=1e-9)


def test_vectors_bring_back_the_sums():
    given_ = problem(9, items=20, width=5, classes=3)
    gram = head_sums(given_.inputs, given_.weight)
    slope = gradient_sums(
        given_.inputs, given_.targets, given_.weight, Head.zeros(width=5, classes=3)
    )

    gram_again = HeadSums.from_vector(gram.to_vector())
    slope_again = GradientSums.from_vector(slope.to_vector(), classes=3)

    assert (gram_again.gram == gram.gram).all()
    assert gram_again.weight == gram.weight
    assert (slope_again.gradient == slope.gradient).all()
    assert (slope_again.loss, slope_again.weight) == (slope.loss, slope.weight)


def test_vectors_add_as_their_sums_do():
    a, b = (problem(seed, items=20, width=5, classes=3) for seed in (1, 2))
    sums = [head_sums(x.inputs, x.weight) for x in (a, b)]

    added = HeadSums.from_vector(sums[0].to_vector() + sums[1].to_vector())

    assert (added.gram == (sums[0] + sums[1]).gram).all()


def test_taking_rows_out_again_leaves_the_rest():
    whole = problem(10, items=30, width=4, classes=2)
    first, rest = whole.rows(np.arange(10)), whole.rows(np.arange(10, 30))

    left = head_sums(whole.inputs, whole.weight) - head_sums(first.inputs, first.weight)

    assert (left.gram == head_sums(rest.inputs, rest.weight).gram).all()


def test_no_item_sums_to_nothing():
    empty = head_sums(np.zeros((0, 3)), np.zeros(0))

    assert (empty.gram == 0).all()
    assert empty.weight == 0


@pytest.mark.parametrize("length", [0, 1, 3, 6, 8])
def test_a_vector_that_is_no_triangle_is_refused(length: int):
    with pytest.raises(ShapeError):
        HeadSums.from_vector(np.zeros(length, dtype=np.int64))


@pytest.mark.parametrize("length", [0, 2, 4, 6])
def test_a_vector_that_is_no_gradient_is_refused(length: int):
    with pytest.raises(ShapeError):
        GradientSums.from_vector(np.zeros(length, dtype=np.int64), classes=3)


@pytest.mark.parametrize("weights", [1 << 40, -(1 << 40), np.iinfo(np.int64).min])
def test_a_head_too_large_for_exact_logits_is_refused(weights: int):
    with pytest.raises(InputError):
        Head(weights=np.full((3, 2), weights, dtype=np.int64))


@pytest.mark.parametrize("bad", [np.nan, np.inf, 2.0**20])
def test_real_weights_outside_the_budget_are_refused(bad: float):
    with pytest.raises(InputError):
        Head.from_values(np.array([[bad, 0.0]]))


def test_summed_weight_that_could_overflow_is_refused():
    heavy = HeadSums(gram=np.zeros(1, dtype=np.int64), weight=(1 << 37) - 1)

    with pytest.raises(InputError):
        heavy + heavy


@pytest.mark.parametrize("bad", [[0.7, 0.7], [1.5, -0.5], [np.nan, 1.0]])
def test_targets_that_are_no_probabilities_are_refused(bad: list[float]):
    with pytest.raises(InputError):
        gradient_sums(np.zeros((1, 1)), np.array([bad]), np.ones(1), Head.zeros(width=1, classes=2))


def test_sums_of_different_widths_do_not_add():
    with pytest.raises(ShapeError):
        HeadSums.empty(width=2) + HeadSums.empty(width=3)
