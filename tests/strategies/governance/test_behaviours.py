"""What campaigns add: several behaviours at once, people's answers, weights that follow labels."""

import numpy as np
import pytest

from fieldvote.errors import InputError
from strategies.aggregation.head import predict
from strategies.governance.influence import (
    Direction,
    answer_influence,
    class_directions,
    function_influence,
)
from strategies.governance.what_if import solve_curvature, solve_together
from tests.strategies.governance.made_fleet import (
    CLASSES,
    L2,
    Matrix,
    curvature,
    fleet,
    real,
    taught,
    trained,
)


def test_several_behaviours_are_solved_together_as_each_alone() -> None:
    made = fleet(9, items=200)
    _, head = trained(made)
    matrix = curvature(made.inputs, made.voted, head)
    asked = np.random.default_rng(2).normal(size=(3, *head.weights.shape))
    asked[1] = 0.0  # a class nobody has answered

    def product(way: Matrix) -> Matrix:
        return np.asarray((matrix @ way.ravel()).reshape(way.shape))

    penalty = np.full((head.width, 1), L2)
    solving = solve_together(asked, penalty=penalty, steps=12)
    ways = next(solving)
    while True:
        try:
            ways = solving.send(np.stack([product(way) for way in ways]))
        except StopIteration as done:
            together = done.value
            break
    assert not together[1].any()
    for n in (0, 2):
        alone = solve_curvature(product, asked[n], penalty=penalty, steps=12)
        assert together[n] == pytest.approx(alone, rel=1e-9)


def test_without_a_step_the_guess_is_the_answer() -> None:
    solving = solve_together(
        np.ones((2, 3, 2)), penalty=np.ones((3, 1)), steps=0, precondition=lambda rest: 0.5 * rest
    )
    with pytest.raises(StopIteration) as done:
        next(solving)
    assert (done.value.value == 0.5).all()


def test_people_s_answers_have_influence_like_a_function_s_votes() -> None:
    made, answers = fleet(1, items=200), fleet(1, items=260).rows(slice(200, None))
    _, head = trained(made)
    by_class = class_directions(answers.inputs, answers.truth, head)
    directions = tuple(Direction.of(each) for each in by_class)
    targets = np.eye(CLASSES)[made.truth]
    found = answer_influence(made.inputs, targets, made.voted, head, directions)
    residual = made.voted[:, None] * (predict(made.inputs, head) - targets)
    slow = [float(((real(made.inputs).T @ residual) * way).sum()) for way in by_class]
    assert found.values(directions)[0] == pytest.approx(slow, rel=0.01, abs=0.5)


def test_what_weighs_by_how_sure_its_label_is_weighs_less_without_a_vote() -> None:
    made = fleet(2, items=150)
    labeler, head = trained(made)
    direction = (Direction.of(np.random.default_rng(3).normal(size=head.weights.shape)),)
    as_now = function_influence(taught(made), labeler, head, direction)
    same = function_influence(
        taught(made), labeler, head, direction, weigh=lambda labels: np.ones(len(labels))
    )
    assert np.array_equal(as_now.steps, same.steps)
    less = function_influence(
        taught(made), labeler, head, direction, weigh=lambda labels: np.zeros(len(labels))
    )
    assert not np.array_equal(as_now.steps, less.steps)


def test_a_direction_that_was_sent_is_no_longer_than_a_normed_one() -> None:
    made = Direction.of(np.random.default_rng(3).normal(size=(5, 2)))
    assert np.array_equal(Direction.sent(made.steps.weights).steps.weights, made.steps.weights)
    with pytest.raises(InputError, match="longer"):
        Direction.sent(made.steps.weights * 3)
