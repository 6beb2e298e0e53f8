"""A small network learns what a large one says, from items nobody has answered."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.learning.deep import train
from edge.learning.distilling import softened, taught_by
from edge.learning.network import Network
from fieldvote.errors import InputError, ShapeError
from fieldvote.rng import stream
from tests.coordinator.rounds.deep import deep_task
from tests.edge.learning.test_deep import DRILL, material, visit

LARGE, SMALL = Network(deep_task("", 32)), Network(deep_task("", 4))


def pool(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return items, and what they are: which side of a bent line."""
    x = stream(seed, "pool").normal(size=(rows, 3)).astype(np.float32)
    return x, (x[:, 0] + np.abs(x[:, 1]) > 0.7).astype(np.int64)


def test_a_student_comes_closer_to_its_teacher_than_by_the_answers_alone() -> None:
    x, truth = pool(400, 1)
    lessons = taught_by(np.eye(2)[truth], x, truth)
    teacher = train(LARGE, LARGE.first, lessons, DRILL, epochs=60, visit=visit())
    items, _ = pool(300, 2)
    says = LARGE.probabilities(teacher, items)
    answers = np.full(len(items), -1)
    answers[:6] = says[:6].argmax(axis=1)
    student = taught_by(says, items, answers)
    few = taught_by(says[:6], items[:6], answers[:6])
    alike = {}
    test, _ = pool(500, 3)
    wanted = LARGE.probabilities(teacher, test).argmax(axis=1)
    for name, held in (("pool", student), ("answers", few)):
        after = train(SMALL, SMALL.first, held, DRILL, epochs=60, visit=visit())
        alike[name] = float((SMALL.probabilities(after, test).argmax(axis=1) == wanted).mean())
    assert SMALL.form.size < LARGE.form.size / 5
    assert alike["pool"] > 0.93
    assert alike["pool"] > alike["answers"] + 0.05


@settings(deadline=None)
@given(st.integers(0, 10**6), st.floats(0.2, 20.0))
def test_softening_is_a_softmax_at_that_temperature(seed: int, temperature: float) -> None:
    logits = stream(seed, "logits").normal(size=(5, 4)) * 3
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    soft = np.exp(logits / temperature)
    np.testing.assert_allclose(
        softened(p, temperature), soft / soft.sum(axis=1, keepdims=True), rtol=1e-6, atol=1e-12
    )


def test_an_answer_counts_more_than_what_the_teacher_says() -> None:
    held = taught_by(np.array([[0.9, 0.1]] * 2), np.zeros((2, 3), np.float32), np.array([1, -1]),
                     temperature=1.0, trust=0.25)  # fmt: skip
    np.testing.assert_allclose(held.targets, [[0.0, 1.0], [0.9, 0.1]], atol=1e-6)
    assert held.weights.tolist() == [1.0, 0.25]


def test_a_teacher_that_is_certain_is_softened_without_a_number_that_is_none() -> None:
    assert np.isfinite(softened(np.array([[1.0, 0.0], [1e-300, 1.0]]), 5.0)).all()


def test_what_does_not_fit_is_refused() -> None:
    says, x, nobody = np.full((2, 2), 0.5), np.zeros((2, 3), np.float32), np.full(2, -1)
    with pytest.raises(ShapeError):
        taught_by(says, x[:1], nobody)
    for wrong in ({"temperature": 0.0}, {"trust": 0.0}, {"temperature": float("nan")}):
        with pytest.raises(InputError):
            taught_by(says, x, nobody, **wrong)
    with pytest.raises(InputError, match="names class 2 of 2"):
        taught_by(says, x, np.array([2, -1]))
    assert len(material(rows=0)) == 0
