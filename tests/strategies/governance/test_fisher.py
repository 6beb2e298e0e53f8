"""The Fisher diagonal is what it says, adds up to the bit, and nobody can fill it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, ShapeError
from strategies.aggregation.head import Head, predict
from strategies.governance.fisher import (
    ElasticPenalty,
    FisherSums,
    gradient_fisher,
    head_fisher,
)
from tests.strategies.governance.made_fleet import (
    CLASSES,
    Matrix,
    fleet,
    real,
    trained,
)


def test_the_fisher_diagonal_is_the_expected_square_of_the_gradient() -> None:
    made = fleet(1, items=60)
    _, head = trained(made)
    weight = np.random.default_rng(0).uniform(0, 2, 60)
    x, p = real(made.inputs), predict(made.inputs, head)
    expected = np.zeros((head.width, CLASSES))
    for i in range(60):
        for c in range(CLASSES):
            gradient = np.outer(x[i], p[i] - np.eye(CLASSES)[c])
            expected += weight[i] * p[i, c] * gradient**2
    found = head_fisher(made.inputs, weight, head)
    assert found.total == pytest.approx(expected.ravel(), rel=0.01, abs=0.05)
    assert found.mean.sum() == pytest.approx(found.total.sum() / weight.sum(), rel=1e-3)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6), devices=st.integers(1, 9))
def test_the_fisher_diagonal_has_the_same_bits_under_any_split(seed: int, devices: int) -> None:
    rng = np.random.default_rng(seed)
    made, head = fleet(2, items=40), Head.from_values(rng.normal(size=(9, CLASSES)))
    weight, deep = rng.uniform(0, 16, 40), rng.normal(size=(40, 5)) * 10.0 ** rng.integers(-6, 3)
    owner = rng.integers(devices, size=40)
    shallow_total = FisherSums.none(parameters=9 * CLASSES)
    deep_total = FisherSums.none(parameters=5)
    for device in range(devices):
        own = owner == device
        shallow_total = shallow_total + head_fisher(made.inputs[own], weight[own], head)
        deep_total = deep_total + gradient_fisher(deep[own], weight[own])
    whole = head_fisher(made.inputs, weight, head)
    assert np.array_equal(shallow_total.to_vector(), whole.to_vector())
    assert np.array_equal(deep_total.to_vector(), gradient_fisher(deep, weight).to_vector())
    assert np.array_equal(FisherSums.from_vector(whole.to_vector()).total, whole.total)


def test_one_sample_cannot_fill_the_sum() -> None:
    one = gradient_fisher(np.array([[1e200, 1.0]]), np.ones(1))
    assert one.total.tolist() == [128.0, 1.0]


def test_the_elastic_gradient_is_that_of_its_value() -> None:
    rng = np.random.default_rng(3)
    anchor, at = rng.normal(size=(2, 6))
    penalty = ElasticPenalty(anchor=anchor, importance=rng.uniform(0, 2, 6), strength=0.7)
    step = 1e-6 * np.eye(6)
    slow = [(penalty.value(at + each) - penalty.value(at - each)) / 2e-6 for each in step]
    assert penalty.gradient(at) == pytest.approx(slow, rel=1e-5)
    assert penalty.value(anchor) == 0


def test_bad_input_is_refused() -> None:
    head, one = Head.zeros(width=1, classes=2), np.array([[512.0]])
    with pytest.raises(InputError):
        head_fisher(one, np.array([17.0]), head)
    with pytest.raises(InputError):
        gradient_fisher(np.array([[np.nan]]), np.ones(1))
    with pytest.raises(InputError):
        FisherSums(diagonal=np.array([-1]), weight=0)
    with pytest.raises(InputError, match="beyond"):
        FisherSums(diagonal=np.array([1 << 40]), weight=1 << 12)
    with pytest.raises(ShapeError):
        FisherSums.none(parameters=2) + FisherSums.none(parameters=3)
    ones: Matrix = np.ones(2)
    with pytest.raises(InputError):
        ElasticPenalty(anchor=ones, importance=-ones, strength=1.0)
    with pytest.raises(ShapeError):
        ElasticPenalty(anchor=ones, importance=ones, strength=1.0).gradient(np.ones(3))
