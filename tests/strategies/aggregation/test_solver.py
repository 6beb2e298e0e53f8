from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from fieldvote.errors import InputError, ShapeError
from strategies.aggregation.fixed_point import INPUT_FRACTION
from strategies.aggregation.solver import Outcome, SolverState, advance, ridge_start, start
from strategies.aggregation.summed_head import Head, gradient_sums, head_sums
from tests.strategies.aggregation.problems import Problem, problem


def run(state: SolverState, given_: Problem) -> list[SolverState]:
    """Answer every point until the machine is done; return the states after each exchange."""
    states = []
    while not state.done:
        sums = gradient_sums(given_.inputs, given_.targets, given_.weight, state.point)
        state = advance(state, sums)
        states.append(state)
    return states


def begin(given_: Problem, *, l2: float = 1.0, exchanges: int = 8) -> SolverState:
    zeros = Head.zeros(width=given_.inputs.shape[1], classes=given_.targets.shape[1])
    return start(head_sums(given_.inputs, given_.weight), zeros, l2=l2, exchanges=exchanges)


def objective(given_: Problem, head: Head, *, l2: float = 1.0) -> float:
    """Compute the minimised function from its definition."""
    logits = given_.inputs * 2.0**-INPUT_FRACTION @ head.values
    peak = logits.max(axis=1, keepdims=True)
    logs = logits - peak - np.log(np.exp(logits - peak).sum(axis=1, keepdims=True))
    penalty = np.r_[np.full(head.width - 1, l2), 1e-3 * l2][:, None]
    cross_entropy = -(given_.weight[:, None] * given_.targets * logs).sum()
    return float(cross_entropy + 0.5 * (penalty * head.values**2).sum())


def test_the_optimum_is_that_of_scikit_learn():
    rng = np.random.default_rng(1)
    soft = problem(1, items=300, width=8, classes=3)
    hard = rng.integers(3, size=300)
    given_ = Problem(inputs=soft.inputs, targets=np.eye(3)[hard], weight=np.ones(300))
    theirs = LogisticRegression(C=1.0, tol=1e-10, max_iter=2000).fit(
        given_.inputs[:, :-1] * 2.0**-INPUT_FRACTION, hard
    )

    ours = run(begin(given_, exchanges=200), given_)[-1].head.values

    np.testing.assert_allclose(ours[:-1], theirs.coef_.T, atol=2e-3)


def test_eight_exchanges_come_within_a_hair_of_the_optimum():
    for seed in range(5):
        given_ = problem(seed, items=400, width=40, classes=5)
        few = run(begin(given_), given_)[-1]
        many = run(begin(given_, exchanges=300), given_)[-1]

        first = objective(given_, begin(given_).point)
        gap = objective(given_, few.head) - objective(given_, many.head)
        assert gap <= 0.002 * (first - objective(given_, many.head))


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32),
    items=st.integers(1, 60),
    width=st.integers(1, 10),
    classes=st.integers(2, 4),
    l2=st.sampled_from([0.01, 1.0, 100.0]),
)
def test_the_head_never_gets_worse_and_never_asks_too_often(
    seed: int, items: int, width: int, classes: int, l2: float
):
    given_ = problem(seed, items=items, width=width, classes=classes)

    states = run(begin(given_, l2=l2), given_)

    values = [objective(given_, state.head, l2=l2) for state in states]
    slack = 1e-3 * (1.0 + values[0])
    assert all(after <= before + slack for before, after in pairwise(values))
    assert len(states) <= 8


def test_a_worse_point_is_not_taken_for_the_head():
    given_ = problem(2, items=50, width=4, classes=3)
    state = run(begin(given_, exchanges=3), given_)[0]
    honest = gradient_sums(given_.inputs, given_.targets, given_.weight, state.point)
    spoiled = type(honest)(gradient=honest.gradient, loss=honest.loss * 1000, weight=honest.weight)

    after = advance(state, spoiled)

    assert (after.head.weights == state.head.weights).all()
    assert after.failures == 1


def test_a_warm_start_at_the_optimum_needs_one_exchange():
    given_ = problem(3, items=100, width=6, classes=3)
    solved = run(begin(given_, exchanges=200), given_)[-1].head

    states = run(start(head_sums(given_.inputs, given_.weight), solved, l2=1.0), given_)

    assert [state.outcome for state in states] == [Outcome.CONVERGED]


def test_a_spent_machine_wants_no_more():
    given_ = problem(4, items=100, width=6, classes=3)
    state = run(begin(given_, exchanges=1), given_)[-1]
    assert state.outcome is Outcome.SPENT

    with pytest.raises(InputError):
        advance(state, gradient_sums(given_.inputs, given_.targets, given_.weight, state.point))


def test_the_ridge_start_is_the_first_step_of_the_solver():
    given_ = problem(5, items=80, width=7, classes=3)
    sums = head_sums(given_.inputs, given_.weight)
    zeros = Head.zeros(width=7, classes=3)
    cross = gradient_sums(given_.inputs, given_.targets, given_.weight, zeros)

    ridge = ridge_start(sums, cross, l2=1.0)

    stepped = advance(begin(given_), cross).point
    assert (ridge.weights == stepped.weights).all()


def test_the_ridge_start_solves_the_ridge_equations():
    given_ = problem(6, items=80, width=7, classes=3)
    sums = head_sums(given_.inputs, given_.weight)
    real = given_.inputs * 2.0**-INPUT_FRACTION
    weight = np.rint(given_.weight * 4096) / 4096
    penalty = np.r_[np.full(6, 2.0), 2e-3]
    gram = (real * weight[:, None]).T @ real + np.diag(penalty)
    expected = 2 * np.linalg.solve(gram, real.T @ (weight[:, None] * (given_.targets - 1 / 3)))
    cross = gradient_sums(
        given_.inputs, given_.targets, given_.weight, Head.zeros(width=7, classes=3)
    )

    np.testing.assert_allclose(ridge_start(sums, cross, l2=1.0).values, expected, atol=1e-4)


def test_one_class_one_item_and_no_item_are_solved():
    for items in (0, 1):
        given_ = problem(7, items=items, width=3, classes=2)
        assert np.isfinite(run(begin(given_), given_)[-1].head.values).all()
    one = problem(8, items=9, width=3, classes=2)
    same = Problem(inputs=one.inputs, targets=np.eye(2)[np.zeros(9, int)], weight=one.weight)
    assert np.isfinite(run(begin(same), same)[-1].head.values).all()


@pytest.mark.parametrize("l2", [0.0, -1.0, np.nan, np.inf])
def test_a_penalty_that_is_not_positive_is_refused(l2: float):
    with pytest.raises(InputError):
        begin(problem(9, items=5, width=3, classes=2), l2=l2)


def test_a_head_of_another_width_is_refused():
    given_ = problem(9, items=5, width=3, classes=2)
    with pytest.raises(ShapeError):
        start(head_sums(given_.inputs, given_.weight), Head.zeros(width=4, classes=2), l2=1.0)
