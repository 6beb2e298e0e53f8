from dataclasses import replace
from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, ShapeError
from strategies.aggregation.fixed_point import (
    BLOCK_ROWS,
    INPUT_FRACTION,
    INPUT_LIMIT,
    RESIDUAL_FRACTION,
)
from strategies.aggregation.summed_head import (
    GradientSums,
    Head,
    gradient_length,
    gradient_sums,
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

    slopes = reduce(
        GradientSums.__add__,
        [gradient_sums(s.inputs, s.targets, s.weight, head) for s in shards],
    )

    central = gradient_sums(whole.inputs, whole.targets, whole.weight, head)
    assert (slopes.gradient == central.gradient).all()
    assert slopes.loss == central.loss


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


def test_gradients_equal_whole_number_arithmetic_at_the_edge_of_the_budget():
    rng = np.random.default_rng(7)
    inputs = rng.choice([-1.0, 1.0], size=(BLOCK_ROWS + 3, 6)) * INPUT_LIMIT
    weight = np.full(len(inputs), 16.0)
    truth = rng.integers(2, size=len(inputs))
    # at the zero head every residual is a half, which is a whole number of steps
    residual = np.where(np.eye(2)[truth] > 0, -8, 8).astype(np.int64) << RESIDUAL_FRACTION

    sums = gradient_sums(inputs, np.eye(2)[truth], weight, Head.zeros(width=6, classes=2))

    assert (sums.gradient == inputs.astype(np.int64).T @ residual).all()


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32), items=st.integers(0, 40), classes=st.integers(2, 6))
def test_the_class_that_is_not_sent_comes_back_to_the_bit(seed: int, items: int, classes: int):
    given_ = problem(seed, items=items, width=5, classes=classes)
    head = Head.from_values(np.random.default_rng(seed).normal(size=(5, classes)))
    sums = gradient_sums(given_.inputs, given_.targets, given_.weight, head)

    vector = sums.to_vector()
    again = GradientSums.from_vector(vector, classes=classes)

    assert len(vector) == gradient_length(width=5, classes=classes) == 2 + 5 * (classes - 1)
    assert (again.gradient == sums.gradient).all()
    assert (again.loss, again.weight) == (sums.loss, sums.weight)


def test_gradient_vectors_add_as_their_sums_do():
    head = Head.from_values(np.random.default_rng(1).normal(size=(5, 3)))
    parts = [problem(seed, items=20, width=5, classes=3) for seed in (1, 2)]
    a, b = (gradient_sums(x.inputs, x.targets, x.weight, head) for x in parts)

    added = GradientSums.from_vector(a.to_vector() + b.to_vector(), classes=3)

    assert (added.to_vector() == (a + b).to_vector()).all()
    assert (added.gradient == (a + b).gradient).all()


def test_few_items_fit_three_bytes_a_number():
    given_ = problem(11, items=4, width=100, classes=3)
    inputs = np.rint(given_.inputs * 0.8)  # the length of a typical input, sqrt(100) * 0.8 = 8
    head = Head.from_values(np.random.default_rng(11).normal(size=(100, 3)) * 0.1)

    sums = gradient_sums(inputs, given_.targets, np.ones(4), head)

    assert np.abs(sums.to_vector()).max() < 1 << 23


def test_a_gradient_that_no_softmax_has_is_refused():
    with pytest.raises(InputError, match="sums to zero"):
        GradientSums(gradient=np.array([[1, 2]]), loss=0, weight=0)
    with pytest.raises(ShapeError):
        GradientSums.empty(width=3, classes=1)


@pytest.mark.parametrize("length", [0, 2, 3, 5])
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
    heavy = replace(GradientSums.empty(width=1, classes=2), weight=(1 << 37) - 1)

    with pytest.raises(InputError):
        heavy + heavy


@pytest.mark.parametrize("bad", [[0.7, 0.7], [1.5, -0.5], [np.nan, 1.0]])
def test_targets_that_are_no_probabilities_are_refused(bad: list[float]):
    with pytest.raises(InputError):
        gradient_sums(np.zeros((1, 1)), np.array([bad]), np.ones(1), Head.zeros(width=1, classes=2))


def test_sums_of_different_widths_do_not_add():
    with pytest.raises(ShapeError):
        GradientSums.empty(width=2, classes=2) + GradientSums.empty(width=3, classes=2)
