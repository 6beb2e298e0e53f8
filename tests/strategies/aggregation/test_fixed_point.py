import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, ShapeError
from strategies.aggregation.fixed_point import (
    BLOCK_ROWS,
    HEAD_COLUMN_LIMIT,
    HEAD_FRACTION,
    INPUT_FRACTION,
    INPUT_LIMIT,
    LOSS_FRACTION,
    LOSS_LIMIT_NATS,
    MAX_WIDTH,
    RESIDUAL_FRACTION,
    ROOT_FRACTION,
    TOTAL_WEIGHT_LIMIT,
    WEIGHT_FRACTION,
    WEIGHT_LIMIT,
    check_inputs,
    fixed_weights,
    softmax,
)

UNIT = 2.0 ** (INPUT_FRACTION + HEAD_FRACTION)


def test_the_budget_in_the_docstring_adds_up():
    assert INPUT_LIMIT * HEAD_COLUMN_LIMIT <= 2**53
    heaviest = WEIGHT_LIMIT >> WEIGHT_FRACTION
    items = TOTAL_WEIGHT_LIMIT >> WEIGHT_FRACTION
    longest_root = (INPUT_LIMIT >> (INPUT_FRACTION - ROOT_FRACTION)) ** 2 * heaviest
    assert BLOCK_ROWS * MAX_WIDTH * longest_root <= 2**53
    assert items * MAX_WIDTH * longest_root / heaviest * 1.07 <= 2**63
    residual = heaviest << RESIDUAL_FRACTION
    assert BLOCK_ROWS * residual * INPUT_LIMIT <= 2**53
    assert items * 2**RESIDUAL_FRACTION * INPUT_LIMIT <= 2**63
    assert items * 2**LOSS_FRACTION * LOSS_LIMIT_NATS <= 2**63


@settings(deadline=None)
@given(
    logits=st.lists(
        st.lists(st.floats(-2000, 2000), min_size=3, max_size=3), min_size=1, max_size=9
    )
)
def test_softmax_agrees_with_the_textbook(logits: list[list[float]]):
    real = np.array(logits)
    shifted = real - real.max(axis=1, keepdims=True)
    expected = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))

    probabilities, logs = softmax(np.rint(real * UNIT))

    np.testing.assert_allclose(probabilities, np.exp(expected), atol=1e-8)
    np.testing.assert_allclose(logs, expected, atol=2e-8)


def test_softmax_of_a_row_does_not_depend_on_its_neighbours_or_on_memory_order():
    logits = np.rint(np.random.default_rng(1).normal(scale=3, size=(37, 5)) * UNIT)
    whole = softmax(logits)[0]

    one_by_one = np.vstack([softmax(logits[i : i + 1])[0] for i in range(37)])
    by_columns = softmax(np.asfortranarray(logits))[0]

    assert (whole == one_by_one).all()
    assert (whole == by_columns).all()


def test_softmax_of_permuted_classes_is_the_permuted_softmax_to_the_bit():
    logits = np.rint(np.random.default_rng(2).normal(scale=3, size=(50, 7)) * UNIT)
    order = np.random.default_rng(3).permutation(7)

    assert (
        softmax(logits)[0][:, order] == softmax(np.ascontiguousarray(logits[:, order]))[0]
    ).all()


def test_softmax_of_far_apart_logits_is_finite():
    probabilities, logs = softmax(np.array([[0.0, 2.0**52]]))

    assert probabilities.tolist() == [[0.0, 1.0]]
    assert np.isfinite(logs).all()


@pytest.mark.parametrize("bad", [0.5, np.nan, np.inf, INPUT_LIMIT + 1.0, -INPUT_LIMIT - 1.0])
def test_an_input_outside_the_budget_is_refused(bad: float):
    with pytest.raises(InputError):
        check_inputs(np.array([[1.0, bad]]))


def test_inputs_that_are_too_wide_are_refused():
    with pytest.raises(ShapeError):
        check_inputs(np.zeros((1, 2049)))


@pytest.mark.parametrize("bad", [-0.1, 16.1, np.nan, np.inf])
def test_a_weight_outside_the_budget_is_refused(bad: float):
    with pytest.raises(InputError):
        fixed_weights(np.array([1.0, bad]))
