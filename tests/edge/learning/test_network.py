"""A task's own network: told its weights it answers as the model would that holds them."""

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from edge.learning.network import Network
from fieldvote.errors import InputError, ShapeError
from fieldvote.rng import stream
from tests.coordinator.rounds.deep import deep_files, deep_task

NETWORK = Network(deep_task())
X = stream(1, "network").normal(size=(7, 3)).astype(np.float32)
UNIT = 1 << 20


def model_with(vector: np.ndarray) -> bytes:
    """Return the task's model with these weights written into it."""
    proto = onnx.load_from_string(deep_files()["model.onnx"])
    told = NETWORK.weights(vector)
    for place, tensor in enumerate(proto.graph.initializer):
        if tensor.name in told:
            filled = numpy_helper.from_array(told[tensor.name], tensor.name)
            proto.graph.initializer[place].CopyFrom(filled)
    return bytes(proto.SerializeToString())


def answers(model: bytes) -> np.ndarray:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["probabilities"], {"input": X})[0])


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6))
def test_told_weights_it_answers_as_the_model_that_holds_them(seed: int) -> None:
    vector = stream(seed, "weights").integers(-2 * UNIT, 2 * UNIT, NETWORK.form.size)
    np.testing.assert_allclose(
        NETWORK.probabilities(vector, X), answers(model_with(vector)), atol=1e-6
    )
    np.testing.assert_array_equal(NETWORK.vector(NETWORK.weights(vector)), vector)


def test_two_sets_of_weights_are_compared_without_loading_anything_again() -> None:
    session = NETWORK._session
    one, other = NETWORK.first, NETWORK.first + UNIT
    before = NETWORK.probabilities(one, X)
    assert not np.allclose(before, NETWORK.probabilities(other, X))
    np.testing.assert_array_equal(before, NETWORK.probabilities(one, X))
    assert NETWORK._session is session


def test_the_first_weights_are_those_of_the_model() -> None:
    np.testing.assert_allclose(
        NETWORK.probabilities(NETWORK.first, X), answers(deep_files()["model.onnx"]), atol=1e-5
    )


def test_no_items_get_no_answers() -> None:
    assert NETWORK.probabilities(NETWORK.first, X[:0]).shape == (0, 2)


@pytest.mark.parametrize("size", [0, 1, 25, 27])
def test_weights_of_another_length_are_refused(size: int) -> None:
    vector = np.zeros(size, np.int64)
    for ask in (
        lambda: NETWORK.check(vector, X),
        lambda: NETWORK.probabilities(vector, X),
        lambda: NETWORK.runner(vector),
    ):
        with pytest.raises(ShapeError):
            ask()


def test_weights_beyond_all_bounds_are_refused() -> None:
    with pytest.raises(InputError):
        NETWORK.check(np.full(NETWORK.form.size, 1 << 62), X)


def test_weights_under_which_nothing_is_a_probability_are_refused() -> None:
    # logits beyond float32: their softmax is no number
    huge = np.full((7, 3), 3e37, np.float32)
    with pytest.raises(InputError, match="no probabilities"):
        NETWORK.check(np.full(NETWORK.form.size, 4095 * UNIT), huge)
